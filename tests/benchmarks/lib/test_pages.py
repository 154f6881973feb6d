"""benchmarks/lib/pages.py: a page changes between its marks only."""

from __future__ import annotations

import pytest

from benchmarks.lib.pages import markdown_table, put_between

BEGIN, END = "<!-- speed -->", "<!-- /speed -->"


def test_page_changes_between_the_marks_only_and_once():
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = put_between(page, "speed", "new")
    assert once == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    assert put_between(once, "speed", "new") == once


@pytest.mark.parametrize("page", ["", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_page_without_the_marks_is_refused(page):
    with pytest.raises(ValueError, match="once each"):
        put_between(page, "speed", "new")


def test_table_has_a_line_for_the_columns_a_rule_and_each_row():
    table = markdown_table(["a", "b"], [["1", "2"], ["3", "4"]])
    assert table.splitlines() == ["| a | b |", "| --- | --- |", "| 1 | 2 |", "| 3 | 4 |"]
