"""Edits that leave a choice open: was the edit made at all, and is its choice steady?

frames (T,3,H,W) in [0,1] -> PSNR in dB. The choice (such as four colours) that comes nearest to the
result is fitted to each frame, or to the whole clip.
Tests: tests/metrics/test_free_choice.py.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fairy.metrics.checks import check_pair
from fairy.metrics.fidelity import psnr_db

# Sources and results (T,3,H,W) -> the edit of the sources with the one choice nearest to results
Nearest = Callable[[Tensor, Tensor], Tensor]


def edit_psnr_db(frames: Tensor, source: Tensor, nearest: Nearest) -> float:
    """PSNR to the edit with the best choice for each frame: is it the requested edit?

    Range 0 to 100; higher is better; about 10 for noise. It does not see flicker, because every
    frame may have another choice. Dark or plain pictures are close to any look that leaves colours
    open, so compare with the source's own value. Source: own.

    Args:
        frames: (T,3,H,W) in [0,1].
        source: (T,3,H,W) in [0,1].
        nearest: such as `fairy.synthetic.free_looks.FreeLook.nearest`.

    Raises:
        ValueError: the shapes differ.
    """
    check_pair(frames, source)
    pairs = zip(source.split(1), frames.split(1), strict=True)
    return psnr_db(frames, torch.cat([nearest(before, after) for before, after in pairs]))


def hold_psnr_db(frames: Tensor, source: Tensor, nearest: Nearest) -> float:
    """PSNR to the edit with the one best choice for the whole clip: is the choice steady?

    At most `edit_psnr_db`; the gap between the two shows how much the choice changes from frame to
    frame. Arguments and errors: as for `edit_psnr_db`.
    """
    check_pair(frames, source)
    return psnr_db(frames, nearest(source, frames))
