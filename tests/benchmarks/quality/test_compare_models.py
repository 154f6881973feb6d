"""quality/compare_models.py: both models get the same, and scores say which is nearer."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.quality.compare_models import compare, main, plan, plan_clips, summary
from fairy import write_video
from fairy.evaluation.clips import SuiteClip, render_clip
from fairy.evaluation.methods import Method
from fairy.synthetic import looks


@pytest.fixture(scope="module")
def clip() -> SuiteClip:
    return render_clip(0, "night", 5, (24, 36))


def method(name: str, edited: torch.Tensor) -> Method:
    return Method(name, lambda frames, instruction, seed: edited)


def test_the_exact_result_is_nearer_as_sharp_and_as_steady_as_itself(clip):
    edits, row = compare(
        clip, "night", [method("before", clip.frames), method("now", clip.target)], 0
    )
    assert row["psnr_db now"] > row["psnr_db before"]
    assert row["sharpness now"] == pytest.approx(1)
    assert row["warp_error now"] == row["warp_error target"]
    assert torch.equal(edits[0], clip.frames)


def test_noise_from_frame_to_frame_is_counted_as_less_steady(clip):
    noisy = (clip.target + 0.2 * torch.rand_like(clip.target)).clamp(0, 1)
    _, row = compare(clip, "night", [method("before", noisy), method("now", clip.target)], 0)
    (night, _) = summary([row])
    assert (night["nearer now"], night["steadier now"]) == (1, 1)
    (night, _) = summary([swapped(row)])
    assert (night["nearer now"], night["steadier now"]) == (0, 0)


def swapped(row: dict) -> dict:
    other = {"now": "before", "before": "now"}
    words = {key: key.split() for key in row}
    return {" ".join(other.get(word, word) for word in words[key]): row[key] for key in row}


def test_both_models_get_the_same_frames_instruction_and_seed(clip):
    asked = []

    def edit(frames, instruction, seed):
        asked.append((frames, instruction, seed))
        return frames

    compare(clip, "night", [Method("before", edit), Method("now", edit)], 7)
    assert asked[0] == asked[1] == (clip.frames, clip.instruction, 7)


def test_means_are_over_the_clips_of_a_look_and_over_all():
    rows = [
        {"clip": "a", "look": look, "psnr_db before": 20.0, "psnr_db now": now,
         "warp_error before": 1.0, "warp_error now": 2.0}
        for look, now in (("night", 22.0), ("comic", 19.0), ("night", 24.0))
    ]  # fmt: skip
    night, comic, everything = summary(rows)
    assert (night["psnr_db now"], night["nearer now"], night["clips"]) == (23.0, 2, 2)
    assert (comic["nearer now"], comic["steadier now"]) == (0, 0)
    assert everything["psnr_db now"] == pytest.approx(65 / 3)


def test_real_clips_come_with_the_looks_own_results(tmp_path: Path):
    levels = np.linspace(0, 255, 4 * 24 * 40 * 3).astype(np.uint8).reshape(4, 24, 40, 3)
    for name in ("b", "a"):
        write_video(levels, tmp_path / f"{name}.mkv", fps=25)
    args = argparse.Namespace(clips=tmp_path, looks=["sepia", "fog"], frames=3, size=32, count=2)
    made = [plan_clips(args, look)[number]() for look, number in (("sepia", 0), ("fog", 1))]
    assert [clip.name for clip in made] == ["a.mkv", "b.mkv"]
    assert torch.equal(made[0].target, looks.sepia(made[0].frames))


def test_sheets_are_of_other_clips_for_every_look(tmp_path: Path):
    words = {"clips": None, "frames": 3, "size": 32, "out": tmp_path}
    args = argparse.Namespace(**words, looks=["sepia", "fog", "night"], count=3, sheets=1)
    drawn = [task.sheet.name for task in plan(args) if task.sheet]
    assert drawn == ["sepia_1.png", "fog_2.png", "night_3.png"]


@pytest.mark.slow
def test_a_model_beside_itself_is_equal(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = f"mini --count 2 --looks night --frames 4 --size 32 --out {tmp_path}"
    main(words.split())
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    night, _ = document["rows"]
    assert night["clips"] == 2
    assert night["psnr_db now"] == pytest.approx(night["psnr_db before"], abs=1e-3)
    assert [path.name for path in tmp_path.iterdir()] == ["night_1.png"]
    assert Image.open(tmp_path / "night_1.png").width > 3 * 32
