"""Self-attention that writes or reads the anchors' keys and values; installed in a UNet per pass.

Anchors (B = G*A rows) attend to all anchors of their guidance branch and write the cache; frames
(B = G*F rows) attend to themselves and to the cached anchors. Equations: section 3 of the paper.
Tests: tests/anchors/test_attention.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from fairy.anchors.backends import Backend
from fairy.anchors.cache import AnchorCache, KeysValues


@dataclass
class AnchorPass:
    """One pass through all steps, shared by the processors of all layers.

    Attributes:
        cache: the anchors' keys and values.
        backend: how attention is computed.
        num_frames: frames F (or anchors A) of each guidance branch in a batch.
        writing: True while the anchors are denoised, False for frames.
        step: the current step; `begin_step` sets it.
        anchors: the cached keys and values of the current step by layer, for frames. They are
            looked up here so that code compiled for one step works for all.
    """

    cache: AnchorCache
    backend: Backend
    num_frames: int
    writing: bool
    step: int = 0
    anchors: Mapping[str, KeysValues] = field(default_factory=dict)

    def begin_step(self, step: int) -> None:
        """Set the step and look up its anchors; call it before each run of the UNet."""
        self.step = step
        if not self.writing:
            self.anchors = self.cache.begin_step(step)


class AnchorAttnProcessor:
    """Self-attention of one layer with the anchors; otherwise as diffusers' AttnProcessor2_0."""

    def __init__(self, layer: str, state: AnchorPass) -> None:
        self.layer = layer
        self.state = state

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """Return the layer's output for hidden_states (B,N,C) or (B,C,h,w), in the same shape.

        Raises:
            ValueError: text states or a mask, which self-attention with anchors cannot use.
        """
        if encoder_hidden_states is not None or attention_mask is not None:
            raise ValueError(f"{self.layer}: anchor attention accepts no text states and no mask")
        residual = hidden_states
        if attn.spatial_norm is not None:
            hidden_states = attn.spatial_norm(hidden_states, temb)
        if residual.ndim == 4:
            hidden_states = hidden_states.flatten(2).transpose(1, 2)
        if attn.group_norm is not None:
            hidden_states = attn.group_norm(hidden_states.transpose(1, 2)).transpose(1, 2)
        out = self._attend(*_project(attn, hidden_states)).flatten(2)
        out = attn.to_out[1](attn.to_out[0](out))
        if residual.ndim == 4:
            out = out.transpose(1, 2).reshape(residual.shape)
        if attn.residual_connection:
            out = out + residual
        rescaled: Tensor = out / attn.rescale_output_factor
        return rescaled

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return attention of q, k, v (B,N,H,D) with the anchors, (B,N,H,D)."""
        state = self.state
        if not state.writing:
            return state.backend.attend_anchors(q, k, v, *state.anchors[self.layer])
        # (G*A,N,H,D) -> (G,A*N,H,D): every anchor's queries meet the keys of all anchors
        together = (-1, state.num_frames * q.shape[1], *q.shape[2:])
        folded, k, v = q.reshape(together), k.reshape(together), v.reshape(together)
        state.cache.put(state.step, self.layer, k, v)
        return state.backend.attend(folded, k, v).reshape(q.shape)


def self_attention_layers(unet: UNet2DConditionModel) -> dict[str, Attention]:
    """Return the UNet's self-attention modules by name (16 in SD 1.5)."""
    return {
        name: module
        for name, module in unet.named_modules()
        if isinstance(module, Attention)
        and not module.is_cross_attention
        and module.added_kv_proj_dim is None
    }


def self_attention_head_dims(unet: UNet2DConditionModel) -> set[int]:
    """Return the head dimensions of its self-attention ({40, 80, 160} in SD 1.5)."""
    return {attn.inner_dim // attn.heads for attn in self_attention_layers(unet).values()}


@contextmanager
def anchor_attention(unet: UNet2DConditionModel, state: AnchorPass) -> Iterator[None]:
    """Attend to anchors in every self-attention layer; restores the processors, also on errors.

    Inside, embeddings are computed once per distinct row: the last bits of a linear layer can
    depend on how many rows it gets, and a frame's result must not depend on its batch. The
    timestep is the same for all rows. If the text is added to it, rows differ between guidance
    branches, but not between the frames of a branch.
    """
    layers = self_attention_layers(unet)
    before = {name: attn.processor for name, attn in layers.items()}
    with ExitStack() as hooks:
        hooks.enter_context(unet.time_proj.register_forward_hook(lambda module, args, out: out[:1]))
        if unet.config.addition_embed_type == "text":
            for module in (unet.add_embedding, *_time_projections(unet)):
                hooks.enter_context(_once_per_branch(module, state))
        try:
            for name, attn in layers.items():
                attn.set_processor(AnchorAttnProcessor(name, state))
            yield
        finally:
            for name, attn in layers.items():
                attn.set_processor(before[name])


def _time_projections(unet: UNet2DConditionModel) -> Iterator[nn.Module]:
    for module in unet.modules():
        if isinstance(module, ResnetBlock2D) and module.time_emb_proj is not None:
            yield module.time_emb_proj


@contextmanager
def _once_per_branch(module: nn.Module, state: AnchorPass) -> Iterator[None]:
    """Run `module` on one row of each branch (G,...) and repeat the results for its frames."""

    def first_of_each(module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        return (args[0][:: state.num_frames],)

    def repeat(module: nn.Module, args: tuple[Tensor], out: Tensor) -> Tensor:
        return out.repeat_interleave(state.num_frames, dim=0)

    with module.register_forward_pre_hook(first_of_each), module.register_forward_hook(repeat):
        yield


def _project(attn: Attention, hidden_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return q, k, v (B,N,H,D) of hidden_states (B,N,C)."""
    heads = (*hidden_states.shape[:2], attn.heads, -1)
    q = attn.to_q(hidden_states).view(heads)
    k = attn.to_k(hidden_states).view(heads)
    v = attn.to_v(hidden_states).view(heads)
    # diffusers calls them with (B,H,N,D); both norms work on the last dimension
    q = q if attn.norm_q is None else attn.norm_q(q)
    k = k if attn.norm_k is None else attn.norm_k(k)
    return q, k, v
