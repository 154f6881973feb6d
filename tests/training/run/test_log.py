"""What a run writes down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from fairy.training.run.curves import draw_curves
from fairy.training.run.log import MetricsLog


def lines(folder: Path) -> list[dict[str, float]]:
    text = (folder / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_means_are_over_the_steps_since_the_last_line(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, 0, 8, active=True)
    for loss in (1.0, 3.0):
        log.add({"loss": torch.tensor(loss)})
    assert log.means()["loss"] == 2.0
    log.add({"loss": torch.tensor(5.0)})
    assert log.means()["loss"] == 5.0


def test_images_per_second_counts_all_processes(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, 0, 8, active=True)
    log.add({"loss": torch.tensor(1.0)})
    means = log.means()
    assert means["images_per_second"] == pytest.approx(8 / means["seconds_per_step"])


def test_lines_of_steps_that_are_done_again_are_dropped(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, 0, 1, active=True)
    for step in (1, 2, 3):
        log.write(step, {"loss": float(step)})
    resumed = MetricsLog(tmp_path, 2, 1, active=True)
    assert resumed.newest == {"loss": 2.0}
    resumed.write(3, {"loss": 30.0})
    assert lines(tmp_path) == [{"step": s, "loss": v} for s, v in ((1, 1.0), (2, 2.0), (3, 30.0))]


def test_other_processes_write_nothing(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path, 0, 1, active=False)
    log.write(1, {"loss": 1.0})
    log.draw()
    log.close()
    assert log.newest == {"loss": 1.0}
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_and_a_picture_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairy.training.run.log.draw_curves", draw_curves)
    log = MetricsLog(tmp_path, 0, 1, active=True)
    log.write(1, {"loss": 1.0})
    log.draw()
    log.close()
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"loss" in events.read_bytes()
    assert (tmp_path / "curves.png").is_file()
