"""Record how frames attend to the anchors: a backend that calls back before each attention.

Shapes: q, k (B,N,H,D), B = G*F; k_anchor, v_anchor (G,M,H,D), M = A*N.
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


@dataclass(frozen=True)
class Attended:
    """Queries and keys of one layer in one step, for a batch of frames.

    Attributes:
        step: the denoising step, from 0.
        layer: the layer's name in the UNet.
        q: queries (G*F,N,H,D), group-major. On the CPU a single frame may have two equal rows.
        k: the frames' own keys (G*F,N,H,D).
        k_anchor: the anchors' keys (G,M,H,D).
    """

    step: int
    layer: str
    q: Tensor
    k: Tensor
    k_anchor: Tensor


@contextmanager
def observed(
    unet: UNet2DConditionModel, backend: Backend, see: Callable[[Attended], None]
) -> Iterator[Backend]:
    """Yield a backend that computes like `backend` and calls `see` before each anchor attention.

    It does not call `see` for the anchors' own pass.

    Args:
        unet: the model that will run; hooks on it record the step and the layer.
        backend: computes the attention.
        see: called before each attention of frames to the anchors.
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
        see(Attended(place["step"], place["layer"], q, k, k_anchor))
        return backend.attend_anchors(q, k, v, k_anchor, v_anchor)

    with ExitStack() as hooks:
        hooks.enter_context(unet.register_forward_pre_hook(note_step))
        for name, attn in self_attention_layers(unet).items():
            hooks.enter_context(attn.register_forward_pre_hook(note_layer(name)))
        yield replace(backend, reason="observed", attend_anchors=attend_anchors)
