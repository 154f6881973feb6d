"""Detect files that FFmpeg alone cannot decode: encrypted ones, and photos made of tiles.

Tests: tests/media/decoding/test_protection.py.
"""

from __future__ import annotations

from pathlib import Path

from av.container import InputContainer
from av.stream import Stream

from fairy.media.decoding.boxes import Box, top_boxes

# The sample entry for encrypted video (ISO/IEC 23001-7, 4.1), and the item type that joins tiles
# (ISO/IEC 23008-12, 6.6.2.3)
_ENCRYPTED, _GRID = b"encv", b"grid"
_MOST_BYTES = 16 << 20
# Transport packets have 188 bytes; two bits of the fourth byte mark a scrambled one
# (ISO/IEC 13818-1, 2.4.3.3)
_TS_BYTES, _TS_SYNC, _TS_SCRAMBLED = 188, 0x47, 0xC0


def is_of_tiles(path: Path) -> bool:
    """Return whether a file is a photo (HEIC, AVIF) made of tiles."""
    if not path.is_file():
        return False
    found = top_boxes(path)
    if not found or found[0].kind != b"ftyp":
        return False
    return any(_GRID in _content(path, box) for box in found if box.kind == b"meta")


def is_encrypted(path: Path, container: InputContainer, stream: Stream) -> bool:
    """Return whether the file marks the packets of a stream as encrypted."""
    if "enc_key_id" in stream.metadata:
        # FFmpeg's name for the key ID of a WebM track
        return True
    if container.format.name.startswith("mov,"):
        heads = [box for box in top_boxes(path) if box.kind == b"moov"]
        return any(_ENCRYPTED in _content(path, box) for box in heads)
    if container.format.name == "mpegts":
        return _is_scrambled(path, stream.id)
    return False


def _is_scrambled(path: Path, pid: int) -> bool:
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES)
    start = max(data.find(_TS_SYNC), 0)
    packets = [data[place : place + 4] for place in range(start, len(data) - 3, _TS_BYTES)]
    own = [p for p in packets if int.from_bytes(p[1:3], "big") & 0x1FFF == pid]
    return bool(own) and all(packet[3] & _TS_SCRAMBLED for packet in own)


def _content(path: Path, box: Box) -> bytes:
    with path.open("rb") as file:
        file.seek(box.start)
        return file.read(min(box.end - box.start, _MOST_BYTES))
