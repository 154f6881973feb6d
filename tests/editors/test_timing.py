"""An edit's stages are timed on the device that does the work, and each once."""

from __future__ import annotations

import time
from itertools import count

import pytest
import torch

import fairy.editors.timing
from fairy.editors.base import Anchor, EditInput
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.editors.timing import Stopwatch
from fairy.settings import EditConfig
from tests.tiny import make_frames


def test_blocks_of_one_name_add_up(monkeypatch: pytest.MonkeyPatch):
    # The clock goes on a second each time it is read, so every block lasts one
    monkeypatch.setattr(fairy.editors.timing.time, "perf_counter", count(0.0).__next__)
    watch = Stopwatch(torch.device("cpu"))
    for name in ("frames", "vae_decode", "frames"):
        with watch(name):
            pass
    assert watch.seconds() == {"frames": 2, "vae_decode": 1}


def test_inner_stage_pauses_the_outer_one():
    watch = Stopwatch()
    with watch("edit"):
        with watch("read"):
            time.sleep(0.05)
        time.sleep(0.01)
    seconds = watch.seconds()
    assert seconds["read"] >= 0.05
    assert seconds["edit"] < seconds["read"]
    assert seconds["read"] + seconds["edit"] <= watch.total_s + 1e-3


def test_stage_ends_on_an_exception():
    watch = Stopwatch()
    with pytest.raises(RuntimeError), watch("edit"):
        raise RuntimeError
    before = watch.seconds()["edit"]
    with watch("write"):
        time.sleep(0.01)
    assert watch.seconds()["edit"] == before


@pytest.mark.gpu
def test_stage_on_cuda_is_the_device_s_time_not_the_call_s():
    watch = Stopwatch(torch.device("cuda"))
    matrix = torch.randn(4096, 4096, device="cuda")
    began = time.perf_counter()
    with watch("frames"):
        for _ in range(20):
            matrix = matrix @ matrix
    called = time.perf_counter() - began
    assert watch.seconds()["frames"] > called


def session_of_one_frame(pipe: FairyPipeline):
    source = make_frames(1)[0]
    settings = EditConfig(num_inference_steps=1)
    return pipe.begin("abc", [Anchor(0, source)], settings, size=source.shape[:2])


def test_a_session_counts_each_stage_once(tiny_pipeline):
    pipe = FairyPipeline.from_pipe(tiny_pipeline)
    began = time.perf_counter()
    with session_of_one_frame(pipe) as session:
        session.edit([EditInput(1, make_frames(2)[1])])
        seconds = session.timing
    assert set(seconds) == {"vae_encode", "anchors", "frames", "vae_decode"}
    assert 0 < sum(seconds.values()) < time.perf_counter() - began


def test_anchors_alone_take_no_time_for_frames(tiny_pipeline):
    with session_of_one_frame(FairyPipeline.from_pipe(tiny_pipeline)) as session:
        session.edit([EditInput(0, make_frames(1)[0])])
        assert "frames" not in session.timing
