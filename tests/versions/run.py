"""Fairy with each Python of this machine, with the lowest and the newest libraries it declares.

The project's own Python has torch, so it runs tests of edits, resuming and training; the others,
where torch would be several gigabytes each, run what needs none (`tests/versions/smoke.py`). Which
versions: the ranges of setup.py, resolved by uv. Environments are kept in .venv/versions.

    make test-versions
"""

from __future__ import annotations

import ast
import glob
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".venv" / "versions"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
SETS = ("lowest", "newest")
# Several gigabytes on other Pythons; what needs it is tested with the project's own
HEAVY = ("torch", "diffusers", "transformers", "safetensors")
# With torch: an import, an edit that is stopped and resumed, a step of training
TESTS = (
    "tests/test_main.py",
    "tests/cli/test_info.py",
    "tests/cli/test_edit.py::test_overwrite_replaces",
    "tests/editors/ip2p/test_call.py::test_return_dict",
    "tests/jobs/test_resume.py::test_frames_that_are_done_are_not_edited_again",
    "tests/training/run/test_trainer.py::test_training_changes_every_weight",
)
CLIPS = ("odd_size_444.mp4", "bear_vp9.webm", "paper_rot90.mp4", "tiny_66x50.mov")


@dataclass(frozen=True)
class Case:
    """One Python with one set of libraries."""

    python: str
    executable: str
    libraries: str

    @property
    def has_torch(self) -> bool:
        """Whether it is the project's own Python."""
        return self.python == own_version()

    @property
    def folder(self) -> Path:
        """Its environment."""
        return KEPT / f"{self.python}-{self.libraries}"


def main() -> int:
    """Run every case; return how many failed."""
    cases = [
        Case(python, executable, libraries)
        for python, executable in pythons().items()
        for libraries in SETS
    ]
    # One after another: installing is most of it, and uv keeps what it has downloaded
    num_failed = [reported(case) for case in cases].count(False)
    missing = [python for python in PYTHONS if python not in pythons()]
    if missing:
        print(f"not on this machine: Python {', '.join(missing)}")
    print(f"versions: {len(cases) - num_failed} passed, {num_failed} failed")
    return num_failed


def reported(case: Case) -> bool:
    """Run a case and print how it ended."""
    began = time.monotonic()
    done = run(case)
    outcome = "passed" if done else "FAILED"
    seconds = time.monotonic() - began
    print(
        f"Python {case.python}, {case.libraries} libraries: {outcome} ({seconds:.0f} s)", flush=True
    )
    return done


def own_version() -> str:
    """Return the version of the Python that runs this."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def pythons() -> dict[str, str]:
    """Return an executable for each supported Python that is here, by its version."""
    found = {own_version(): sys.executable}
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    for version in PYTHONS:
        named = (shutil.which(f"python{version}"), f"/usr/bin/python{version}")
        kept = sorted(glob.glob(f"{pyenv}/versions/{version}.*/bin/python{version}"))
        for path in (*named, *kept):
            # A shim of pyenv may be there for a Python that is switched off
            if version not in found and path and _runs(path, version):
                found[version] = path
    return dict(sorted(found.items(), key=lambda item: PYTHONS.index(item[0])))


def _runs(path: str, version: str) -> bool:
    command = [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def requirements(extras: tuple[str, ...] = ()) -> list[str]:
    """Return what setup.py declares, and of some extras.

    Raises:
        ValueError: a library without a lowest version: one that was never run would be declared.
    """
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    call = next(
        node.value for node in tree.body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    )  # fmt: skip
    values = {word.arg: word.value for word in call.keywords}
    found: list[str] = ast.literal_eval(values["install_requires"])
    declared: dict[str, list[str]] = ast.literal_eval(values["extras_require"])
    if unbound := [one for one in found if ">=" not in one]:
        raise ValueError(f"setup.py declares no lowest version of {', '.join(unbound)}")
    return found + [one for extra in extras for one in declared[extra]]


def run(case: Case) -> bool:
    """Make the environment of a case, if need be, and run its tests there."""
    if case.has_torch and case.libraries == "newest":
        python = sys.executable
    else:
        python = str(case.folder / "bin" / "python")
        if not _install(case, python):
            return False
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'kernels'}"}
    if case.has_torch:
        command = [
            python,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            "-m",
            "not gpu",
            *TESTS,
        ]
    else:
        shared = ROOT.parent / "shared" / "clips" / "stress"
        clips = [str(shared / name) for name in CLIPS if (shared / name).exists()]
        command = [python, str(ROOT / "tests" / "versions" / "smoke.py"), *clips]
    return _call(command, env)


def _install(case: Case, python: str) -> bool:
    heavy = () if case.has_torch else HEAVY
    needed = [one for one in requirements(("lora",)) if _name(one) not in (*heavy, "torch")]
    needed = [one for one in needed if case.has_torch or _name(one) != "peft"]
    state = case.folder / "installed.txt"
    if state.exists() and state.read_text() == "\n".join(needed):
        return True
    uv = [sys.executable, "-m", "uv"]
    resolution = "lowest-direct" if case.libraries == "lowest" else "highest"
    install = ["pip", "install", "-q", "--python", python, "--only-binary", ":all:"]
    done = _call(
        [*uv, "venv", "-q", "--clear", "--python", case.executable, str(case.folder)]
    ) and (_call([*uv, *install, "--resolution", resolution, *needed]))
    if done and case.has_torch:
        _borrow(case.folder)
    if done:
        state.write_text("\n".join(needed))
    return done


def _borrow(folder: Path) -> None:
    """Let an environment use what else the project's own has, torch and pytest among it."""
    own = Path(sys.prefix) / "lib" / f"python{own_version()}" / "site-packages"
    (packages,) = folder.glob("lib/*/site-packages")
    (packages / "own.pth").write_text(f"{own}\n")


def _name(requirement: str) -> str:
    return requirement.partition(">")[0].strip()


def _call(command: list[str], env: dict[str, str] | None = None) -> bool:
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        print(" ".join(command), done.stdout[-3000:], done.stderr[-3000:], sep="\n", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
