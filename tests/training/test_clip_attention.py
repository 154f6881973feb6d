"""Anchor attention over pseudo-clips: the same as when editing, with gradients."""

from __future__ import annotations

import pytest
import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from torch import Tensor

from fairy.anchors.attention import AnchorPass, anchor_attention, self_attention_layers
from fairy.anchors.backends import choose_backend
from fairy.anchors.cache import AnchorCache
from fairy.training.clip_attention import (
    ClipAttnProcessor,
    ClipLayout,
    image_attention,
    install_clip_attention,
)

CPU = torch.device("cpu")
LAYOUT = ClipLayout.even(num_frames=4, num_anchors=2)


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_a_clip_is_attended_as_in_an_edit(
    tiny_pipeline: StableDiffusionInstructPix2PixPipeline,
) -> None:
    unet, clips = tiny_pipeline.unet, 2
    rows, prompt = random(clips * 4, 8, 8, 8), random(1, 5, 16)

    def predict(rows: Tensor) -> Tensor:
        out: Tensor = unet(rows, 500, prompt.expand(len(rows), -1, -1), return_dict=False)[0]
        return out

    def frames(indices: tuple[int, ...]) -> Tensor:
        return rows.unflatten(0, (clips, 4))[:, list(indices)].flatten(0, 1)

    with torch.no_grad():
        state = AnchorPass(AnchorCache(CPU, CPU), choose_backend("sdpa", CPU), 2, writing=True)
        with anchor_attention(unet, state):
            anchors = predict(frames(LAYOUT.anchors))
            state.writing = False
            state.begin_step(0)
            others = predict(frames(LAYOUT.others))
        install_clip_attention(unet, LAYOUT)
        together = predict(rows).unflatten(0, (clips, 4))
    for indices, wanted in ((LAYOUT.anchors, anchors), (LAYOUT.others, others)):
        got = together[:, list(indices)].flatten(0, 1)
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)


def gradients_of_frame(frame: int) -> tuple[Tensor, Tensor]:
    """Which keys and values (2*4,N,H,D) a row of two clips of four frames learns through."""
    q, k, v = random(3, 8, 6, 2, 4).requires_grad_().unbind()
    k.retain_grad()
    v.retain_grad()
    ClipAttnProcessor("layer", LAYOUT)._attend(q, k, v)[frame].square().sum().backward()
    assert k.grad is not None and v.grad is not None
    return k.grad.flatten(1).any(1), v.grad.flatten(1).any(1)


@pytest.mark.parametrize("frame", range(4))
def test_gradients_flow_through_the_clips_own_anchors_alone(frame: int) -> None:
    seen = set(LAYOUT.anchors) if frame in LAYOUT.anchors else {frame, *LAYOUT.anchors}
    for reached in gradients_of_frame(frame):
        assert set(reached.nonzero()[:, 0].tolist()) == seen


def test_all_frames_may_be_anchors() -> None:
    layout = ClipLayout.even(2, 2)
    q = random(4, 6, 2, 4)
    out = ClipAttnProcessor("layer", layout)._attend(q, q, q)
    assert out.shape == q.shape and bool(out.isfinite().all())


def test_image_attention_is_undone_also_after_an_error(
    tiny_pipeline: StableDiffusionInstructPix2PixPipeline,
) -> None:
    install_clip_attention(tiny_pipeline.unet, LAYOUT)
    layers = self_attention_layers(tiny_pipeline.unet).values()
    with pytest.raises(KeyError), image_attention(tiny_pipeline.unet):
        assert not any(isinstance(layer.processor, ClipAttnProcessor) for layer in layers)
        raise KeyError
    assert all(isinstance(layer.processor, ClipAttnProcessor) for layer in layers)
