"""How the processes of `make test` share the tests: each takes a whole file at a time.

A file's fixtures are then made once. All tests that fork are one group, because their server
takes seconds to start. Loaded with `-p tests.groups`; pytest-xdist's own groups have no effect with
pytest 9.2.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[1]
FORKING = {
    path.relative_to(ROOT).as_posix()
    for path in ROOT.glob("tests/**/test_*.py")
    if "pytest.mark.forks" in path.read_text(encoding="utf-8")
}
# What takes long must not begin last
FIRST = ("forking", "tests/test_types.py", "tests/test_python_page.py", "tests/training/")


def group_of(node_id: str) -> str:
    """Return the group of a test by its name."""
    file = node_id.partition("::")[0]
    return "forking" if file in FORKING else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest groups first."""
    items.sort(key=lambda item: [not group_of(item.nodeid).startswith(one) for one in FIRST])


class Scheduling(LoadScopeScheduling):
    """Hands out whole groups, in the order of the tests."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    """Return what hands out the tests."""
    return Scheduling(config, log)
