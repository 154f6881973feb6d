"""The measures of an edit, which are the rows of every table; computed with `fairy.metrics`.

A measure that cannot be taken (no captions, no weights, nothing is still) gives the reason, never a
substitute. Tests: tests/evaluation/test_measures.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from fairy.evaluation.pair import Pair
from fairy.metrics.drift import drift
from fairy.metrics.fidelity import lpips, psnr_db, same_region, sharpness, ssim
from fairy.metrics.free_choice import Nearest, edit_psnr_db, hold_psnr_db
from fairy.metrics.semantic import Encoder, clip_direction, frame_acc, tem_con
from fairy.metrics.temporal import (
    LEAST_FRAMES_FOR_POWER,
    high_frequency_power,
    interpolation_error,
    warp_error,
)

Better = Literal["lower", "higher", "neither"]
Take = Callable[[Pair, Encoder | None], float]


class NotMeasured(Exception):
    """A measure does not apply to a clip, or something is missing; the message says why."""


@dataclass(frozen=True)
class Row:
    """How a measure is shown.

    Attributes:
        key: its name in JSON and CSV.
        label: its name on a page.
        better: which direction is good; "neither" for rows that only help to read the others.
        scale: factor for display; JSON and CSV have the values unscaled.
        unit: shown with the label.
        digits: decimals of the scaled value.
        meaning: one line for the report.
    """

    key: str
    label: str
    better: Better
    scale: float
    unit: str
    digits: int
    meaning: str


@dataclass(frozen=True)
class Measure(Row):
    """A row of an edit's scores; `take` computes it."""

    take: Take


def _warp_error(pair: Pair, encoder: Encoder | None) -> float:
    if not pair.visible.any():
        raise NotMeasured("no point of a frame is visible in the next one")
    return warp_error(pair.edited, pair.flow, pair.visible)


def _interpolation_error(pair: Pair, encoder: Encoder | None) -> float:
    if len(pair.edited) < 3:
        raise NotMeasured("needs 3 frames")
    return interpolation_error(pair.edited)


def _high_frequency_power(pair: Pair, encoder: Encoder | None) -> float:
    if len(pair.edited) < LEAST_FRAMES_FOR_POWER:
        raise NotMeasured(f"needs {LEAST_FRAMES_FOR_POWER} frames")
    return _measured(
        high_frequency_power(pair.edited, pair.source), "nothing in the source is still"
    )


def _psnr_db(pair: Pair, encoder: Encoder | None) -> float:
    return psnr_db(pair.edited, _target(pair))


def _ssim(pair: Pair, encoder: Encoder | None) -> float:
    return ssim(pair.edited, _target(pair))


def _lpips(pair: Pair, encoder: Encoder | None) -> float:
    reason = "needs the package lpips and its weights"
    return _measured(lpips(pair.edited, _target(pair)), reason)


def _outside_db(pair: Pair, encoder: Encoder | None) -> float:
    same = same_region(pair.source, _target(pair))
    if not same.any():
        raise NotMeasured("the target changes every pixel")
    return psnr_db(pair.edited, pair.source, same)


def _sharpness(pair: Pair, encoder: Encoder | None) -> float:
    reference = pair.source if pair.target is None else pair.target
    return _measured(sharpness(pair.edited, reference), "the reference has no detail")


def _change(pair: Pair, encoder: Encoder | None) -> float:
    return float((pair.edited - pair.source).abs().mean())


def _mean_drift(pair: Pair, encoder: Encoder | None) -> float:
    return float(drift(pair.edited, pair.look_indices).mean())


def _tem_con(pair: Pair, encoder: Encoder | None) -> float:
    return tem_con(pair.edited, _encoder(encoder))


def _frame_acc(pair: Pair, encoder: Encoder | None) -> float:
    return frame_acc(pair.edited, *_captions(pair), _encoder(encoder))


def _clip_direction(pair: Pair, encoder: Encoder | None) -> float:
    return clip_direction(pair.edited, pair.source, *_captions(pair), _encoder(encoder))


def _edit_db(pair: Pair, encoder: Encoder | None) -> float:
    return edit_psnr_db(pair.edited, pair.source, _nearest(pair))


def _hold_db(pair: Pair, encoder: Encoder | None) -> float:
    return hold_psnr_db(pair.edited, pair.source, _nearest(pair))


def _unedited_db(pair: Pair, encoder: Encoder | None) -> float:
    return edit_psnr_db(pair.source, pair.source, _nearest(pair))


def _nearest(pair: Pair) -> Nearest:
    if pair.nearest is None:
        raise NotMeasured("the edit has no free choice that can be fitted")
    return pair.nearest


def _measured(value: float | None, reason: str) -> float:
    if value is None:
        raise NotMeasured(reason)
    return value


def _target(pair: Pair) -> Tensor:
    if pair.target is None:
        raise NotMeasured("the exact result is not known")
    return pair.target


def _encoder(encoder: Encoder | None) -> Encoder:
    if encoder is None:
        raise NotMeasured("needs a CLIP model: --clip-model")
    return encoder


def _captions(pair: Pair) -> tuple[str, str]:
    if pair.captions is None:
        raise NotMeasured("needs captions of the source and of the intended result: --captions")
    return pair.captions


MEASURES = (
    Measure(
        "warp_error", "Warp error", "lower", 1000, "× 10⁻³", 2,
        "Mean squared difference between consecutive frames along the source's motion, on [0, 1].",
        _warp_error,
    ),
    Measure(
        "interpolation_error", "Interpolation error", "lower", 100, "× 10⁻²", 2,
        "Root mean squared distance of a frame from the mean of its two neighbours, on [0, 1].",
        _interpolation_error,
    ),
    Measure(
        "high_frequency_power", "Fast flicker", "lower", 1e4, "× 10⁻⁴", 2,
        "Temporal power above a third of the frame rate, where the source is still.",
        _high_frequency_power,
    ),
    Measure(
        "drift", "Drift", "lower", 100, "× 10⁻²", 2,
        "Distance of each frame's colours and edges from the nearest of a few reference frames.",
        _mean_drift,
    ),
    Measure(
        "psnr_db", "PSNR to the target", "higher", 1, "dB", 2,
        "For deterministic edits of rendered clips, whose exact result is known.",
        _psnr_db,
    ),
    Measure(
        "ssim", "SSIM to the target", "higher", 1, "", 3,
        "Structural similarity, if the exact result is known.",
        _ssim,
    ),
    Measure(
        "lpips", "LPIPS to the target", "lower", 1, "", 3,
        "Learned perceptual distance, if the exact result is known.",
        _lpips,
    ),
    Measure(
        "edit_db", "PSNR to the best choice, by frame", "higher", 1, "dB", 2,
        "PSNR to the edit with the best free choice for each frame: is it the requested edit?",
        _edit_db,
    ),
    Measure(
        "hold_db", "PSNR to the best choice, by clip", "higher", 1, "dB", 2,
        "PSNR to the edit with one free choice for the whole clip: is the choice steady?",
        _hold_db,
    ),
    Measure(
        "outside_db", "PSNR outside the edit", "higher", 1, "dB", 2,
        "PSNR to the source, where the exact result does not change it.",
        _outside_db,
    ),
    Measure(
        "tem_con", "Tem-Con", "higher", 1, "", 4,
        "Mean cosine of CLIP features of consecutive frames.",
        _tem_con,
    ),
    Measure(
        "frame_acc", "Frame-Acc", "higher", 1, "", 3,
        "Share of frames nearer to the intended caption than to the source's.",
        _frame_acc,
    ),
    Measure(
        "clip_direction", "CLIP direction", "higher", 1, "", 3,
        "Cosine between the pictures' change and the captions' change.",
        _clip_direction,
    ),
    Measure(
        "sharpness", "Sharpness", "neither", 1, "× reference", 2,
        "Energy of fine detail, relative to the target's or else the source's; 1 is equally sharp. "
        "Blur lowers every steadiness error: below 1, do not trust them.",
        _sharpness,
    ),
    Measure(
        "unedited_db", "The source's PSNR to the best choice", "neither", 1, "dB", 2,
        "The value of an unedited clip: a PSNR to the best choice close to it shows no edit.",
        _unedited_db,
    ),
    Measure(
        "change", "Change from the source", "neither", 1, "", 3,
        "Mean absolute difference on [0, 1]; near 0 nothing was edited: steadiness is no merit.",
        _change,
    ),
)  # fmt: skip
MEASURES_BY_KEY = {row.key: row for row in MEASURES}
