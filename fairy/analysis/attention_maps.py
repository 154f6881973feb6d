"""Maps of each layer's attention from points of a frame to the anchors.

frames (T,3,H,W) in [0,1], points (P,2) in px as (x, y) -> maps (P,A,rows,columns) by frame, step
and layer. Tests: tests/analysis/test_attention_maps.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fairy.anchors.attention_hooks import Attended, observed
from fairy.anchors.backends import choose_backend
from fairy.editors.base import Anchor, EditInput
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.editors.ip2p.session import CallOptions
from fairy.errors import SettingsError
from fairy.media.frames import fit_size
from fairy.metrics.checks import check_frames
from fairy.settings import EditConfig

INSTRUCTION = "make it a painting"
FRAMES_AT_ONCE = 8


@dataclass(frozen=True)
class PointAttention:
    """The attention of one layer in one step, from the points of one frame.

    Attributes:
        frame: the frame with the points.
        step: the denoising step, from 0.
        layer: the layer's name in the UNet.
        maps: (P,A,rows,columns), weights of the anchors' tokens. Together with the frame's own
            tokens, which are not included, they add up to 1.
    """

    frame: int
    step: int
    layer: str
    maps: Tensor


def attend_from_points(
    pipe: FairyPipeline,
    frames: Tensor,
    queries: Mapping[int, Tensor],
    callback: Callable[[PointAttention], None],
    *,
    anchor_indices: Sequence[int],
    instruction: str | None = None,
    size: int | None = None,
    seed: int = 0,
) -> None:
    """Edit some frames of a clip and pass their points' attention to `callback`, layer by layer.

    Args:
        pipe: the editor.
        frames: (T,3,H,W) in [0,1].
        queries: by frame, points (P,2) in px; no anchor frames.
        callback: called for every frame, step and layer, in the order in which layers run.
        anchor_indices: which frames are the anchors, sorted.
        instruction: what to edit; the model's first example when None.
        size: longer side at which the model works; the model's default when None.
        seed: of the noise.

    Raises:
        SettingsError: not enough memory for `FRAMES_AT_ONCE` frames.
        ValueError: points in an anchor frame.
    """
    check_frames(frames)
    if taken := sorted(queries.keys() & set(anchor_indices)):
        raise ValueError(f"frame {taken[0]} is an anchor: use points in another frame")
    factor = pipe.grid
    size = size or pipe.defaults.size
    height, width = fit_size(frames.shape[2], frames.shape[3], size=size, multiple=factor)
    current: list[int] = []

    def hand_on(attended: Attended) -> None:
        shape = token_grid(attended.q.shape[1], (height // factor, width // factor))
        if len(attended.q) < len(current) * len(attended.k_anchor):
            raise SettingsError("out of memory: use a smaller size")
        for row, frame in enumerate(current):
            tokens = tokens_of(queries[frame], shape, frames.shape[2:])
            weights = attention_to_anchors(attended, row, tokens)
            maps = weights.unflatten(1, (len(anchor_indices), *shape))
            callback(PointAttention(frame, attended.step, attended.layer, maps))

    asked = list(queries)
    inner = choose_backend("auto", pipe._execution_device)
    anchors = [Anchor(index, frames[index] * 2 - 1) for index in anchor_indices]
    settings = EditConfig(seed=seed, frame_batch_size=FRAMES_AT_ONCE)
    prompt = instruction or default_instruction(pipe)
    with observed(pipe.unet, inner, hand_on) as backend:
        options = CallOptions(backend=backend, decode=False)
        with pipe.begin(
            prompt, anchors, settings, size=(height, width), options=options
        ) as session:
            for start in range(0, len(asked), FRAMES_AT_ONCE):
                current[:] = asked[start : start + FRAMES_AT_ONCE]
                session.edit_tensors([EditInput(t, frames[t] * 2 - 1) for t in current])


def short_name(layer: str) -> str:
    """Return a layer's name without the ending that all self-attention layers share.

    >>> short_name("mid_block.attentions.0.transformer_blocks.0.attn1")
    'mid_block.attentions.0'
    """
    return layer.removesuffix(".attn1").removesuffix(".transformer_blocks.0")


def default_instruction(pipe: FairyPipeline) -> str:
    """Return the model's first example instruction, or a common one."""
    return next(iter(pipe.defaults.instructions), INSTRUCTION)


def token_grid(num_tokens: int, grid: tuple[int, int]) -> tuple[int, int]:
    """Return (rows, columns) of a layer's tokens: the latent grid, halved until it has that many.

    Raises:
        ValueError: no halving of the grid has `num_tokens`.
    """
    rows, columns = grid
    while rows * columns > num_tokens:
        rows, columns = (rows + 1) // 2, (columns + 1) // 2
    if rows * columns != num_tokens:
        raise ValueError(f"halving the grid {grid} does not give {num_tokens} tokens")
    return rows, columns


def tokens_of(points: Tensor, shape: tuple[int, int], size: Sequence[int]) -> Tensor:
    """Return the tokens (P,) that contain points (P,2) of a picture of `size` (height, width)."""
    rows, columns = shape
    x = ((points[:, 0] + 0.5) * columns / size[1]).long().clamp(0, columns - 1)
    y = ((points[:, 1] + 0.5) * rows / size[0]).long().clamp(0, rows - 1)
    return y * columns + x


def centres_of(tokens: Tensor, shape: tuple[int, int], size: Sequence[int]) -> Tensor:
    """Return the centres of tokens (...) in a picture of `size`: (...,2) in px."""
    rows, columns = shape
    x = (tokens % columns + 0.5) * size[1] / columns - 0.5
    y = (tokens // columns + 0.5) * size[0] / rows - 0.5
    return torch.stack([x, y], dim=-1)


def attention_to_anchors(attended: Attended, row: int, tokens: Tensor) -> Tensor:
    """Return the weights that tokens (P,) of a frame give to the anchors' tokens: (P,M).

    `mean over heads of softmax(q [k, k_anchor]^T / sqrt(D))` in the `text` branch, whose rows come
    first.
    """
    q = attended.q[row, tokens.to(attended.q.device)].float()
    keys = torch.cat([attended.k[row], attended.k_anchor[0]]).float()
    scores = torch.einsum("phd,mhd->hpm", q, keys) * q.shape[-1] ** -0.5
    weights: Tensor = scores.softmax(-1).mean(0)
    return weights[:, attended.k.shape[1] :].cpu()
