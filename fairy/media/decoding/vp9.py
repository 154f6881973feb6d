"""Detect VP9 packets that show no picture: they hold only reference frames.

Usually a hidden frame shares a packet, called a superframe, with one that is shown, but some
recorders split them. The bit layout is in the VP9 bitstream specification, section 6.2 and annex B.
Tests: tests/media/decoding/test_vp9.py.
"""

from __future__ import annotations

from fairy.media.decoding.clock import AnyPacket


def is_hidden_vp9(packet: AnyPacket) -> bool:
    """Return whether a packet is VP9 and shows none of its frames."""
    if packet.stream.type != "video" or packet.stream.codec_context is None:
        return False
    if packet.stream.codec_context.codec.canonical_name != "vp9" or not packet.size:
        return False
    data = memoryview(packet)
    return not any(shows_picture(data[start]) for start in frame_starts(data))


def shows_picture(first_byte: int) -> bool:
    """Return whether a frame is shown, from the first byte of its header.

    The bits: marker (2), profile (2; one more for profile 3), show_existing_frame, frame_type,
    show_frame.
    """
    profile = first_byte >> 5 & 1 | first_byte >> 3 & 2
    bits = first_byte << (profile == 3)
    show_existing, show = bits >> 3 & 1, bits >> 1 & 1
    return bool(show_existing or show)


def frame_starts(data: memoryview) -> list[int]:
    """Return the byte offsets of the frames in a packet: several in a superframe, else one."""
    marker = data[-1]
    num_frames, num_bytes = (marker & 7) + 1, (marker >> 3 & 3) + 1
    index_size = 2 + num_frames * num_bytes
    if marker >> 5 != 0b110 or len(data) < index_size or data[-index_size] != marker:
        return [0]
    sizes = bytes(data[1 - index_size : -1])
    starts, start = [], 0
    for place in range(0, len(sizes), num_bytes):
        if start < len(data) - index_size:
            starts.append(start)
        start += int.from_bytes(sizes[place : place + num_bytes], "little")
    return starts
