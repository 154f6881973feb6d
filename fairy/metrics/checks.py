"""Check shapes before a measurement, with one-line errors.

Frames (T,3,H,W) in [0,1]. Tests: tests/metrics/test_checks.py.
"""

from __future__ import annotations

from torch import Tensor


def check_frames(frames: Tensor, *, least: int = 1) -> None:
    """Check that frames are a clip of at least `least` frames.

    Raises:
        ValueError: not float (T,3,H,W), or too short.
    """
    if frames.ndim != 4 or frames.shape[1] != 3 or not frames.is_floating_point():
        raise ValueError(
            f"frames are {frames.dtype} {tuple(frames.shape)}: give float (T,3,H,W) in [0,1]"
        )
    if len(frames) < least:
        raise ValueError(f"{len(frames)} frames: this needs at least {least}")


def check_pair(frames: Tensor, reference: Tensor, *, least: int = 1) -> None:
    """Check that two clips have the same length and size.

    Raises:
        ValueError: the shapes differ, or one is not a clip.
    """
    check_frames(frames, least=least)
    check_frames(reference, least=least)
    if frames.shape != reference.shape:
        raise ValueError(
            f"frames are {tuple(frames.shape)}, the reference is {tuple(reference.shape)}: "
            "bring both to the same length and size first"
        )


def check_mask(mask: Tensor, shape: tuple[int, ...]) -> None:
    """Check that a mask is bool of `shape` and selects a point.

    Raises:
        ValueError: the shape or type is different, or the mask is empty.
    """
    if mask.shape != shape or mask.dtype.is_floating_point:
        raise ValueError(f"mask is {mask.dtype} {tuple(mask.shape)}: give bool {tuple(shape)}")
    if not mask.any():
        raise ValueError("the mask selects no point: there is nothing to compare")
