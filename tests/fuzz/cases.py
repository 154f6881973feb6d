"""Small files that once failed, and fields at the end of their range, all made in code.

A comment says what a file once did. The random damage of `mutations.py` has found none that
failed so far; those here were thought up, or came by hand.
"""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from fairy.media import write_video
from tests.fuzz.mutations import find_boxes
from tests.tiny import make_frames

# They can be neither copied nor edited into an .mp4, and a line says so.
ONCE_FAILED = ("names_itself.m3u8", "lists_clips.mp4", "words.txt", "years_apart.mkv")


def make_cases(folder: Path) -> dict[str, Path]:
    """Write every case into `folder`; return their paths by name."""
    write_video(make_frames(4, 32, 48), folder / "whole.mp4", fps=10)
    data = (folder / "whole.mp4").read_bytes()
    contents = {
        # FFmpeg read it again and again, waiting for its end: a hang.
        "names_itself.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nnames_itself.m3u8\n",
        # Refused as "Operation not permitted": a list of clips is none.
        "lists_clips.mp4": b"ffconcat version 1.0\nfile whole.mp4\n",
        # Was a clip of 25 pictures of a terminal.
        "words.txt": b"make it snow\n" * 50,
        # Never failed, but no field of a header is to be believed.
        "time_base_0.mp4": set_field(data, b"mdhd", 20, 0),
        "time_base_largest.mp4": set_field(data, b"mdhd", 20, 0xFFFFFFFF),
        "all_at_once.mp4": set_field(data, b"stts", 20, 0),
        "backwards.mp4": set_field(data, b"stts", 20, 0xFFFFFFFF),
        "sixty_hours_apart.mp4": set_field(data, b"stts", 20, 0x7FFFFFFF),
        "two_billion_frames.mp4": set_field(data, b"stts", 16, 0x7FFFFFFF),
        "sixteen_million_sizes.mp4": set_field(data, b"stsz", 16, 0x00FFFFFF),
        "pictures_elsewhere.mp4": set_field(data, b"stco", 16, 0xFFFFFFFF),
        "nothing_shown.mp4": set_field(data, b"elst", 16, 0),
        "starts_after_its_end.mp4": set_field(data, b"elst", 20, 0x7FFFFFF0),
        "no_display_matrix.mp4": set_field(data, b"tkhd", 48, 0),
        "wrong_decoder_settings.mp4": set_field(data, b"avcC", 12, 0xFFFFFFFF),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    # As .mp4 its times were lost without a word: the second became a tick.
    write_far_apart(folder / "years_apart.mkv")
    return {path.name: path for path in sorted(folder.iterdir())}


def set_field(data: bytes, name: bytes, offset: int, value: int) -> bytes:
    """Return a clip whose box `name` has `value` as the 4 bytes at `offset` from its begin."""
    begin = next(begin for begin, _ in find_boxes(data) if data[begin + 4 : begin + 8] == name)
    at = begin + offset
    return data[:at] + value.to_bytes(4, "big") + data[at + 4 :]


def write_far_apart(path: Path) -> None:
    """Write two frames of which the second is shown seven years later."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for pts in (0, 2**31):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 48, 3), np.uint8), format="rgb24")
            frame.pts = pts
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
