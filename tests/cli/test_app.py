"""The command as a whole: every help is grouped, short and fast."""

from __future__ import annotations

import subprocess
import sys

from typer.testing import CliRunner

import fairy
from fairy.cli.app import COMMANDS, app
from fairy.settings import GROUPS

# What takes seconds to import
SLOW = ("torch", "diffusers", "transformers", "numpy", "cv2", "av", "scipy", "matplotlib", "yaml")


def test_version():
    assert CliRunner().invoke(app, ["--version"]).output == f"fairy {fairy.__version__}\n"


def test_help_names_every_command():
    output = CliRunner().invoke(app, ["--help"]).output
    listed = [line.split()[0] for line in output.split("Commands:")[1].splitlines() if line.strip()]
    assert listed == list(COMMANDS)
    # Nothing is cut
    assert "..." not in output.split("Commands:")[1]


def test_no_help_needs_a_library_that_takes_long_to_import():
    code = (
        "import sys\n"
        "from fairy.cli.app import COMMANDS, app\n"
        "for words in ([], *([name] for name in COMMANDS)):\n"
        "    app([*words, '--help'], standalone_mode=False)\n"
        f"    print('slow:', words, sorted(set({SLOW!r}) & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    said = [line for line in result.stdout.splitlines() if line.startswith("slow:")]
    assert said == [f"slow: {words} []" for words in ([], *([name] for name in COMMANDS))]
    assert result.stdout.count("Usage") == len(said)


def test_options_of_edit_are_listed_by_group():
    output = CliRunner().invoke(app, ["edit", "--help"]).output
    headings = [line[:-1] for line in output.splitlines() if line[:1].isalpha() and line[-1] == ":"]
    assert headings == ["Arguments", *GROUPS, "Other options"]
    between = output.split("Anchors:")[1].split("Quality and speed:")[0]
    assert "--num-anchors" in between and "--anchor-strength" in between
