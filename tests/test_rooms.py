"""Imports go downwards only, as tests/rooms.py says."""

from __future__ import annotations

import doctest
import shutil
from pathlib import Path

import pytest

from tests import rooms
from tests.rooms import EXCEPTIONS, MAY_IMPORT, OWNERS, ROOT, imports_in, room_of, violations

# An import upwards or of another's library, and the file that it is planted in
PLANTED = [
    ("fairy/media/read.py", "from fairy.jobs.edit import edit_video"),
    ("fairy/anchors/cache.py", "import fairy.editors.ip2p.pipeline"),
    ("fairy/metrics/flow.py", "from fairy import analysis"),
    ("fairy/jobs/edit.py", "from ..training import recipe"),
    ("fairy/errors.py", "def later():\n    from fairy.settings import EditConfig"),
    ("fairy/models/base.py", "if TYPE_CHECKING:\n    from fairy.editors.images import to_images"),
    ("fairy/editors/batches.py", "import av.container"),
    ("fairy/jobs/report.py", "from rich.table import Table"),
    ("fairy/training/recipe.py", "import typer"),
    ("fairy/attic.py", "from fairy.cli import app"),
    ("kernels/fairy_kernels/kernel.py", "from fairy.settings import EditConfig"),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the code, to spoil."""
    for folder in ("fairy", "kernels/fairy_kernels"):
        for path in (ROOT / folder).rglob("*.py"):
            target = tmp_path / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return tmp_path


def test_no_import_goes_upwards():
    assert [str(one) for one in violations()] == []


@pytest.mark.parametrize(("path", "line"), PLANTED)
def test_a_planted_import_is_found(copy: Path, path: str, line: str):
    with (copy / path).open("a") as file:
        file.write(f"\n{line}\n")
    module = path.removeprefix("kernels/").removesuffix(".py").replace("/", ".")
    assert [one.module for one in violations(copy)] == [module]


def test_every_room_has_a_row():
    files = [path.relative_to(ROOT / "fairy") for path in (ROOT / "fairy").rglob("*.py")]
    there = {path.with_suffix("").parts[0] for path in files}
    assert there | {"fairy_kernels"} == set(MAY_IMPORT)


def test_the_table_has_no_circle():
    left = {room: set(below) for room, below in MAY_IMPORT.items()}
    while left:
        lowest = {room for room, below in left.items() if not below & left.keys()}
        assert lowest, f"each of {sorted(left)} may import another of them"
        left = {room: below for room, below in left.items() if room not in lowest}


def test_exceptions_and_owners_are_needed():
    named = {(one.module, one.target) for one in imports_in()}
    assert EXCEPTIONS.keys() <= named
    assert OWNERS.keys() <= {target.split(".")[0] for _, target in named}
    assert set(OWNERS.values()) <= MAY_IMPORT.keys()


def test_example_in_the_docstring():
    assert room_of("fairy.media") == "media"
    assert doctest.testmod(rooms).failed == 0
