"""What is installed, what is imported, and what an import costs."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import fairy

ROOT = Path(__file__).parent.parent
BUILD = "from setuptools import build_meta as b; b.build_{kind}({out!r})"


def build(kind: str, out: Path) -> Path:
    """Build the wheel or sdist of a copy of the tree, without an isolated build environment."""
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if tracked.returncode != 0:
        pytest.skip("not a git checkout: what belongs to the tree is unknown")
    copy = out / "tree"
    for name in tracked.stdout.splitlines():
        target = copy / name
        if (ROOT / name).is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-c", BUILD.format(kind=kind, out=str(out))]
    subprocess.run(command, cwd=copy, check=True, capture_output=True)
    return next(out.glob("*.whl" if kind == "wheel" else "*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    path = build("wheel", tmp_path_factory.mktemp("wheel"))
    assert path.stat().st_size < 100e6
    return set(zipfile.ZipFile(path).namelist())


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    with tarfile.open(build("sdist", tmp_path_factory.mktemp("sdist"))) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def shipped(folder: str, pattern: str = "*") -> set[str]:
    """Return the files of the tree that an install needs, as paths inside the wheel."""
    files = (path for path in (ROOT / folder).rglob(pattern) if path.is_file())
    return {
        str(path.relative_to(ROOT)).removeprefix("kernels/")
        for path in files
        if "__pycache__" not in path.parts
    }


def test_kernels_is_a_source_root_not_a_package():
    assert not (ROOT / "kernels" / "__init__.py").exists()


def test_wheel_holds_no_top_level_kernels(wheel: set[str]):
    tops = {name.split("/")[0] for name in wheel if ".dist-info/" not in name}
    assert tops == {"fairy", "fairy_kernels"}


def test_wheel_holds_every_module(wheel: set[str]):
    missing = (shipped("fairy", "*.py") | shipped("kernels/fairy_kernels", "*.py")) - wheel
    assert not missing


def test_wheel_holds_the_bundled_model(wheel: set[str]):
    model = shipped("fairy/models/mini")
    assert "fairy/models/mini/model_index.json" in model
    assert model <= wheel


def test_wheel_holds_the_reports_page(wheel: set[str]):
    page = shipped("fairy/evaluation/page")
    assert "fairy/evaluation/page/report.html" in page
    assert page <= wheel


def test_wheel_holds_recipes_and_the_types_marker(wheel: set[str]):
    assert shipped("fairy/training/recipes", "*.yaml") <= wheel
    assert "fairy/py.typed" in wheel


def test_wheel_has_the_command(wheel: set[str]):
    assert any(name.endswith("entry_points.txt") for name in wheel)


def test_sdist_is_enough_to_build_from(sdist: set[str]):
    needed = {"setup.py", "pyproject.toml", "README.md", "LICENSE", "constraints.txt"}
    assert needed | shipped("fairy/models/mini") | shipped("fairy", "*.py") <= sdist
    assert "kernels/fairy_kernels/__init__.py" in sdist


def test_every_package_has_an_init():
    packages = {path.parent for path in (ROOT / "fairy").rglob("*.py")}
    assert [folder for folder in packages if not (folder / "__init__.py").exists()] == []


def test_import_does_no_heavy_work():
    heavy = "{'torch', 'av', 'cv2'} & set(sys.modules)"
    code = f"import fairy, fairy.cli.app, sys; sys.exit(bool({heavy}))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("name", fairy.__all__)
def test_public_names_resolve(name: str):
    assert getattr(fairy, name) is not None


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'edit_movie'"):
        _ = fairy.edit_movie
