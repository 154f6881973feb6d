"""An edit's stages are counted where their work is done, and each once."""

from __future__ import annotations

import time
from itertools import count

import pytest
import torch

import fairy.editors.timing
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.editors.timing import Stages
from tests.tiny import make_frames


def test_blocks_of_one_name_add_up(monkeypatch: pytest.MonkeyPatch):
    # Every look at the clock is a second later than the last, so every block lasts one
    monkeypatch.setattr(fairy.editors.timing.time, "perf_counter", count().__next__)
    stages = Stages(torch.device("cpu"))
    for name in ("frames", "vae_decode", "frames"):
        with stages(name):
            pass
    assert stages.seconds() == {"frames": 2, "vae_decode": 1}


@pytest.mark.gpu
def test_stage_on_cuda_is_the_device_s_time_not_the_call_s():
    stages = Stages(torch.device("cuda"))
    matrix = torch.randn(4096, 4096, device="cuda")
    began = time.perf_counter()
    with stages("frames"):
        for _ in range(20):
            matrix = matrix @ matrix
    called = time.perf_counter() - began
    assert stages.seconds()["frames"] > called


def test_edit_names_its_stages(tiny_pipeline):
    pipe = FairyPipeline.from_pipe(tiny_pipeline)
    began = time.perf_counter()
    pipe(make_frames(3), "abc", num_anchors=1, num_inference_steps=1, generator=0)
    seconds = pipe.stages.seconds()
    assert set(seconds) == {"vae_encode", "anchors", "frames", "vae_decode"}
    assert 0 < sum(seconds.values()) < time.perf_counter() - began


def test_clip_of_anchors_alone_has_no_other_frames(tiny_pipeline):
    pipe = FairyPipeline.from_pipe(tiny_pipeline)
    pipe(make_frames(1), "abc", num_anchors=1, num_inference_steps=1, generator=0)
    assert "frames" not in pipe.stages.seconds()
