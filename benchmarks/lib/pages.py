"""Write text, such as tables, between two marks in a Markdown page.

Tests: tests/benchmarks/lib/test_pages.py.
"""

from __future__ import annotations

from collections.abc import Sequence


def put_between(page: str, name: str, text: str) -> str:
    """Return the page with `text` in the lines between <!-- name --> and <!-- /name -->.

    Raises:
        ValueError: the page does not have both marks, once each and in order.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if not (page.count(begin) == page.count(end) == 1 and page.index(begin) < page.index(end)):
        raise ValueError(f"the page needs {begin} and {end}, once each and in this order")
    return f"{page[: page.index(begin)]}{begin}\n{text}\n{page[page.index(end) :]}"


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, without a trailing newline.

    >>> print(markdown_table(["way", "s"], [["ours", "1.5"]]))
    | way | s |
    | --- | --- |
    | ours | 1.5 |
    """
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
