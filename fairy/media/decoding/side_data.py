"""Read a decoded frame's side data as bytes: display matrix, brightness, ...

Tests: tests/media/decoding/test_orientation.py, tests/media/test_hdr.py.
"""

from __future__ import annotations

import struct
from typing import Any, cast

import av
from av.sidedata.sidedata import SideData

# Side data that no output keeps: PyAV's name -> description
_LOST = {
    "A53_CC": "closed captions (CEA-608/708)",
    "AFD": "the active format description",
    "DOVI_METADATA": "Dolby Vision's metadata",
    "DYNAMIC_HDR_PLUS": "HDR10+'s metadata",
    "DYNAMIC_HDR_VIVID": "HDR Vivid's metadata",
    "ICC_PROFILE": "the colour profile",
    "S12M_TIMECODE": "timecodes of pictures",
    "SPHERICAL": "the mark of 360-degree pictures",
    "STEREO3D": "the mark of 3D pictures",
}


def lost_side_data(frame: av.VideoFrame) -> set[str]:
    """Return descriptions of the frame's side data that the output does not keep."""
    return {words for name, words in _LOST.items() if _side_data(frame, name) is not None}


def unpack_side_data(frame: av.VideoFrame, name: str, form: struct.Struct) -> tuple[Any, ...]:
    """Unpack the side data `name` (PyAV's name) with `form`; return () if the frame has none."""
    data = _side_data(frame, name)
    if data is None or data.buffer_size < form.size:
        return ()
    return form.unpack_from(bytes(data))


def _side_data(frame: av.VideoFrame, name: str) -> SideData | None:
    try:
        return cast("SideData | None", frame.side_data.get(name))
    except (ValueError, KeyError):
        # PyAV 18 raises an error on kinds it does not know, such as a picture's EXIF data
        return None
