"""What a decoded frame brings beside its picture, as bytes: display matrix, brightness, ...

Tests: tests/media/decoding/test_orientation.py, tests/media/test_hdr.py.
"""

from __future__ import annotations

import struct
from typing import Any, cast

import av
from av.sidedata.sidedata import SideData

# What frames may bring that no output gets, by PyAV's names and in words
_LOST = {
    "A53_CC": "closed captions (CEA-608/708)",
    "AFD": "the active format description",
    "DOVI_METADATA": "Dolby Vision's metadata",
    "DYNAMIC_HDR_PLUS": "HDR10+'s metadata",
    "S12M_TIMECODE": "timecodes of pictures",
    "SPHERICAL": "the mark of 360-degree pictures",
    "STEREO3D": "the mark of 3D pictures",
}


def lost_side_data(frame: av.VideoFrame) -> set[str]:
    """Return in words what a frame brings that is not kept."""
    return {words for name, words in _LOST.items() if _side_data(frame, name) is not None}


def unpack_side_data(frame: av.VideoFrame, name: str, form: struct.Struct) -> tuple[Any, ...]:
    """Return the side data `name` (as PyAV calls it) by its form; nothing where there is none."""
    data = _side_data(frame, name)
    if data is None or data.buffer_size < form.size:
        return ()
    return form.unpack_from(bytes(data))


def _side_data(frame: av.VideoFrame, name: str) -> SideData | None:
    try:
        return cast("SideData | None", frame.side_data.get(name))
    except (ValueError, KeyError):
        # PyAV 18 fails on a kind that it does not know, such as a picture's EXIF
        return None
