"""What a command writes into a page: the text between two marks.

Tests: tests/benchmarks/lib/test_pages.py.
"""

from __future__ import annotations


def put_between(page: str, name: str, text: str) -> str:
    """Return the page with `text` in the lines between <!-- name --> and <!-- /name -->.

    Raises:
        ValueError: the marks are not there, once each and in order.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if not (page.count(begin) == page.count(end) == 1 and page.index(begin) < page.index(end)):
        raise ValueError(f"the page needs {begin} and {end}, once each and in this order")
    return f"{page[: page.index(begin)]}{begin}\n{text}\n{page[page.index(end) :]}"
