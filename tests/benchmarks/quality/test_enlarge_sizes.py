"""The benchmark of enlarging keeps what it measured, and reports only what every clip has."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from benchmarks.quality import enlarge_sizes
from benchmarks.quality.enlarge_sizes import EXACT, METHODS, Clip, Row, complete, measure, report
from fairy.metrics.flow import estimate_flow

SIZES = (32, 48)


@pytest.fixture
def clip() -> Clip:
    """Return three frames of noise that do not move."""
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    frames = np.stack([image] * 3)
    return Clip("still", frames, *estimate_flow(enlarge_sizes.as_tensor(frames)))


def rows_of(clip: str, look: str) -> list[Row]:
    figures = {"dB": 30.0, "sharpness": 0.5, "warp error": 0.1, "edit s": 1.0, "enlarge s": 0.5}
    asked = [(0, EXACT), *product(SIZES, METHODS)]
    return [{"clip": clip, "look": look, "size": s, "method": m, **figures} for s, m in asked]


def test_only_what_is_missing_is_measured(clip: Clip, monkeypatch: pytest.MonkeyPatch):
    sizes = []

    def shrunk_exact(pipe, frames, look, size):
        sizes.append(size)
        return enlarge_sizes.resize(enlarge_sizes.exact(frames, look), (size * 2 // 3, size)), 1.0

    monkeypatch.setattr(enlarge_sizes, "edited", shrunk_exact)
    rows = list(measure(None, clip, "negative", SIZES, done=set()))
    assert sizes == list(SIZES)
    assert [(row["size"], row["method"]) for row in rows] == [(0, EXACT), *product(SIZES, METHODS)]
    # A negative is an affine map of colours: guided enlarging brings its detail back
    figures = {(row["size"], row["method"]): row for row in rows}
    assert figures[48, "guided"]["dB"] > figures[48, "bicubic"]["dB"] + 10
    assert figures[48, "guided"]["sharpness"] > 2 * figures[48, "bicubic"]["sharpness"]
    done = {enlarge_sizes.key(row) for row in rows if row["size"] != 48}
    again = list(measure(None, clip, "negative", SIZES, done=done))
    assert sizes == [*SIZES, 48]
    assert [row["method"] for row in again] == list(METHODS)


def test_looks_that_a_clip_lacks_are_not_in_the_tables():
    rows = [*rows_of("d03", "sepia"), *rows_of("d04", "sepia"), *rows_of("d03", "night")]
    assert {row["look"] for row in complete(rows, SIZES)} == {"sepia"}
    text = report(rows, sizes=SIZES, num_frames=3)
    assert "2 clips (d03, d04), 3 consecutive frames of each, 1 looks" in text
    assert "| 32 | guided | 30.0 | 0.50 | 0.100 | 1.50 | 30.0 |" in text
    assert "Sharpness by look at 32 px:\n\n|  | sepia |\n| --- | --- |\n| guided | 0.50 |" in text
    assert "| size | enlarged by | dB | sharpness | warp error | s | sepia, dB |" in text
    assert "night" not in text


def test_the_exact_result_is_the_look(clip: Clip):
    assert np.array_equal(enlarge_sizes.exact(clip.frames, "negative"), 255 - clip.frames)
    assert torch.equal(
        enlarge_sizes.as_tensor(clip.frames)[0, :, 0, 0] * 255,
        torch.from_numpy(clip.frames[0, 0, 0]).float(),
    )
