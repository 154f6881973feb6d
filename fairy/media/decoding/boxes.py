"""Parse the boxes that make up MP4, MOV and HEIC files (ISO/IEC 14496-12, 4.2).

Tests: tests/media/decoding/test_boxes.py.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_HEAD = struct.Struct(">I4s")
_LARGE = struct.Struct(">Q")


@dataclass(frozen=True)
class Box:
    """A box: its type, and the byte offsets where its content starts and ends in the file.

    The end comes from the box's own size field; in a truncated file it is past the file's end.
    """

    kind: bytes
    start: int
    end: int


def top_boxes(path: Path) -> list[Box]:
    """Return the readable top-level boxes of a file."""
    with path.open("rb") as file:
        return list(boxes(file, 0, os.fstat(file.fileno()).st_size))


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes between two byte offsets of a file."""
    while start + _HEAD.size <= end:
        file.seek(start)
        size, kind = _HEAD.unpack(file.read(_HEAD.size))
        content = start + _HEAD.size
        if size == 1:
            large = file.read(_LARGE.size)
            if len(large) < _LARGE.size:
                return
            size, content = *_LARGE.unpack(large), content + _LARGE.size
        elif size == 0:
            # The box extends to the end
            size = end - start
        if start + size < content:
            # Invalid: shorter than its own header
            return
        yield Box(kind, content, start + size)
        start += size
