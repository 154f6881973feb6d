"""H.264 headers: take NAL units apart, read sequence parameter sets, write an avcC record.

Names follow ITU-T H.264 (7.3.2.1 and annex E) and ISO/IEC 14496-15 (5.3.3). Bytes in, bytes out;
nothing here needs FFmpeg. Tests: tests/media/test_h264.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from fairy.errors import MediaError

# nal_unit_type (table 7-1)
SLICE, IDR, SEI, SPS, PPS, DELIMITER, FILLER = 1, 5, 6, 7, 8, 9, 12

# profile_idc whose sets say how chroma is stored (7.3.2.1.1)
_WITH_CHROMA = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
# Those of them whose avcC record repeats it
_CHROMA_IN_RECORD = {100, 110, 122, 144, 244}
_EXTENDED_SAR = 255
# A record counts them with five and with eight bits; a set's id can be as large
_MOST_SPS, _MOST_PPS = 31, 255
# Of the NAL units in packets that are written
LENGTH_BYTES = 4


def kind_of(unit: bytes) -> int:
    """Return the nal_unit_type of a NAL unit."""
    return unit[0] & 0x1F


def prefixed_units(data: bytes, length_bytes: int) -> list[bytes]:
    """Return the NAL units of a packet in which the length of each precedes it.

    Raises:
        MediaError: the lengths do not add up.
    """
    units, start = [], 0
    while start < len(data):
        begin = start + length_bytes
        start = begin + int.from_bytes(data[start:begin], "big")
        units.append(data[begin:start])
    if start != len(data) or not all(units):
        raise MediaError("a packet of H.264 whose lengths do not add up")
    return units


def annexb_units(data: bytes) -> list[bytes]:
    """Return the NAL units of a packet in which start codes separate them (annex B)."""
    # The zeros before a start code belong to it, as no NAL unit ends with one
    return [part.rstrip(b"\0") for part in data.split(b"\0\0\1")[1:]]


def prefixed(units: Iterable[bytes]) -> bytes:
    """Return NAL units as a packet with lengths of four bytes."""
    return b"".join(len(unit).to_bytes(LENGTH_BYTES, "big") + unit for unit in units)


@dataclass(frozen=True)
class ParameterSets:
    """The sequence (SPS) and picture (PPS) parameter sets of a stream, as NAL units."""

    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]

    @classmethod
    def of_annexb(cls, header: bytes) -> ParameterSets:
        """Return the sets of an encoder's header, which has start codes."""
        units = annexb_units(header)
        return cls(
            tuple(unit for unit in units if kind_of(unit) == SPS),
            tuple(unit for unit in units if kind_of(unit) == PPS),
        )

    @classmethod
    def of_record(cls, record: bytes) -> tuple[ParameterSets, int]:
        """Return the sets of an avcC record, and how many bytes the lengths in packets have.

        Raises:
            MediaError: it is none, or is cut short.
        """
        if len(record) < 7 or record[0] != 1:
            raise MediaError("not an avcC record")
        place, found = 5, []
        for mask in (0x1F, 0xFF):
            count, place = record[place] & mask, place + 1
            units = []
            for _ in range(count):
                size = int.from_bytes(record[place : place + 2], "big")
                units.append(record[place + 2 : place + 2 + size])
                place += 2 + size
            if place > len(record) - (mask == 0x1F) or not all(units):
                raise MediaError("an avcC record that is cut short")
            found.append(tuple(units))
        return cls(*found), (record[4] & 3) + 1

    @property
    def ids(self) -> set[int]:
        """The ids of all sets, of both kinds."""
        of_pictures = {_Bits(unit).ue() for unit in self.pps}
        return of_pictures | {SequenceSet.of(unit).set_id for unit in self.sps}

    def free_id(self) -> int | None:
        """Return the smallest id that neither kind uses and both can have.

        None if there is none, or a record has no room for one more of each kind.

        Raises:
            MediaError: a set is damaged.
        """
        if len(self.sps) >= _MOST_SPS or len(self.pps) >= _MOST_PPS:
            return None
        taken = self.ids
        return next((one for one in range(_MOST_SPS + 1) if one not in taken), None)

    def labelled_like(self, other: bytes) -> ParameterSets:
        """Return the sets with pixel aspect, range and colour tags of another sequence set."""
        model = SequenceSet.of(other)
        return replace(
            self, sps=tuple(SequenceSet.of(unit).labelled_like(model) for unit in self.sps)
        )

    def __add__(self, other: ParameterSets) -> ParameterSets:
        """Return the sets of both."""
        return ParameterSets(self.sps + other.sps, self.pps + other.pps)

    def record(self) -> bytes:
        """Return the avcC record with these sets: the highest profile and level, 4-byte lengths."""
        highest = SequenceSet.of(max(self.sps, key=lambda unit: unit[1]))
        profile, compatible = highest.unit[1:3]
        level = max(unit[3] for unit in self.sps)
        parts = [bytes([1, profile, compatible, level, 0xFC | (LENGTH_BYTES - 1)])]
        for count_flags, units in ((0xE0, self.sps), (0, self.pps)):
            parts.append(bytes([count_flags | len(units)]))
            parts += [len(unit).to_bytes(2, "big") + unit for unit in units]
        if profile in _CHROMA_IN_RECORD:
            depths = (0xF8 | (depth - 8) for depth in highest.depths)
            parts.append(bytes([0xFC | highest.chroma_format, *depths, 0]))
        return b"".join(parts)


@dataclass(frozen=True, kw_only=True)
class SequenceSet:
    """A sequence parameter set, as its NAL unit says.

    Attributes:
        unit: the NAL unit.
        set_id: seq_parameter_set_id.
        chroma_format: chroma_format_idc: 0 is grey, 1 is 4:2:0, 2 is 4:2:2, 3 is 4:4:4.
        depths: bits of a sample of luma and of chroma.
        size_mbs: (height, width) in macroblocks of what is coded, before cropping.
        is_progressive: frame_mbs_only_flag: whether every picture is coded as a frame, not as
            fields.
        has_lossless: qpprime_y_zero_transform_bypass_flag: whether quantizer 0 stands for no
            transform.
        labels: the bits, as (first, after the last), that say whether there is a VUI and, in it,
            pixel aspect, range and colours.
        full_range: video_full_range_flag.
        colours: H.273 numbers of (primaries, transfer, matrix); None if it does not say them.
        num_reorder_frames: max_num_reorder_frames; None if it does not say it.
    """

    unit: bytes
    set_id: int
    chroma_format: int
    depths: tuple[int, int]
    size_mbs: tuple[int, int]
    is_progressive: bool
    has_lossless: bool
    labels: tuple[int, int]
    full_range: bool
    colours: tuple[int, int, int] | None
    num_reorder_frames: int | None

    @classmethod
    def of(cls, unit: bytes) -> SequenceSet:
        """Read a NAL unit (7.3.2.1.1).

        Raises:
            MediaError: it is damaged.
        """
        bits = _Bits(unit)
        profile = bits.u(8)
        bits.skip("16")
        set_id, chroma_format, depths, has_lossless = bits.ue(), 1, (8, 8), False
        if profile in _WITH_CHROMA:
            chroma_format = bits.ue()
            if chroma_format == 3:
                bits.skip("1")
            depths = 8 + bits.ue(), 8 + bits.ue()
            has_lossless = bool(bits.u(1))
            if bits.u(1):
                _skip_scaling(bits, 12 if chroma_format == 3 else 8)
        bits.skip("ue")
        order_type = bits.ue()
        if order_type == 0:
            bits.skip("ue")
        elif order_type == 1:
            bits.skip("1", "se", "se")
            bits.skip(*["se"] * bits.ue(255))
        bits.skip("ue", "1")
        width, height, is_progressive = 1 + bits.ue(), 1 + bits.ue(), bool(bits.u(1))
        bits.skip(*[] if is_progressive else ["1"], "1")
        if bits.u(1):
            bits.skip("ue", "ue", "ue", "ue")
        start = bits.place
        has_vui = bits.u(1)
        full_range, colours = _read_labels(bits) if has_vui else (False, None)
        end = bits.place
        return cls(
            unit=unit,
            set_id=set_id,
            chroma_format=chroma_format,
            depths=depths,
            size_mbs=(height * (2 - is_progressive), width),
            is_progressive=is_progressive,
            has_lossless=has_lossless,
            labels=(start, end),
            full_range=full_range,
            colours=colours,
            num_reorder_frames=_read_reordering(bits) if has_vui else None,
        )

    def labelled_like(self, other: SequenceSet) -> bytes:
        """Return the NAL unit with pixel aspect, range and colour tags of `other`, which has a VUI.

        These only tell a player how to show pictures: decoding does not depend on them.
        """
        (start, end), (begin, stop) = self.labels, other.labels
        bits, labels = _Bits(self.unit).text, _Bits(other.unit).text[begin:stop]
        # A VUI that is nothing but labels ends in flags that all say no, and the set in a 1
        rest = bits[end:].rstrip("0") if bits[start] == "1" else "0" * _NUM_LATER_FLAGS + "1"
        return self.unit[:1] + _escaped(bits[:start] + labels + rest)


# Of chroma place, timing, two buffer models, picture structure and bitstream restriction
_NUM_LATER_FLAGS = 6


class _Bits:
    """Reads the bits of a NAL unit after its first byte."""

    def __init__(self, unit: bytes) -> None:
        content = unit[1:].replace(b"\0\0\3", b"\0\0")
        self.text, self.place = "".join(f"{byte:08b}" for byte in content), 0

    def u(self, count: int) -> int:
        """Return the next `count` bits as a number."""
        self.place += count
        if self.place > len(self.text):
            raise MediaError("a parameter set of H.264 that is cut short")
        return int(self.text[self.place - count : self.place] or "0", 2)

    def ue(self, most: int = 2**32 - 2) -> int:
        """Return the next number of an exponential Golomb code, `most` at most."""
        size = self.text.find("1", self.place) - self.place
        if size < 0:
            raise MediaError("a parameter set of H.264 that is cut short")
        self.place += size
        number = self.u(size + 1) - 1
        if number > most:
            raise MediaError(f"a parameter set of H.264 with {number} where {most} is the most")
        return number

    def se(self) -> int:
        """Return the next signed number: 0, 1, -1, 2, -2, ..."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)

    def skip(self, *codes: str) -> None:
        """Skip numbers: "ue" and "se", or so many bits."""
        for code in codes:
            if code in ("ue", "se"):
                self.ue()
            else:
                self.u(int(code))


def _escaped(text: str) -> bytes:
    """Return bits as the bytes of a NAL unit: filled up with zeros, no start code inside."""
    text += "0" * (-len(text) % 8)
    content = int(text, 2).to_bytes(len(text) // 8, "big")
    return re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", content)


def _skip_scaling(bits: _Bits, count: int) -> None:
    """Skip the scaling lists (7.3.2.1.1.1)."""
    for number in range(count):
        last = following = 8 * bits.u(1)
        for _ in range(16 if number < 6 else 64):
            if following:
                following = (last + bits.se()) % 256
                last = following or last


def _read_labels(bits: _Bits) -> tuple[bool, tuple[int, int, int] | None]:
    """Read the VUI (E.1.1) up to the colours: return whether the range is full, and the colours."""
    if bits.u(1) and bits.u(8) == _EXTENDED_SAR:
        bits.skip("32")
    if bits.u(1):
        bits.skip("1")
    if not bits.u(1):
        return False, None
    bits.skip("3")
    full_range = bool(bits.u(1))
    return full_range, (bits.u(8), bits.u(8), bits.u(8)) if bits.u(1) else None


def _read_reordering(bits: _Bits) -> int | None:
    """Read the rest of the VUI; return max_num_reorder_frames, if it is there."""
    if bits.u(1):
        bits.skip("ue", "ue")
    if bits.u(1):
        bits.skip("65")
    has_buffer = [_skip_buffer(bits) for _ in range(2)]
    if any(has_buffer):
        bits.skip("1")
    bits.skip("1")
    if not bits.u(1):
        return None
    bits.skip("1", "ue", "ue", "ue", "ue")
    return bits.ue()


def _skip_buffer(bits: _Bits) -> bool:
    """Skip a buffer model (E.1.2), if there is one; return whether there is."""
    is_there = bool(bits.u(1))
    if is_there:
        count = 1 + bits.ue(31)
        bits.skip("8", *["ue", "ue", "1"] * count, "20")
    return is_there
