"""What fits: sizes and memories as people write them, plans, and the command that prints them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fairy.cli.app import app
from fairy.doctor.memory_plan import MemoryPlan, parse_memory, parse_size, plan_memory
from fairy.errors import SettingsError
from fairy.settings import EditConfig
from fairy.system import GIB
from tests.tiny import save_tiny_pipeline


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_pipeline(tmp_path_factory.mktemp("model"), size=32, num_inference_steps=3)


@pytest.fixture(scope="module")
def plan(model: Path) -> MemoryPlan:
    return plan_memory((480, 640), EditConfig(model=str(model)))


@pytest.mark.parametrize("text", ["1280x720", " 1280 X 720 ", "1280×720"])
def test_size_is_width_first(text):
    assert parse_size(text) == (720, 1280)


@pytest.mark.parametrize("text", ["1280", "1280x", "0x720", "-1x2", "wide", "1280x720x3"])
def test_bad_size_says_what_to_write(text):
    with pytest.raises(SettingsError, match="as in 1280x720"):
        parse_size(text)


@pytest.mark.parametrize("text", ["8GB", "8 GiB", "8", "8.0g"])
def test_memory_is_in_gibibytes(text):
    assert parse_memory(text) == 8 * GIB


def test_bad_memory_says_what_to_write():
    with pytest.raises(SettingsError, match="as in 8GB"):
        parse_memory("lots")


def test_plan_is_of_the_size_and_steps_of_fairy_edit(plan):
    assert plan.shape.size == (24, 32)
    assert plan.shape.num_steps == 3


def test_more_memory_never_fits_fewer_frames(plan):
    fits = [plan.fit(plan.least() + extra * GIB // 1000) for extra in range(0, 100, 5)]
    frames = [0 if fit is None else fit.num_frames for fit in fits]
    assert frames[0] == 0  # a tenth is left free
    assert frames == sorted(frames)
    assert frames[-1] == 32


def test_what_fits_is_less_than_there_is(plan):
    for num_bytes in (GIB, 2 * GIB):
        fit = plan.fit(num_bytes)
        assert fit is not None
        assert plan.least() <= fit.peak < num_bytes


def test_frames_asked_for_are_taken_or_do_not_fit(model):
    config = EditConfig(model=str(model), frame_batch_size=50)
    plan = plan_memory((480, 640), config)
    fit = plan.fit(8 * GIB)
    assert fit is not None
    assert fit.num_frames == 50
    assert plan.fit(plan.least()) is None


def test_command_prints_a_table_of_cards(model):
    result = CliRunner().invoke(
        app, ["doctor", "--plan", "640x480", "--model", str(model), "--device", "cuda"]
    )
    assert result.exit_code == 0, result.output
    assert "640x480 on a CUDA card: edited at 32x24 in 3 steps" in result.output
    assert all(f" {card} GB " in result.output for card in (8, 12, 16, 24, 48, 80))


def test_command_ends_a_bad_size_in_one_line():
    result = CliRunner().invoke(app, ["doctor", "--plan", "1280"])
    assert result.exit_code == 2
    assert result.stderr.startswith("fairy: --size '1280'")
    assert result.stderr.count("\n") == 1
