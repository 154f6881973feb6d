"""fairy/analysis/tracking_figure.py."""

from __future__ import annotations

import numpy as np

from fairy.analysis.plots import colour
from fairy.analysis.tracking import THRESHOLDS_PX, LayerAccuracy, TrackingAccuracy
from fairy.analysis.tracking_figure import FIRST_MODEL, LIMIT, STILL, accuracy_figure

NUM_LAYERS, NUM_STEPS = 3, 2


def accuracy(share: float) -> TrackingAccuracy:
    within, limit = dict.fromkeys(THRESHOLDS_PX, share), dict.fromkeys(THRESHOLDS_PX, 0.9)
    layers = [
        LayerAccuracy(f"layer {layer}", step, (4, 4), within, limit)
        for step in range(NUM_STEPS)
        for layer in range(NUM_LAYERS)
    ]
    return TrackingAccuracy(layers, dict.fromkeys(THRESHOLDS_PX, 0.5), 100)


def lines_of(number: int, *, thin: bool, **models: TrackingAccuracy) -> list[np.ndarray]:
    """Return the y values of the first panel's lines of one colour."""
    axes = accuracy_figure(models).axes[0]
    lines = [line for line in axes.lines if line.get_color() == colour(number)]
    return [line.get_ydata() for line in lines if (line.get_alpha() is not None) == thin]


def test_every_threshold_has_a_panel():
    titles = [axes.get_title() for axes in accuracy_figure({"mini": accuracy(0.1)}).axes]
    assert titles == [f"within {px} px of 256" for px in (4, 8, 16, 32)]


def test_each_model_has_a_line_and_the_first_one_also_its_steps():
    models = {"mini": accuracy(0.1), "finetuned": accuracy(0.2)}
    first = lines_of(FIRST_MODEL, thin=False, **models)
    second = lines_of(FIRST_MODEL + 1, thin=False, **models)
    assert np.allclose(first, 0.1) and np.shape(first) == (1, NUM_LAYERS)
    assert np.allclose(second, 0.2) and np.shape(second) == (1, NUM_LAYERS)
    assert len(lines_of(FIRST_MODEL, thin=True, **models)) == NUM_STEPS
    assert not lines_of(FIRST_MODEL + 1, thin=True, **models)


def test_limit_and_standing_still_are_drawn_for_comparison():
    assert np.allclose(lines_of(LIMIT, thin=False, mini=accuracy(0.1)), 0.9)
    assert np.allclose(lines_of(STILL, thin=False, mini=accuracy(0.1)), 0.5)


def test_legend_names_every_line():
    (legend,) = accuracy_figure({"mini": accuracy(0.1), "other": accuracy(0.2)}).legends
    words = [text.get_text() for text in legend.get_texts()]
    assert words[0].startswith("the best") and "not move" in words[1]
    assert words[2:] == ["attention of mini", "attention of other"]
