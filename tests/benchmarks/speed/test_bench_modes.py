"""The benchmark of the opt-in modes: its measures, and its FLOPs on a small UNet."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from diffusers import UNet2DConditionModel

from benchmarks.speed import bench_modes
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.evaluation.clips import rendered_clips
from fairy.settings import EXACT, QUALITIES, Shortcuts


@pytest.fixture(scope="module")
def flops():
    """Count FLOPs on a UNet of SD 1.5's inputs with two small levels."""
    with bench_modes.META:
        unet = UNet2DConditionModel(
            in_channels=8,
            block_out_channels=(16, 16),
            down_block_types=("CrossAttnDownBlock2D",) * 2,
            up_block_types=("CrossAttnUpBlock2D",) * 2,
            layers_per_block=1,
            cross_attention_dim=768,
            attention_head_dim=2,
            norm_num_groups=4,
        )
    with patch.object(bench_modes, "sd_unet", lambda: unet):
        bench_modes._step_flops.cache_clear()
        yield bench_modes.sd_flops
    bench_modes._step_flops.cache_clear()


@pytest.mark.slow
def test_every_mode_has_fewer_flops_than_the_exact_one(flops):
    exact = flops(4, EXACT)
    assert all(flops(4, mode) < exact for mode in bench_modes.MODES.values() if mode != EXACT)


@pytest.mark.slow
def test_steps_that_are_not_guided_have_a_third_of_the_flops_or_a_little_more(flops):
    # What the branches share is computed once in a guided step
    share = flops(4, Shortcuts(guidance_interval=(0.0, 0.5))) / flops(4, EXACT)
    assert 4 / 6 <= share < 5 / 6


def test_every_quality_is_measured():
    assert set(QUALITIES.values()) <= set(bench_modes.MODES.values())


def test_frames_like_the_exact_ones_score_highest_and_anchors_do_not_count():
    (clip,) = rendered_clips(1, 4, (16, 24))
    exact = torch.rand(4, 3, 16, 24)
    changed = exact.clone()
    # 3 anchors of 4 frames: 0, 2 and 3
    changed[[0, 2, 3]] = 0
    assert bench_modes.score(clip, exact, exact)["psnr_db"] == 100
    assert bench_modes.score(clip, changed, exact)["psnr_db"] == 100
    changed[1] += 0.1
    assert bench_modes.score(clip, changed, exact)["psnr_db"] == pytest.approx(20, abs=0.1)


@pytest.mark.slow
def test_a_run_gives_a_row_and_frames_for_every_mode(tiny_pipeline, monkeypatch):
    modes = {"exact": EXACT, "fast": QUALITIES["fast"]}
    monkeypatch.setattr(bench_modes, "MODES", modes)
    pipe = FairyPipeline.from_pipe(tiny_pipeline)
    clips = [replace(clip, instruction="snow") for clip in rendered_clips(1, 4, (16, 24))]
    rows, frames = bench_modes.measure(pipe, clips, 2)
    assert [row["mode"] for row in rows] == list(frames) == list(modes)
    assert rows[0]["time"] == 1
    assert rows[1]["psnr_db"] < 100
