"""fairy/evaluation/tracking_figures.py."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from fairy.analysis.tracking import THRESHOLDS_PX, LayerAccuracy, TrackingAccuracy
from fairy.evaluation.tracking_figures import tracking_charts, tracking_legend

NUM_LAYERS, NUM_STEPS = 3, 2


def accuracy(share: float) -> TrackingAccuracy:
    within, limit = dict.fromkeys(THRESHOLDS_PX, share), dict.fromkeys(THRESHOLDS_PX, 0.9)
    layers = [
        LayerAccuracy(f"layer {layer}", step, (4, 4), within, limit)
        for step in range(NUM_STEPS)
        for layer in range(NUM_LAYERS)
    ]
    return TrackingAccuracy(layers, dict.fromkeys(THRESHOLDS_PX, 0.5), 100)


def test_every_threshold_has_its_chart():
    captions = [caption for _, caption in tracking_charts({"mini": accuracy(0.1)})]
    assert captions == [f"Within {px} px of 256." for px in (4, 8, 16, 32)]


def test_each_step_is_a_thin_line_and_each_model_is_marked_layer_by_layer():
    models = {"mini": accuracy(0.1), "finetuned": accuracy(0.2)}
    root = ElementTree.fromstring(tracking_charts(models)[0][0])
    thin = [path for path in root.findall(".//g/path") if path.get("class") == "faint"]
    assert len(thin) == NUM_STEPS
    marks = [mark.text for mark in root.findall(".//circle/title")]
    assert marks == [
        f"{name}: {layer}, {share}"
        for name, share in (("mini", 10), ("finetuned", 20))
        for layer in (1, 2, 3)
    ]


def test_every_line_has_its_colour_in_the_legend():
    models = {"mini": accuracy(0.1), "finetuned": accuracy(0.2)}
    styles = {style for style, _ in tracking_legend(models)}
    drawn = ElementTree.fromstring(tracking_charts(models)[0][0])
    assert {f"s{style}" for style in styles} == {g.get("class") for g in drawn.findall(".//g")}


@pytest.mark.parametrize("draw", [tracking_charts, tracking_legend])
def test_what_was_not_measured_is_not_drawn(draw):
    assert draw({}) == []
