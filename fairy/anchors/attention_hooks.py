"""How frames attend to the anchors, for those that look at it or change it.

`Attended` is one attention of frames to anchors in any editor. `observed` passes those of an
InstructPix2Pix-type UNet to a callback; `fairy.editors.stock.sharing` has its own place for it.
Shapes: q, k (B,N,H,D), B = G*F; the anchors' k, v (G,M,H,D), M = A*N.
Tests: tests/anchors/test_attention_hooks.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from fairy.anchors.attention import self_attention_layers
from fairy.anchors.backends import Backend
from fairy.anchors.parts import Part


@dataclass(frozen=True)
class Attended:
    """Queries, keys and values of one layer in one step, for a batch of frames.

    Attributes:
        step: the denoising step, from 0.
        layer: the layer's name in the denoiser.
        q: queries of the frames' images (G*F,N,H,D), group-major. On the CPU a single frame may
            have two equal rows.
        own: the frames' own keys and values (G*F,N,H,D).
        anchors: the anchors' (G,M,H,D).
        outside: those of text and source in joint attention, (G*F,L,H,D).
        scale: factor on the scores; 1/sqrt(D) when None.
        text_branch: the guidance branch among the G that follows the instruction; None if none of
            them does.
    """

    step: int
    layer: str
    q: Tensor
    own: Part
    anchors: Part
    outside: Part | None = None
    scale: float | None = None
    text_branch: int | None = 0


# What is attended to instead; returning the argument changes nothing
Change = Callable[[Attended], Attended]


@contextmanager
def observed(unet: UNet2DConditionModel, backend: Backend, change: Change) -> Iterator[Backend]:
    """Yield a backend that computes like `backend`, from what `change` makes of each attention.

    It does not call `change` for the anchors' own pass.

    Args:
        unet: the model that will run; hooks on it record the step and the layer.
        backend: computes the attention.
        change: called before each attention of frames to the anchors.
    """
    place: dict[str, Any] = {}
    steps: dict[float, int] = {}

    def note_step(module: nn.Module, args: tuple[Any, ...]) -> None:
        # Every pass goes through the same timesteps in the same order
        place["step"] = steps.setdefault(float(args[1]), len(steps))

    def note_layer(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        return lambda module, args: place.update(layer=name)

    def attend_anchors(
        q: Tensor, k: Tensor, v: Tensor, k_anchor: Tensor, v_anchor: Tensor
    ) -> Tensor:
        there = Attended(place["step"], place["layer"], q, Part(k, v), Part(k_anchor, v_anchor))
        made = change(there)
        own, anchors = made.own, made.anchors
        return backend.attend_anchors(q, own.k, own.v, anchors.k, anchors.v)

    with ExitStack() as hooks:
        hooks.enter_context(unet.register_forward_pre_hook(note_step))
        for name, attn in self_attention_layers(unet).items():
            hooks.enter_context(attn.register_forward_pre_hook(note_layer(name)))
        yield replace(backend, reason="observed", attend_anchors=attend_anchors)
