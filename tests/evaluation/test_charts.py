"""fairy/evaluation/charts.py: what is drawn, and where x is on the page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from fairy.analysis.plots import PALETTE
from fairy.evaluation.charts import Chart, Labels, Line, Spot, line_chart, scatter_chart

SVG = "{http://www.w3.org/2000/svg}"


def chart(*lines: Line, **how: object) -> Chart:
    return line_chart(lines, Labels(x="frame", y="error", **how))


def marks_of(svg: str) -> list[tuple[float, float]]:
    """Return where markers are, in the units of the view box."""
    # A band is a <use> in the palette's colours as well, at (0, height)
    uses = [use for use in ElementTree.fromstring(svg).iter(f"{SVG}use") if use.get("x") != "0"]
    shown = [use for use in uses if any(code in use.get("style", "") for code in PALETTE)]
    return [(float(use.get("x")), float(use.get("y"))) for use in shown]


def ticks_of(svg: str) -> list[str]:
    texts = [text.text.strip() for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    return [text for text in texts if re.fullmatch(r"−?[\d.]+", text)]


def test_larger_values_are_higher_and_further_right():
    (left, low), (right, high) = marks_of(chart(Line(0, [0, 10], [0.0, 1.0])).svg)
    assert right > left and high < low


def test_every_mark_is_inside():
    svg = chart(Line(0, [0, 1, 2], [0.0, 5.0, 2.5], [0.0, 4.0, 2.0], [1.0, 6.0, 3.0])).svg
    width, height = map(float, ElementTree.fromstring(svg).get("viewBox").split()[2:])
    marks = marks_of(svg)
    assert len(marks) == 3
    assert all(0 <= x <= width and 0 <= y <= height for x, y in marks)


def test_a_gap_has_no_mark():
    assert len(marks_of(chart(Line(0, [0, 1, 2], [1.0, None, 3.0])).svg)) == 2


def test_points_without_spread_are_drawn():
    assert len(marks_of(chart(Line(0, [3], [0.0])).svg)) == 1


def test_one_of_many_is_drawn_without_marks():
    assert not marks_of(chart(Line(0, [0, 1], [1.0, 2.0], faint=True)).svg)


def test_a_page_can_place_a_cursor_at_any_x():
    drawn = chart(Line(0, [0, 4, 7], [1.0, 2.0, 3.0]))
    width = float(ElementTree.fromstring(drawn.svg).get("viewBox").split()[2])
    expected = [100 * x / width for x, _ in marks_of(drawn.svg)]
    found = [drawn.zero_percent + x * drawn.unit_percent for x in (0, 4, 7)]
    assert found == pytest.approx(expected, abs=0.1)


def test_frames_are_counted_in_whole_numbers():
    x_ticks = ticks_of(chart(Line(0, [1, 2, 3], [0.5, 0.5, 0.5])).svg)[:3]
    assert all(tick.isdigit() for tick in x_ticks)


def test_axis_starts_at_zero_by_default():
    line = Line(0, [0, 1], [100.0, 101.0])
    assert "0" in ticks_of(chart(line, ticks=[0.5]).svg)
    assert "0" not in ticks_of(chart(line, ticks=[0.5], from_zero=False).svg)


def test_spots_have_bars_both_ways():
    spots = [Spot(0, (1, 0.5, 1.5), (1, 0, 2)), Spot(1, (9, 8, 10), (2, 1, 3))]
    root = ElementTree.fromstring(scatter_chart(spots, x_label="x", y_label="y"))
    bars = [group for group in root.iter(f"{SVG}g") if group.get("id", "").startswith("LineColl")]
    assert len(bars) == 4
