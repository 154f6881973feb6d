"""Damage to files: what a bad disk, a broken download or a wrong tool does to a clip.

Damage strikes anywhere in the file (nearly always pictures: they are most of it), a whole box of
the container, or a place within a box, so that sizes, times, edit lists and the decoder's own
settings (avcC) are struck as often as pictures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

KINDS = ("flip", "zero", "cut", "drop", "repeat", "size", "shuffle", "swap")
UNITS = ("file", "box", "in box")

# ISO/IEC 14496-12 (.mp4, .mov, .3gp): four bytes of size stand before the name.
_BOXES = re.compile(
    rb"ftyp|free|mdat|moov|mvhd|trak|tkhd|edts|elst|mdia|mdhd|hdlr|minf|vmhd|smhd|dinf|stbl|stsd"
    rb"|avc1|avcC|s263|d263|colr|pasp|mp4a|esds|stts|ctts|stss|stsc|stsz|stco|sgpd|sbgp|udta|meta"
)
# RFC 9559 (.mkv, .webm), an element goes up to the next here: header, segment, seek head, info,
# tracks, cluster, cues, tags.
_ELEMENTS = re.compile(
    rb"\x1aE\xdf\xa3|\x18S\x80g|\x11M\x9bt|\x15I\xa9f|\x16T\xaek|\x1fC\xb6u|\x1cS\xbbk|\x12T\xc3g"
)


@dataclass(frozen=True)
class Mutation:
    """One injury.

    Attributes:
        kind: what is done, one of KINDS.
        place: where, as a share of the file, or of all its boxes one after the other.
        length: bytes that are hurt; a whole box has its own length.
        value: a number to hurt with.
        unit: what `place` counts, one of UNITS; "file" where a file has no boxes that we know.
    """

    kind: str
    place: float
    length: int
    value: int
    unit: str = "file"

    def apply(self, data: bytes) -> bytes:
        """Return the injured bytes."""
        at, end = self._span(data)
        part = data[at:end]
        if self.kind == "flip":
            part = bytes(byte ^ (self.value & 255) for byte in part)
        elif self.kind == "zero":
            part = bytes(len(part))
        elif self.kind == "cut":
            return data[:at]
        elif self.kind == "drop":
            part = b""
        elif self.kind == "repeat":
            part = part * 3
        elif self.kind == "size":
            # Fields of four bytes hold sizes, counts and times: the ends of their range hurt.
            part = (self.value & 0xFFFFFFFF).to_bytes(4, "big") + part[4:]
        elif self.kind == "shuffle":
            part = part[::-1]
        elif self.kind == "swap":
            after = next((last for first, last in find_boxes(data) if first == end), 2 * end - at)
            return data[:at] + data[end:after] + part + data[after:]
        return data[:at] + part + data[end:]

    def _span(self, data: bytes) -> tuple[int, int]:
        """Return where the injury begins and ends."""
        boxes = find_boxes(data) if self.unit != "file" else []
        if not boxes:
            at = int(self.place * len(data))
            return at, min(len(data), at + self.length)
        number, place = divmod(self.place * len(boxes), 1)
        begin, end = boxes[int(number)]
        if self.unit == "box":
            return begin, end
        at = begin + int(place * (end - begin))
        return at, min(end, at + self.length)


def find_boxes(data: bytes) -> list[tuple[int, int]]:
    """Return (begin, end) of the container's boxes, outer and inner, in the order of the file."""
    boxes = []
    for found in _BOXES.finditer(data, 4):
        begin = found.start() - 4
        size = int.from_bytes(data[begin : begin + 4], "big")
        if 8 <= size <= len(data) - begin:
            boxes.append((begin, begin + size))
    starts = [found.start() for found in _ELEMENTS.finditer(data)]
    return boxes or list(zip(starts, [*starts[1:], len(data)], strict=False))


def damaged(data: bytes, mutations: list[Mutation]) -> bytes:
    """Return `data` after all injuries in a row."""
    for mutation in mutations:
        data = mutation.apply(data)
    return data
