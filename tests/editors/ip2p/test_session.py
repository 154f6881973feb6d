"""An edit as an object: its state is its own, also while another edit uses the same model."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import LoraConfig

from fairy.anchors.backends import choose_backend
from fairy.editors.base import Anchor, EditInput, EditSession
from fairy.editors.images import to_tensor
from fairy.editors.ip2p.latents import encode_images
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.editors.ip2p.session import CallOptions
from fairy.models.defaults import KnownEdit
from fairy.settings import EditConfig
from tests.tiny import make_frames

FRAMES = make_frames(7, height=12, width=16)
SIZE = (12, 16)
ANCHORS = [Anchor(index, FRAMES[index]) for index in (1, 3, 5)]
SETTINGS = EditConfig(num_inference_steps=2, seed=3, frame_batch_size=2)
INPUTS = [EditInput(index, frame) for index, frame in enumerate(FRAMES)]
LORA = LoraConfig(
    r=2, lora_alpha=2, target_modules=["to_q", "to_k", "to_v"], init_lora_weights=False
)


@pytest.fixture
def pipe(tiny_pipeline) -> FairyPipeline:
    return FairyPipeline.from_pipe(tiny_pipeline)


def begin(pipe: FairyPipeline, settings: EditConfig = SETTINGS, **options) -> EditSession:
    return pipe.begin("make it red", ANCHORS, settings, size=SIZE, options=CallOptions(**options))


@pytest.fixture
def num_rows(pipe) -> list[int]:
    """Rows of each run of the UNet."""
    rows: list[int] = []
    pipe.unet.conv_out.register_forward_hook(lambda m, a, out: rows.append(len(out)))
    return rows


def test_session_edits_as_the_call_does(pipe):
    expected = pipe(FRAMES, "make it red", generator=3, num_inference_steps=2).frames
    with begin(pipe) as session:
        assert np.array_equal(session.edit(INPUTS), expected)


def test_order_of_the_inputs_is_the_order_of_the_results(pipe):
    with begin(pipe) as session:
        expected = session.edit(INPUTS)
        order = [6, 3, 0, 3, 1]
        assert np.array_equal(session.edit([INPUTS[i] for i in order]), expected[order])


def test_anchors_are_computed_when_the_session_begins_and_not_again(pipe, num_rows):
    with begin(pipe) as session:
        assert num_rows == [3 * 3] * 2
        session.edit([INPUTS[1], INPUTS[5]])
        assert len(num_rows) == 2


def test_latents_edit_as_the_picture_does(pipe):
    with torch.no_grad():
        latents = encode_images(pipe.vae, torch.stack([to_tensor(FRAMES[0])] * 2))[0]
    with begin(pipe) as session:
        expected = session.edit([INPUTS[0]])
        assert np.array_equal(session.edit([EditInput(0, latents)]), expected)


def test_anchors_are_read_from_their_store(pipe, tmp_path, num_rows):
    store = tmp_path / "anchors.safetensors"
    with pipe.begin("red", ANCHORS, SETTINGS, size=SIZE, anchor_store=store) as session:
        expected = session.edit(INPUTS)
    num_rows.clear()
    with pipe.begin("red", ANCHORS, SETTINGS, size=SIZE, anchor_store=store) as session:
        assert num_rows == []
        assert np.array_equal(session.edit(INPUTS), expected)
        assert session.used.anchor_indices == (1, 3, 5)


def fail_above(num_rows: int, forward: Callable) -> Callable:
    def run(rows: torch.Tensor, *args: object, **kwargs: object) -> object:
        if len(rows) > num_rows:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return forward(rows, *args, **kwargs)

    return run


def test_batch_that_fits_after_running_out_of_memory_is_what_was_used(pipe, monkeypatch):
    settings = EditConfig(num_inference_steps=1, frame_batch_size=4)
    with begin(pipe, settings) as session:
        assert session.used.frame_batch_size == session.batch_size == 4
        monkeypatch.setattr(pipe.unet, "forward", fail_above(3 * 2, pipe.unet.forward))
        session.edit(INPUTS)
        assert session.used.frame_batch_size == session.batch_size == 2


# What two edits at once could take from each other: text, noise, scales, anchors, modules, LoRA
EDITS = {
    "plain": (EditConfig(num_inference_steps=2, seed=1, frame_batch_size=1), {}),
    "other": (
        EditConfig(
            num_inference_steps=3,
            seed=2,
            guidance_scale=3.0,
            image_guidance_scale=1.0,
            anchor_strength=0.5,
            frame_batch_size=2,
            reuse=2,
            guidance_interval=(0.0, 0.5),
        ),
        {"cross_attention_kwargs": {"scale": 0.3}},
    ),
}


def edit_alone(pipe: FairyPipeline, name: str) -> torch.Tensor:
    settings, options = EDITS[name]
    with begin(pipe, settings, **options) as session:
        return session.edit_tensors(INPUTS)


@pytest.fixture
def expected(pipe) -> dict[str, torch.Tensor]:
    pipe.unet.add_adapter(LORA)
    return {name: edit_alone(pipe, name) for name in EDITS}


def test_two_sessions_in_turns_edit_as_each_alone(pipe, expected):
    sessions = {
        name: begin(pipe, settings, **options) for name, (settings, options) in EDITS.items()
    }
    results: dict[str, list[torch.Tensor]] = {name: [] for name in EDITS}
    for one in INPUTS:
        for name, session in sessions.items():
            results[name].append(session.edit_tensors([one]))
    for name in EDITS:
        assert torch.equal(torch.cat(results[name]), expected[name])


def test_two_threads_edit_as_each_alone(pipe, expected):
    results: dict[str, torch.Tensor] = {}
    both = threading.Barrier(len(EDITS))

    def work(name: str) -> None:
        both.wait()
        results[name] = edit_alone(pipe, name)

    for _ in range(3):
        threads = [threading.Thread(target=work, args=(name,)) for name in EDITS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name in EDITS:
            assert torch.equal(results[name], expected[name])


def test_threads_are_never_in_the_model_together(pipe, monkeypatch):
    inside = threading.Semaphore(1)
    met: list[bool] = []
    forward = pipe.unet.forward

    def run(*args: object, **kwargs: object) -> object:
        alone = inside.acquire(blocking=False)
        met.append(not alone)
        try:
            return forward(*args, **kwargs)
        finally:
            if alone:
                inside.release()

    monkeypatch.setattr(pipe.unet, "forward", run)
    # Two pipelines of one model
    twin = FairyPipeline.from_pipe(pipe)
    threads = [threading.Thread(target=edit_alone, args=(one, "plain")) for one in (pipe, twin)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert met
    assert not any(met)


def test_nothing_of_an_edit_stays_on_the_pipeline(pipe):
    before, processors = dict(vars(pipe)), dict(pipe.unet.attn_processors)
    with begin(pipe) as session:
        session.edit(INPUTS[:1])
        assert vars(pipe) == before
        assert pipe.unet.attn_processors == processors


def test_a_backend_made_elsewhere_is_used(pipe):
    calls = []
    plain = choose_backend("sdpa", torch.device("cpu"))

    def attend_anchors(*tensors: torch.Tensor) -> torch.Tensor:
        calls.append(len(tensors))
        return plain.attend_anchors(*tensors)

    with begin(pipe, backend=replace(plain, attend_anchors=attend_anchors)) as session:
        session.edit(INPUTS[:1])
    assert len(calls) == 2 * 7


@pytest.mark.parametrize(
    ("anchors", "size", "message"),
    [
        ([], SIZE, "at least one"),
        (ANCHORS[::-1], SIZE, "sorted"),
        (ANCHORS[:1] * 2, SIZE, "without repeats"),
        (ANCHORS, (13, 16), "multiples of 2"),
        (ANCHORS, (0, 16), "multiples of 2"),
    ],
)
def test_anchors_and_sizes_that_cannot_be_are_refused(pipe, anchors, size, message):
    with pytest.raises(ValueError, match=message):
        pipe.begin("red", anchors, SETTINGS, size=size)


def test_a_look_without_colour_has_none_also_when_it_is_enlarged(pipe):
    edit = KnownEdit(name="grey", instruction="make it grey", steps=1, colourless=True)
    pipe.defaults = replace(pipe.defaults, size=16, edits=(edit,))
    frames = make_frames(3, height=24, width=32)
    grey, coloured = (
        pipe(frames, text, generator=0).frames.astype(int) for text in ("make it grey", "red")
    )
    assert (grey.max(-1) == grey.min(-1)).all()
    assert (coloured.max(-1) - coloured.min(-1)).max() > 3
