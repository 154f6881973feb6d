"""The formula of an edit's memory against allocations that were measured, on the CPU and on CUDA.

Measured are the bytes that torch's allocator handed out and had not yet got back, as its profiler
records them; weights are allocated before and do not count. Sizes are as large as a few seconds
allow: what the formula leaves out (the text encoder, work space of single operators) is a megabyte.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from diffusers import HeunDiscreteScheduler
from torch.profiler import ProfilerActivity, profile

from fairy.editors.base import Anchor, EditInput, EditSession, UsedSettings
from fairy.editors.ip2p.guidance import Guidance
from fairy.editors.ip2p.memory import EditShape, edit_memory, num_evaluations
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.editors.live_bytes import counted
from fairy.models.blueprint import Blueprint
from fairy.settings import EditConfig
from tests.tiny import make_frames

GUIDANCE = {1: (1.0, 1.0), 2: (7.5, 1.0), 3: (7.5, 1.5)}
MARGIN = 0.15
INSTRUCTION = "make it snow"


@pytest.fixture
def tiny(tiny_pipeline) -> FairyPipeline:
    return FairyPipeline.from_pipe(tiny_pipeline)


def shape_of(pipe: FairyPipeline, size: tuple[int, int], **other: object) -> EditShape:
    tokens = pipe.text_encoder.config.max_position_embeddings
    given = {
        "num_anchors": 3,
        "num_steps": 2,
        "guidance": Guidance(*GUIDANCE[3]),
        "prompt_shape": (tokens, pipe.unet.config.cross_attention_dim),
        "dtype": pipe.unet.dtype,
        "on_host": pipe.device.type == "cpu",
    }
    return EditShape(size=size, **{**given, **other})


def memory_of(pipe: FairyPipeline, shape: EditShape):
    return edit_memory(Blueprint.of(pipe.unet), Blueprint.of(pipe.vae), shape)


def begin(pipe: FairyPipeline, shape: EditShape, num_frames: int) -> EditSession:
    frames = make_frames(shape.num_anchors, *shape.size)
    settings = EditConfig(
        num_inference_steps=shape.num_steps,
        guidance_scale=shape.guidance.guidance_scale,
        image_guidance_scale=shape.guidance.image_guidance_scale,
        frame_batch_size=num_frames,
        backend=shape.backend,
    )
    anchors = [Anchor(index, frame) for index, frame in enumerate(frames)]
    return pipe.begin(INSTRUCTION, anchors, settings, size=shape.size)


def edit(pipe: FairyPipeline, shape: EditShape, num_frames: int) -> UsedSettings:
    """Edit the anchors and one batch of frames, as `shape` says."""
    with begin(pipe, shape, num_frames) as session:
        others = make_frames(num_frames, *shape.size)
        session.edit([EditInput(shape.num_anchors + i, frame) for i, frame in enumerate(others)])
        return session.used


def allocated_peak(work: Callable[[], object]) -> int:
    """Return the most bytes that torch had allocated on the CPU at once during `work`."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return int(np.cumsum(changes).max())


@pytest.mark.parametrize(
    ("size", "num_anchors", "num_frames", "num_groups", "num_steps"),
    [
        ((48, 64), 1, 5, 3, 1),  # frames are the peak
        ((48, 64), 5, 2, 1, 1),  # the anchors are
        ((40, 48), 3, 3, 2, 4),  # the cache is half of it
    ],
)
def test_formula_is_within_15_percent_of_measured_peaks(
    tiny, size, num_anchors, num_frames, num_groups, num_steps
):
    guidance = Guidance(*GUIDANCE[num_groups])
    shape = shape_of(tiny, size, num_anchors=num_anchors, num_steps=num_steps, guidance=guidance)
    measured = allocated_peak(lambda: edit(tiny, shape, num_frames))
    assert memory_of(tiny, shape).peak(num_frames) == pytest.approx(measured, rel=MARGIN)


def test_formula_holds_for_the_bundled_model():
    pipe = FairyPipeline.from_pretrained("mini")
    shape = shape_of(pipe, (72, 96), num_steps=1, guidance=Guidance(*GUIDANCE[2]))
    measured = allocated_peak(lambda: edit(pipe, shape, 3))
    assert memory_of(pipe, shape).peak(3) == pytest.approx(measured, rel=MARGIN)


def test_cache_is_exact(tiny):
    shape = shape_of(tiny, (24, 32), num_steps=3)
    assert memory_of(tiny, shape).cache == edit(tiny, shape, 4).anchor_cache_bytes


def test_peak_grows_by_the_same_with_every_frame(tiny):
    memory = memory_of(tiny, shape_of(tiny, (24, 32)))
    assert memory.peak(20) - memory.peak(10) == 10 * memory.frame


def test_most_frames_just_fit(tiny):
    memory = memory_of(tiny, shape_of(tiny, (24, 32)))
    for num_bytes in (memory.peak(1), memory.peak(7), memory.peak(7) + memory.frame - 1):
        most = memory.most_frames(num_bytes)
        assert memory.peak(most) <= num_bytes < memory.peak(most + 1)
    assert memory.most_frames(memory.anchors - 1) == 0


def test_cache_elsewhere_leaves_two_steps_on_the_device(tiny):
    near = memory_of(tiny, shape_of(tiny, (24, 32), num_steps=10, on_host=False))
    far = memory_of(tiny, shape_of(tiny, (24, 32), num_steps=10, on_host=False, cache_far=True))
    assert far.cache == near.cache
    assert far.held == near.cache // 5
    assert far.anchors < near.anchors - near.cache // 2


def test_backend_that_copies_the_anchors_takes_more(tiny):
    in_place, copied, scores = (
        memory_of(tiny, shape_of(tiny, (24, 32), num_anchors=12, backend=backend)).frame
        for backend in ("triton", "sdpa", "reference")
    )
    assert in_place < copied < scores


def test_some_samplers_run_the_unet_twice_a_step(tiny):
    scheduler = HeunDiscreteScheduler.from_config(tiny.scheduler.config)
    assert num_evaluations(tiny.scheduler, 4) == 4
    assert num_evaluations(scheduler, 4) == 7


def test_nothing_grows_with_the_frames(tiny):
    """The bytes of all tensors that an edit has made and holds, after 40 and after 160 frames."""
    shape = shape_of(tiny, (24, 32), num_anchors=1, num_steps=1, guidance=Guidance(1.0, 1.5))
    frame, held = make_frames(1, 24, 32)[0], []
    with counted("cpu") as live, begin(tiny, shape, 8) as session:
        for first in range(0, 160, 8):
            session.edit([EditInput(index, frame) for index in range(first, first + 8)])
            held.append(live.now)
    assert len(held) == 20
    assert held[4] == held[-2] > 0


@pytest.fixture(scope="module")
def sd15() -> FairyPipeline:
    """Stable Diffusion 1.5's shape with random weights, in float16 on CUDA."""
    from benchmarks.lib.models import load_model

    return load_model("sd15", "cuda", "float16")


@pytest.mark.gpu
@pytest.mark.parametrize(("num_anchors", "num_frames"), [(3, 4), (1, 8)])
def test_formula_is_within_15_percent_of_measured_peaks_on_cuda(sd15, num_anchors, num_frames):
    shape = shape_of(sd15, (384, 512), num_anchors=num_anchors)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    weights = torch.cuda.memory_allocated()
    edit(sd15, shape, num_frames)
    measured = torch.cuda.max_memory_allocated() - weights
    assert memory_of(sd15, shape).peak(num_frames) == pytest.approx(measured, rel=MARGIN)


@pytest.mark.gpu
def test_runs_on_a_card_of_8_gb(sd15):
    """Stable Diffusion 1.5 at 512x384 in 10 steps with 3 anchors, frames at a time by itself."""
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(8 * 2**30 / total)
    try:
        shape = shape_of(sd15, (384, 512), num_steps=10)
        memory = memory_of(sd15, shape)
        room = 8 * 2**30 - torch.cuda.memory_allocated()
        edit(sd15, shape, min(4, memory.most_frames(int(0.9 * room))))
        assert torch.cuda.max_memory_reserved() <= 8 * 2**30
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
