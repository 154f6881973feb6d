"""Options of a command come only from the settings' records."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner, Result

from fairy.batch.joblist import make_job, read_lines
from fairy.cli.options import GroupedCommand, with_options
from fairy.cli.options_table import options_table
from fairy.errors import SettingsError
from fairy.options import Option
from fairy.settings import EditConfig

JOB = {"input": "a.mp4", "instruction": "snow", "output": "b.mp4"}


@dataclass(frozen=True, kw_only=True)
class WithGlow(EditConfig):
    """Settings with an option that no edit has."""

    glow: Annotated[
        int, Option(help="Strength of the glow.", group="Light", min=0, max=9, flag="shine")
    ] = 4


def run(command: Any, *words: object) -> Result:
    app = typer.Typer(rich_markup_mode=None)
    app.command(cls=GroupedCommand)(command)
    return CliRunner().invoke(app, [str(word) for word in words])


def made_with(*words: object, **how: Any) -> Any:
    """Return what a command with the options of `WithGlow` receives."""
    received = []

    @with_options(WithGlow, **how)
    def command(config: Any, name: str = "") -> None:
        received.append(config)

    result = run(command, *words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return received[0] if received else result.output


def test_a_new_field_is_an_option_a_column_and_a_row(tmp_path: Path):
    shown = " ".join(made_with("--help").split())
    assert "Light: --shine INTEGER Strength of the glow. [default: 4]" in shown
    assert made_with("--shine", 7) == WithGlow(glow=7)
    (tmp_path / "jobs.csv").write_text("input,instruction,output,glow\na.mp4,snow,b.mp4,7\n")
    ((line, entries),) = read_lines(tmp_path / "jobs.csv")
    assert make_job(line, entries, WithGlow()).config == WithGlow(glow=7)
    assert make_job(line, JOB | {"--shine": "7"}, WithGlow()).config == WithGlow(glow=7)
    assert "| `--shine` | `glow` | 4 | Strength of the glow. |" in list(options_table(WithGlow))


def test_a_new_field_is_checked_wherever_its_value_comes_from(tmp_path: Path):
    with pytest.raises(SettingsError, match="glow is 10: it must be at most 9"):
        made_with("--shine", 10)
    with pytest.raises(SettingsError, match="glow is 10: it must be at most 9"):
        make_job(1, JOB | {"glow": 10}, WithGlow())


def test_an_option_that_is_not_given_is_the_default():
    assert made_with() == WithGlow()


def test_flags_words_and_pairs_of_words():
    words = ["--no-keep-size", "--guidance-interval", 0, 0.5, "--anchors", "4,0", "--crf", "7.0"]
    expected = WithGlow(keep_size=False, guidance_interval=(0, 0.5), anchor_indices=(4, 0), crf=7)
    assert made_with(*words) == expected


def test_a_command_may_have_some_of_the_options_and_take_them_as_they_are():
    assert made_with("--shine", "7", only=("glow", "seed"), build=dict) == {"glow": "7"}
    assert "--crf" not in made_with("--help", only=("glow", "seed"))


def test_options_win_over_a_file(tmp_path: Path):
    path = tmp_path / "f.json"
    path.write_text(json.dumps({"glow": 2, "seed": 5, "strict": True, "reuse": None}))
    config = made_with("--settings", path, "--shine", 7, "--no-strict", from_file=True)
    assert config == WithGlow(glow=7, seed=5)


def test_two_classes_give_one_command_both_their_options():
    @dataclass(frozen=True, kw_only=True)
    class More(WithGlow):
        pass

    received = []

    @with_options(WithGlow, only=("glow",))
    @with_options(More, "more", only=("seed",))
    def command(config: Any, more: Any) -> None:
        received.append((config, more))

    assert run(command, "--shine", 1, "--seed", 2).exit_code == 0
    assert received == [(WithGlow(glow=1), More(seed=2))]
