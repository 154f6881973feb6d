"""Read what a transport stream says of its streams (ISO/IEC 13818-1, 2.4.4).

A recording of a whole channel holds several programmes, each with its own video, audio and clock.
In joined recordings a stream may have another codec from some place on. FFmpeg knows the first but
PyAV does not expose it, and FFmpeg opens only one decoder, so this module reads the two tables.
Tests: tests/media/decoding/test_programmes.py.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from av.container import InputContainer
from av.stream import Stream

_PACKET, _SYNC = 188, 0x47
# The tables repeat every tenth of a second
_READ_BYTES = 4 << 20
_PAT_PID, _PAT_TABLE, _PMT_TABLE = 0, 0x00, 0x02
# Types of streams (ISO/IEC 13818-1, table 2-34); two that one decoder reads have one name
_CODECS = {
    0x01: "MPEG-2", 0x02: "MPEG-2", 0x10: "MPEG-4", 0x1B: "H.264", 0x24: "H.265", 0x33: "H.266",
    0xEA: "VC-1", 0x03: "MP2", 0x04: "MP2", 0x0F: "AAC", 0x11: "AAC LATM", 0x81: "AC-3",
    0x87: "E-AC-3",
}  # fmt: skip

Maps: TypeAlias = "dict[int, dict[int, set[int]]]"
"""For each programme's map, by its packet identifier: those of its streams, and their types."""


def programmes(container: InputContainer, path: Path) -> list[set[int]]:
    """Return the stream indices of each programme; empty if there are fewer than two."""
    if container.format.name != "mpegts":
        return []
    with path.open("rb") as file:
        found = _maps(file.read(_READ_BYTES))
    if len(found) < 2:
        return []
    indices = {stream.id: stream.index for stream in container.streams}
    return [{indices[pid] for pid in pids if pid in indices} for pids in found.values()]


def programme_of(container: InputContainer, path: Path, index: int) -> set[int] | None:
    """Return the streams in the same programme as stream `index`, including it; None: all."""
    return next((group for group in programmes(container, path) if index in group), None)


def codecs_of(path: Path, stream: Stream) -> list[str]:
    """Return the codecs that a stream has one after the other; empty if it has only one."""
    if stream.container.format.name != "mpegts":
        return []
    stat = path.stat()
    all_maps = _all_maps(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    types = set[int]().union(*(pids.get(stream.id, ()) for pids in all_maps.values()))
    names = sorted({_CODECS.get(kind, f"type {kind}") for kind in types})
    return names if len(names) > 1 else []


@lru_cache(maxsize=4)
def _all_maps(path: Path, size_bytes: int, modified_ns: int, noted_ns: int) -> Maps:
    """Return what all tables of a file say; the other arguments tell its versions apart."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _maps(data)


def _maps(data: bytes | mmap.mmap) -> Maps:
    maps: Maps = {}
    for section in _sections(data, _PAT_PID, _PAT_TABLE):
        for place in range(8, len(section) - 4, 4):
            number = int.from_bytes(section[place : place + 2], "big")
            map_pid = int.from_bytes(section[place + 2 : place + 4], "big") & 0x1FFF
            # Entry 0 is the network, not a programme
            if number:
                maps.setdefault(map_pid, {})
    for map_pid, types in maps.items():
        for section in _sections(data, map_pid, _PMT_TABLE):
            place = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF)
            while place + 5 <= len(section) - 4:
                pid = int.from_bytes(section[place + 1 : place + 3], "big") & 0x1FFF
                types.setdefault(pid, set()).add(section[place])
                place += 5 + (int.from_bytes(section[place + 3 : place + 5], "big") & 0xFFF)
    return maps


def _sections(data: bytes | mmap.mmap, pid: int, table: int) -> Iterator[bytes]:
    """Yield the different sections of a table that fit in one packet each, as most do."""
    seen = set[bytes]()
    # A section begins in the packet; the second form is marked as important
    for flags in (0x40, 0x60):
        mark = bytes((_SYNC, flags | pid >> 8, pid & 0xFF))
        place = data.find(mark)
        while place >= 0:
            section = _section(data[place : place + _PACKET])
            if section not in seen:
                seen.add(section)
                # Any bytes may look like the mark
                if section[:1] == bytes([table]) and len(section) > 12 and _crc32(section) == 0:
                    yield section
            place = data.find(mark, place + 1)


def _section(packet: bytes) -> bytes:
    """Return the section that begins in a packet; empty if it ends in another."""
    if len(packet) < _PACKET or not packet[3] & 0x10:
        return b""
    content = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
    if content >= _PACKET:
        return b""
    content += 1 + packet[content]
    if content + 3 > _PACKET:
        return b""
    end = content + 3 + (int.from_bytes(packet[content + 1 : content + 3], "big") & 0xFFF)
    return packet[content:end] if end <= _PACKET else b""


def _crc32(data: bytes) -> int:
    """Return the checksum (annex A); that of a whole section, its checksum included, is 0."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc
