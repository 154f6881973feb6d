"""fairy/analysis/plots.py."""

from __future__ import annotations

from xml.etree import ElementTree

from fairy.analysis.plots import PALETTE, colour, new_figure, svg_text


def test_text_of_a_figure_is_one_svg_element_with_its_label():
    figure, (axes,) = new_figure(1, (3, 2))
    axes.set_title("a < b")
    root = ElementTree.fromstring(svg_text(figure, "speed & size"))
    assert root.tag.endswith("svg")
    assert (root.get("class"), root.get("aria-label")) == ("chart", "speed & size")
    assert "a < b" in [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_same_figure_gives_the_same_text():
    def draw() -> str:
        figure, (axes,) = new_figure(1, (3, 2))
        axes.plot([0, 1], [1, 2], marker="o")
        return svg_text(figure, "line")

    assert draw() == draw()


def test_colours_repeat_after_the_last():
    assert colour(0) == colour(len(PALETTE)) == PALETTE[0]
    assert len(set(PALETTE)) == len(PALETTE)
