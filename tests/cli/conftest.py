"""A tiny model and a short clip; a finetune of toy size, as in the training's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import Result

from fairy.media.write import write_video
from tests.tiny import make_frames, save_model_that_knows
from tests.training.conftest import finetune_config, tiny_model, tiny_pairs

__all__ = ["finetune_config", "tiny_model", "tiny_pairs"]

NUM_FRAMES = 5


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model_that_knows(tmp_path_factory.mktemp("model"), "make it snow")


@pytest.fixture(scope="module")
def shared_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_video(make_frames(NUM_FRAMES, 48, 64), path, fps=10)
    return path


@pytest.fixture
def clip(shared_clip: Path, tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(shared_clip.read_bytes())
    return path


def assert_refused(result: Result, words: str, folder: Path, kept: set[str]) -> None:
    """One line with these words, exit code 2, and nothing new in the folder, hidden files too."""
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert result.stderr.startswith("fairy: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert {path.name for path in folder.iterdir()} == kept
