"""Find which streams of a transport stream belong together (ISO/IEC 13818-1, 2.4.4).

A recording of a whole channel holds several programmes, each with its own video, audio and clock.
FFmpeg knows them but PyAV does not expose them, so this module reads their two tables.
Tests: tests/media/decoding/test_programmes.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from av.container import InputContainer

_PACKET, _SYNC = 188, 0x47
# The tables repeat every tenth of a second
_READ_BYTES = 4 << 20
_PAT_PID, _PAT_TABLE, _PMT_TABLE = 0, 0x00, 0x02


def programmes(container: InputContainer, path: Path) -> list[set[int]]:
    """Return the stream indices of each programme; empty if there are fewer than two."""
    if container.format.name != "mpegts":
        return []
    found = _pids(path)
    if len(found) < 2:
        return []
    indices = {stream.id: stream.index for stream in container.streams}
    return [{indices[pid] for pid in pids if pid in indices} for pids in found]


def programme_of(container: InputContainer, path: Path, index: int) -> set[int] | None:
    """Return the streams in the same programme as stream `index`, including it; None: all."""
    return next((group for group in programmes(container, path) if index in group), None)


def _pids(path: Path) -> list[set[int]]:
    """Return the packet identifiers of the streams of each programme."""
    with path.open("rb") as file:
        data = file.read(_READ_BYTES)
    maps: dict[int, set[int]] = {}
    for pid, section in _sections(data):
        if pid == _PAT_PID and section[0] == _PAT_TABLE:
            for place in range(8, len(section) - 4, 4):
                number = int.from_bytes(section[place : place + 2], "big")
                map_pid = int.from_bytes(section[place + 2 : place + 4], "big") & 0x1FFF
                # Entry 0 is the network, not a programme
                if number:
                    maps.setdefault(map_pid, set())
        elif pid in maps and section[0] == _PMT_TABLE and len(section) > 12:
            place = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF)
            while place + 5 <= len(section) - 4:
                maps[pid].add(int.from_bytes(section[place + 1 : place + 3], "big") & 0x1FFF)
                place += 5 + (int.from_bytes(section[place + 3 : place + 5], "big") & 0xFFF)
    return list(maps.values())


def _sections(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (packet identifier, section) for tables that fit in one packet, as most do."""
    start = data.find(bytes([_SYNC]))
    # 192 bytes: packets that each start with a timestamp (.m2ts)
    size = next((n for n in (_PACKET, 192, 204) if data[start + n : start + n + 1] == b"G"), None)
    if start < 0 or size is None:
        return
    for place in range(start, len(data) - _PACKET, size):
        packet = data[place : place + _PACKET]
        if packet[0] != _SYNC or not packet[1] & 0x40 or not packet[3] & 0x10:
            continue
        pid = int.from_bytes(packet[1:3], "big") & 0x1FFF
        content = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
        if content >= _PACKET:
            continue
        content += 1 + packet[content]
        if content + 3 > _PACKET:
            continue
        length = 3 + (int.from_bytes(packet[content + 1 : content + 3], "big") & 0xFFF)
        if content + length <= _PACKET and length > 8:
            yield pid, packet[content : content + length]
