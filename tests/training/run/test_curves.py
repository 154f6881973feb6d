"""The picture of a run's curves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from fairy.training.run.curves import draw_curves, read_metrics, smooth


def test_every_metric_is_read_with_its_steps(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0, "validation_psnr_db": 9.0}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_metrics(path) == {"loss": [(1, 2.0), (2, 1.0)], "validation_psnr_db": [(2, 9.0)]}


def test_picture_has_a_panel_per_metric(tmp_path: Path) -> None:
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    one.write_text('{"step": 1, "loss": 2.0}\n')
    two.write_text('{"step": 1, "loss": 2.0, "gradient_norm": 1.0}\n')
    sizes = []
    for path in (one, two):
        draw_curves(path, path.with_suffix(".png"))
        with Image.open(path.with_suffix(".png")) as picture:
            sizes.append(picture.height)
    assert sizes[1] == 2 * sizes[0]


def test_nothing_logged_draws_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    draw_curves(tmp_path / "empty.jsonl", tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


def test_smoothing_keeps_a_constant_and_damps_a_jump() -> None:
    assert smooth((2.0, 2.0, 2.0)) == [2.0, 2.0, 2.0]
    jump = smooth((0.0,) * 50 + (1.0,))
    assert jump[-1] == pytest.approx(0.1)


def test_smoothing_forgets_a_high_start() -> None:
    assert smooth((10.0, *(1.0,) * 40))[-1] < 1.1
