"""Check frames from Python callers and convert them to arrays; does not need torch.

uint8 (T,H,W,3), float (T,H,W,3) or float tensors (T,3,H,W) in [0,1], or PIL images -> for each
frame uint8 (H,W,3) or float32 (H,W,3). Tests: tests/media/test_python_frames.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from fairy.media.colours import Image

Picture: TypeAlias = NDArray[np.uint8] | NDArray[np.float32]
"""uint8 (H,W,3), or float32 (H,W,3) in [0,1]; in [-1,1] where a whole clip is."""

FORMS = "uint8 (T,H,W,3), PIL images or float tensors (T,3,H,W) in [0,1]"
# Resizing overshoots slightly; a larger excess means another scale
OVERSHOOT = 0.1
# TV rates in the Americas and Japan, usually rounded to 23.98, 29.97, 59.94
NTSC_RATES = tuple(Fraction(1000 * rate, 1001) for rate in (24, 30, 48, 60, 120, 240))
NTSC_ROUNDING = Fraction(6, 1000)
# Large enough to represent rates like 24000/1001 exactly
MAX_RATE_DENOMINATOR = 1001


def pictures(frames: Any) -> list[Picture]:
    """Return the frames of a whole clip, all of one size.

    As in diffusers, a clip of floats with a value below 0 is assumed to be in [-1,1].

    Raises:
        ValueError: no frames, an unsupported form, different sizes, or values out of range.
    """
    shown = [picture(frame, index, least=-1.0) for index, frame in enumerate(listed(frames))]
    if not shown:
        raise ValueError(f"frames is empty: pass at least one, as {FORMS}")
    height, width = shown[0].shape[:2]
    for index, one in enumerate(shown):
        if one.shape[:2] != (height, width):
            raise ValueError(
                f"frame {index} is {one.shape[1]}x{one.shape[0]}, frame 0 {width}x{height}: "
                "all frames of a clip need one size"
            )
    return shown


def listed(frames: Any) -> Iterable[Any]:
    """Return an iterable over a clip's frames; a single PIL image is a clip of one frame.

    Raises:
        ValueError: `frames` is not a clip, for example a path.
    """
    if isinstance(frames, str | os.PathLike):
        raise ValueError(
            f"frames is the path {os.fspath(frames)!r}: read it with fairy.read_video, or edit the "
            "file with fairy.edit_video"
        )
    if isinstance(frames, PIL.Image.Image):
        return [frames]
    if not isinstance(frames, Iterable) or isinstance(frames, bytes | dict):
        shown = "None" if frames is None else f"a {type(frames).__name__}"
        raise ValueError(f"frames is {shown}: pass {FORMS}")
    if getattr(frames, "ndim", 4) != 4:
        raise ValueError(f"frames has shape {tuple(frames.shape)}: pass {FORMS}")  # type: ignore[attr-defined]
    return frames


def picture(frame: Any, index: int = 0, *, least: float = 0.0) -> Picture:
    """Return one frame as an array (H,W,3).

    Args:
        frame: uint8 or float (H,W,3), a float tensor (3,H,W), or a PIL image.
        index: its number, for error messages.
        least: the lowest value allowed for floats.

    Raises:
        ValueError: an unsupported form, or values out of range.
    """
    if isinstance(frame, PIL.Image.Image):
        return np.asarray(frame.convert("RGB"))
    is_tensor = hasattr(frame, "detach")
    form = f"{str(getattr(frame, 'dtype', type(frame).__name__)).removeprefix('torch.')} "
    form += f"{tuple(getattr(frame, 'shape', ()))}"
    if is_tensor:
        if frame.ndim != 3 or frame.shape[0] != 3 or not frame.is_floating_point():
            advice = f"pass {FORMS}"
            if frame.ndim == 3 and frame.shape[-1] == 3:
                advice = "pass frames.permute(0, 3, 1, 2), with values in [0,1]"
            raise ValueError(f"frame {index} is a tensor {form}: {advice}")
        frame = frame.detach().cpu().float().permute(1, 2, 0).numpy()
    if not isinstance(frame, np.ndarray) or frame.ndim != 3 or frame.shape[2] != 3:
        raise ValueError(f"frame {index} is {form}: pass {FORMS}")
    if frame.dtype == np.uint8:
        return frame
    if not np.issubdtype(frame.dtype, np.floating):
        raise ValueError(f"frame {index} is {form}: pass {FORMS}")
    return _checked(np.asarray(frame, np.float32), index, least)


def to_uint8(shown: Picture) -> Image:
    """Convert a picture (H,W,3) in [0,1] to uint8; one that is already uint8 is unchanged."""
    if shown.dtype == np.uint8:
        return np.asarray(shown, np.uint8)
    return np.asarray((shown * 255).round().clip(0, 255), np.uint8)


def frame_rate(fps: Any) -> Fraction:
    """Return frames per second as a fraction; floats become an NTSC rate or a simple fraction.

    >>> frame_rate(29.97), frame_rate(12.5)
    (Fraction(30000, 1001), Fraction(25, 2))

    Raises:
        ValueError: `fps` is not a positive number.
    """
    try:
        rate = Fraction(fps)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"fps is {fps!r}: give frames per second, as in 25 or 29.97") from error
    if rate <= 0:
        raise ValueError(f"fps is {fps!r}: it must be above 0")
    if isinstance(fps, Fraction):
        return rate
    for exact in NTSC_RATES:
        # 29.97 means 30000/1001; 30 is a different rate
        if abs(rate - exact) < NTSC_ROUNDING:
            return exact
    return rate.limit_denominator(MAX_RATE_DENOMINATOR)


def _checked(values: NDArray[np.float32], index: int, least: float) -> NDArray[np.float32]:
    lowest, highest = float(values.min(initial=0)), float(values.max(initial=0))
    if not np.isfinite(lowest + highest):
        raise ValueError(f"frame {index} has values that are not finite (NaN or infinity)")
    if lowest < least - OVERSHOOT or highest > 1 + OVERSHOOT:
        raise ValueError(
            f"frame {index} has values from {lowest:g} to {highest:g}: floats are in [0,1]; use "
            "frames / 255 for levels, frames / 2 + 0.5 for [-1,1]"
        )
    return values
