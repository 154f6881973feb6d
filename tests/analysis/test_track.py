"""fairy/analysis/track.py and its command: pictures appear, mistakes end in one line."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from examples.tiny_editor import make_tiny_editor
from fairy.analysis.track import measure_tracking, spread, track_point, tracked_clips
from fairy.cli.app import app
from fairy.errors import OutputExistsError, SettingsError
from fairy.media.write import write_video
from fairy.settings import EditConfig
from tests.tiny import make_frames, save_tiny_pipeline


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> EditConfig:
    folder = tmp_path_factory.mktemp("model")
    save_tiny_pipeline(folder, size=32, num_inference_steps=2)
    return EditConfig(model=str(folder), device="cpu", num_anchors=2)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_video(make_frames(6, 48, 64), path, fps=10)
    return path


def test_picture_has_a_column_for_the_frame_and_each_anchor(clip, config, tmp_path):
    track_point(clip, (30, 20), tmp_path / "point.png", config)
    width, height = Image.open(tmp_path / "point.png").size
    # Cells of 341 x 256 px and the gaps between
    assert 3 * 341 < width < 3.3 * 341 and 256 < height < 1.5 * 256


def test_a_flat_map_is_spread_over_all_tokens_and_a_peak_over_one():
    peak = torch.zeros(2, 4, 5)
    peak[1, 2, 3] = 0.7
    assert spread({"flat": torch.full((2, 4, 5), 0.01)})["flat"] == pytest.approx(1)
    assert spread({"peak": peak})["peak"] == pytest.approx(1 / 40)


def test_a_flat_map_is_said(clip, config, tmp_path, caplog):
    # The random weights of the tiny model look everywhere
    track_point(clip, (30, 20), tmp_path / "point.png", config)
    assert "the attention is flat" in caplog.text


def test_every_layer_gets_its_row(clip, config, tmp_path):
    track_point(clip, (30, 20), tmp_path / "point.png", config, all_layers=True)
    assert Image.open(tmp_path / "point.png").size[1] > 5 * 256


def test_a_stock_pipeline_shows_its_attention(clip, tmp_path):
    make_tiny_editor("kontext").save_pretrained(tmp_path / "kontext")
    words = ["track", clip, "--point", "30,20", "-o", tmp_path / "a.png", "--all-layers"]
    words += ["--model", tmp_path / "kontext", "--size", "64", "--num-anchors", "2"]
    result = CliRunner().invoke(app, [*map(str, words), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    # A row for each of its two layers
    assert Image.open(tmp_path / "a.png").size[1] > 2 * 256


def test_point_outside_the_picture_is_refused(clip, config, tmp_path):
    with pytest.raises(SettingsError, match="64 x 48"):
        track_point(clip, (64, 20), tmp_path / "point.png", config)


def test_frame_that_is_an_anchor_is_refused(clip, config, tmp_path):
    with pytest.raises(SettingsError, match=r"not an anchor \(1, 4\)"):
        track_point(clip, (3, 3), tmp_path / "point.png", config, frame=4)


def test_picture_that_exists_is_kept(clip, config, tmp_path):
    (tmp_path / "point.png").write_text("mine")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        track_point(clip, (3, 3), tmp_path / "point.png", config)
    assert (tmp_path / "point.png").read_text() == "mine"


def test_accuracy_is_measured_and_drawn(config, tmp_path):
    counted: list[tuple[int, int]] = []
    accuracy = measure_tracking(
        config, num_clips=1, num_frames=4, out=tmp_path / "accuracy.png",
        progress=lambda done, total: counted.append((done, total)),
    )  # fmt: skip
    assert accuracy.num_points > 50 and counted == [(1, 1)]
    assert Image.open(tmp_path / "accuracy.png").size[0] > 1000


def test_tapvid_file_is_measured(config, tmp_path):
    points = np.full((2, 6, 2), 0.5, np.float32)
    entry = {"video": make_frames(6, 48, 64), "points": points, "occluded": np.zeros((2, 6), bool)}
    (tmp_path / "davis.pkl").write_bytes(pickle.dumps({"goat": entry}))
    accuracy = measure_tracking(config, tapvid=tmp_path / "davis.pkl", num_frames=5)
    # 2 points in 3 frames, asked for in 2 anchors; they do not move
    assert accuracy.num_points == 12
    assert accuracy.standing_still == {4: 1, 8: 1, 16: 1, 32: 1}


def test_rendered_clips_are_the_same_every_time():
    first, again = next(tracked_clips(1, 3)), next(tracked_clips(1, 3))
    assert (first.frames - again.frames).abs().amax() < 1e-5
    assert (first.points - again.points).abs().amax() < 1e-3


@pytest.mark.parametrize(
    "options, said",
    [
        (["CLIP"], "use --point X,Y"),
        (["CLIP", "--point", "3"], "as in 120,80"),
        (["--point", "3,4"], "need a CLIP"),
        (["--tapvid", "none.pkl"], "cannot be read"),
        (["CLIP", "--point", "3,4", "--out", "point.jpg"], "ends in .png"),
    ],
)
def test_mistakes_end_in_one_line(clip, config, tmp_path, options, said):
    given = [str(clip) if option == "CLIP" else option for option in options]
    out = [] if "--out" in given else ["--out", str(tmp_path / "out.png")]
    result = CliRunner().invoke(app, ["track", *given, *out, "--model", config.model])
    assert result.exit_code == 2
    assert said in result.stderr.replace("\n", " ")
    assert not (tmp_path / "out.png").exists()


def test_command_draws_a_point(clip, config, tmp_path):
    out = tmp_path / "a" / "b" / "point.png"  # folders that are made
    result = CliRunner().invoke(
        app, ["track", str(clip), "--point", "30,20", "-o", str(out), "--model", config.model]
    )
    assert result.exit_code == 0, result.stderr
    assert out.exists()
