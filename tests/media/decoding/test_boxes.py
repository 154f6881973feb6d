"""The boxes of a file are found, however its lengths are written or wrong."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from fairy.media.decoding.boxes import Box, top_boxes


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


LARGE = struct.pack(">I4sQ", 1, b"mdat", 20) + b"1234"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (box(b"ftyp", b"isom") + box(b"free", b""), [Box(b"ftyp", 8, 12), Box(b"free", 20, 20)]),
        (LARGE + box(b"moov", b"12"), [Box(b"mdat", 16, 20), Box(b"moov", 28, 30)]),
        # A length of 0 means up to the end
        (b"\0\0\0\0mdat12345", [Box(b"mdat", 8, 13)]),
        # Cut short: the box says where it should end
        (box(b"mdat", b"123456")[:-4], [Box(b"mdat", 8, 14)]),
        (LARGE[:12], []),
        # Shorter than its own head
        (b"\0\0\0\4mdat" + box(b"moov", b""), []),
    ],
)
def test_boxes(tmp_path: Path, data: bytes, expected: list[Box]):
    (tmp_path / "clip.mp4").write_bytes(data)
    assert top_boxes(tmp_path / "clip.mp4") == expected
