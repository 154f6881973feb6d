"""fairy/evaluation/charts.py: where points fall, and that the text is XML."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree

import pytest

from fairy.evaluation.charts import Frame, Line, Spot, line_chart, nice_ticks, scatter_chart


def chart(*lines: Line, **how: object) -> ElementTree.Element:
    return ElementTree.fromstring(line_chart(lines, x_label="frame", y_label="error", **how))


def test_larger_values_stand_higher_and_further_right():
    frame = Frame((0, 10), (0, 1))
    assert frame.top(1) < frame.top(0)
    assert frame.left(10) > frame.left(0)


def test_every_point_lies_inside():
    root = chart(Line("a", 0, [0, 1, 2], [0.0, 5.0, 2.5], [0.0, 4.0, 2.0], [1.0, 6.0, 3.0]))
    width, height = map(float, root.get("viewBox").split()[2:])
    numbers = re.findall(r"(-?[\d.]+),(-?[\d.]+)", ElementTree.tostring(root, "unicode"))
    assert len(numbers) > 8
    assert all(0 <= float(x) <= width and 0 <= float(y) <= height for x, y in numbers)


def test_a_gap_has_no_point():
    root = chart(Line("a", 0, [0, 1, 2], [1.0, None, 3.0]))
    assert len(root.findall(".//circle")) == 2


def test_names_are_escaped():
    root = chart(Line("a < b & c", 1, [0, 1], [1.0, 2.0]))
    assert root.find(".//title").text.startswith("a < b & c: ")


def test_points_without_spread_are_drawn():
    assert chart(Line("a", 0, [3], [0.0])).find(".//circle") is not None


def test_spots_have_bars_both_ways():
    spots = [Spot("a", 0, (1, 0.5, 1.5), (1, 0, 2)), Spot("b", 1, (9, 8, 10), (2, 2, 2))]
    root = ElementTree.fromstring(scatter_chart(spots, x_label="x", y_label="y"))
    assert [title.text for title in root.findall(".//title")] == ["a", "b"]
    assert all(bar.count("L") == 2 for bar in (p.get("d") for p in root.findall(".//g/path")))


def test_one_of_many_is_drawn_thin_and_unmarked():
    root = chart(Line("a", 0, [0, 1], [1.0, 2.0], faint=True))
    assert [path.get("class") for path in root.findall(".//g/path")] == ["faint"]
    assert root.find(".//circle") is None


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 0.0037), (-3, 250), (22.1, 22.9)])
def test_ticks_are_few_round_and_inside(low, high):
    ticks = nice_ticks(low, high)
    assert 3 <= len(ticks) <= 7
    assert all(low <= tick <= high for tick in ticks)
    steps = {round(b - a, 9) for a, b in itertools.pairwise(ticks)}
    assert len(steps) == 1
    assert f"{steps.pop():e}"[0] in "125"
