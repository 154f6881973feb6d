"""Maps of each layer's attention from points of a frame to the anchors.

frames (T,3,H,W) in [0,1], points (P,2) in px as (x, y) -> maps (P,A,rows,columns) by frame, step
and layer. Tests: tests/analysis/test_attention_maps.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fairy.analysis.watching import watched
from fairy.anchors.attention_hooks import Attended
from fairy.anchors.parts import Part
from fairy.editors.base import Anchor, EditInput
from fairy.editors.loading import LoadedEditor
from fairy.editors.stock.editor import StockEditor
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
        layer: the layer's name in the denoiser.
        maps: (P,A,rows,columns), weights of the anchors' tokens. Together with the frame's own
            tokens, and text and source in joint attention, they add up to 1.
    """

    frame: int
    step: int
    layer: str
    maps: Tensor


def attend_from_points(
    editor: LoadedEditor,
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
        editor: the model.
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
    size = size or editor.defaults.size
    height, width = fit_size(frames.shape[2], frames.shape[3], size=size, multiple=editor.grid)
    grid = finest_grid(editor, (height, width))
    # Which frame a row of a stock pipeline belongs to is known for one at a time
    at_once = 1 if isinstance(editor, StockEditor) else FRAMES_AT_ONCE
    current: list[int] = []

    def look(attended: Attended) -> Attended:
        if attended.text_branch is None:
            return attended
        shape = token_grid(attended.q.shape[1], grid)
        if len(attended.q) < len(current) * len(attended.anchors.k):
            raise SettingsError("out of memory: use a smaller size")
        for row, frame in enumerate(current):
            tokens = tokens_of(queries[frame], shape, frames.shape[2:])
            weights = attention_to_anchors(attended, row, tokens)
            maps = weights.unflatten(1, (len(anchor_indices), *shape))
            callback(PointAttention(frame, attended.step, attended.layer, maps))
        return attended

    asked = list(queries)
    anchors = [Anchor(index, frames[index] * 2 - 1) for index in anchor_indices]
    settings = EditConfig(seed=seed, frame_batch_size=at_once)
    prompt = instruction or default_instruction(editor)
    with watched(
        editor, prompt, anchors, settings, look, size=(height, width), decode=False
    ) as session:
        for start in range(0, len(asked), at_once):
            current[:] = asked[start : start + at_once]
            session.edit_tensors([EditInput(t, frames[t] * 2 - 1) for t in current])


def finest_grid(editor: LoadedEditor, size: tuple[int, int]) -> tuple[int, int]:
    """Return (rows, columns) of the tokens of a frame of (height, width), where they are most."""
    if isinstance(editor, StockEditor):
        return editor.family.finest_grid(size)
    return size[0] // editor.grid, size[1] // editor.grid


def short_name(layer: str) -> str:
    """Return a layer's name without the ending that all self-attention layers share.

    >>> short_name("mid_block.attentions.0.transformer_blocks.0.attn1")
    'mid_block.attentions.0'
    >>> short_name("transformer_blocks.3.attn")
    'transformer_blocks.3'
    """
    block = layer.rpartition(".")[0]
    return block.removesuffix(".transformer_blocks.0") if layer.endswith(".attn1") else block


def default_instruction(editor: LoadedEditor) -> str:
    """Return the model's first example instruction, or a common one."""
    return next(iter(editor.defaults.instructions), INSTRUCTION)


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

    Mean over heads of the softmax over all keys, in the branch that follows the instruction; the
    frame is number `row` of the batch.
    """
    assert attended.text_branch is not None
    branch = attended.text_branch
    num_frames = len(attended.q) // len(attended.anchors.k)
    at = branch * num_frames + row
    tokens = tokens.to(attended.q.device)
    q, scale = attended.q[at, tokens].float(), attended.scale or attended.q.shape[-1] ** -0.5
    parts = [(attended.own, at), (attended.anchors, branch)]
    if attended.outside is not None:
        parts = [(attended.outside, at), *parts]
    scores = [_scores(q * scale, part, index, tokens) for part, index in parts]
    weights: Tensor = torch.cat(scores, dim=-1).softmax(-1).mean(0)
    return weights[:, -attended.anchors.k.shape[1] :].cpu()


def _scores(q: Tensor, part: Part, row: int, tokens: Tensor) -> Tensor:
    """Return the scores (H,P,L) of queries q (P,H,D), which are the image's `tokens` (P,)."""
    scores = torch.einsum("phd,lhd->hpl", q, part.k[row].float()) + part.bias
    if part.mask is None:
        return scores
    mask = part.mask[min(row, len(part.mask) - 1)]
    mask = mask if mask.shape[1] == 1 else mask[:, tokens]
    return scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
