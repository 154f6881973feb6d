"""What a decoded frame brings beside its picture, as bytes: display matrix, brightness, ...

Tests: tests/media/decoding/test_orientation.py, tests/media/test_hdr.py.
"""

from __future__ import annotations

import struct
from typing import Any, cast

import av
from av.sidedata.sidedata import SideData


def unpack_side_data(frame: av.VideoFrame, name: str, form: struct.Struct) -> tuple[Any, ...]:
    """Return the side data `name` (as PyAV calls it) by its form; nothing where there is none."""
    try:
        data = cast("SideData | None", frame.side_data.get(name))
    except ValueError:
        # PyAV 18 fails on a kind that it does not know, such as a picture's EXIF
        return ()
    if data is None or data.buffer_size < form.size:
        return ()
    return form.unpack_from(bytes(data))
