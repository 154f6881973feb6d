"""Ways to edit a clip, from the same weights and seed: the columns of an evaluation.

- own noise: every frame alone, each from its own noise (an image editor run frame by frame);
- shared noise: every frame alone, all from the same noise;
- first-frame attention: one anchor, the first frame (as in Text2Video-Zero);
- anchors: the Fairy method.
The first two are diffusers' own result. If no steps are given, they are those that the model
lists for the instruction. Frames (T,3,H,W) in [0,1], H and W multiples of the editor's grid.
Tests: tests/evaluation/test_methods.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from torch import Tensor

from fairy.anchors.selection import select_anchor_indices
from fairy.editors.base import Anchor, EditInput
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.editors.loading import LoadedEditor
from fairy.editors.stock.editor import StockEditor
from fairy.settings import EditConfig

IMAGES_AT_ONCE = 16
# The frames of a clip have consecutive seeds, far from those of the next clip
SEEDS_PER_CLIP = 1_000_000
Edit = Callable[[Tensor, str, int], Tensor]


@dataclass(frozen=True)
class Method:
    """A way to edit.

    Attributes:
        name: its name in tables.
        edit: (frames (T,3,H,W) in [0,1], instruction, seed) -> edited frames, the same shape.
        num_anchors: anchor frames; 0 for none.
        first_frame: whether the one anchor is the first frame.
    """

    name: str
    edit: Edit
    num_anchors: int = 0
    first_frame: bool = False

    def anchor_indices(self, num_frames: int) -> tuple[int, ...]:
        """Return the anchor frames of a clip of T frames."""
        if self.first_frame:
            return (0,)
        if self.num_anchors == 0:
            return ()
        return tuple(select_anchor_indices(num_frames, self.num_anchors))


def frame_by_frame(editor: LoadedEditor, *, own_noise: bool) -> Method:
    """Return the method that edits every frame alone."""

    def edit(frames: Tensor, instruction: str, seed: int) -> Tensor:
        seeds = [seed * SEEDS_PER_CLIP + (t if own_noise else 0) for t in range(len(frames))]
        return edit_alone(editor, frames, [instruction] * len(frames), seeds)

    return Method(f"frame by frame, {'own' if own_noise else 'shared'} noise", edit)


def first_frame_attention(editor: LoadedEditor) -> Method:
    """Return the method in which every frame attends to itself and to the first."""
    return Method(
        "first-frame attention", _with_anchors(editor, anchor_indices=[0]), 1, first_frame=True
    )


def with_anchors(
    editor: LoadedEditor, num_anchors: int = 3, *, name: str | None = None, **settings: Any
) -> Method:
    """Return the Fairy method; `settings` are sampling settings of `EditConfig`, such as steps."""
    named = name or f"{num_anchors} anchor{'s' * (num_anchors > 1)}"
    return Method(named, _with_anchors(editor, num_anchors=num_anchors, **settings), num_anchors)


def edit_alone(
    editor: LoadedEditor,
    images: Tensor,
    instructions: Sequence[str],
    seeds: Sequence[int],
    images_at_once: int = IMAGES_AT_ONCE,
    **settings: Any,
) -> Tensor:
    """Return images (B,3,H,W) in [0,1], edited without anchors; equal seeds share their noise.

    Args:
        editor: the model, and its defaults.
        images: (B,3,H,W) in [0,1].
        instructions: B texts.
        seeds: B seeds for the noise of all steps.
        images_at_once: images in one call of an InstructPix2Pix pipeline.
        **settings: sampling settings of `EditConfig` that replace the model's defaults.
    """
    if isinstance(editor, StockEditor):
        return _stock_alone(editor, images, instructions, seeds, **settings)
    parts = {**editor.components, "requires_safety_checker": False}
    plain = StableDiffusionInstructPix2PixPipeline(**parts)
    plain.set_progress_bar_config(disable=True)
    filled = [sampling(editor, text, **settings) for text in instructions]
    outputs = torch.empty_like(images)
    # Each call has one set of settings
    for chosen in {tuple(each.items()): each for each in filled}.values():
        rows = [row for row, each in enumerate(filled) if each == chosen]
        for batch in (rows[i : i + images_at_once] for i in range(0, len(rows), images_at_once)):
            result = plain(
                [instructions[row] for row in batch],
                image=images[batch],
                generator=[torch.Generator().manual_seed(seeds[row]) for row in batch],
                output_type="pt",
                **chosen,
            )
            outputs[batch] = result.images.float().cpu()
    return outputs


def sampling(editor: FairyPipeline, instruction: str, **settings: Any) -> dict[str, Any]:
    """Return steps and guidance scales for an instruction, as diffusers' pipeline takes them."""
    filled = editor.defaults.fill(EditConfig(**settings), instruction)
    names = ("num_inference_steps", "guidance_scale", "image_guidance_scale")
    return {name: getattr(filled, name) for name in names}


def _with_anchors(editor: LoadedEditor, **settings: Any) -> Edit:
    if isinstance(editor, StockEditor):
        return _stock_with_anchors(editor, **settings)
    editor.set_progress_bar_config(disable=True)

    def edit(frames: Tensor, instruction: str, seed: int) -> Tensor:
        height, width = frames.shape[-2:]
        result = editor(
            frames,
            instruction,
            generator=seed * SEEDS_PER_CLIP,
            height=height,
            width=width,
            output_type="pt",
            **settings,
        )
        edited: Tensor = result.frames.cpu()
        return edited

    return edit


def _stock_with_anchors(editor: StockEditor, **settings: Any) -> Edit:
    def edit(frames: Tensor, instruction: str, seed: int) -> Tensor:
        config = EditConfig(**settings, seed=seed * SEEDS_PER_CLIP)
        indices = config.anchor_indices or select_anchor_indices(len(frames), config.num_anchors)
        return _stock_edit(editor, frames, instruction, indices, config)

    return edit


def _stock_alone(
    editor: StockEditor,
    images: Tensor,
    instructions: Sequence[str],
    seeds: Sequence[int],
    **settings: Any,
) -> Tensor:
    """Do what `edit_alone` does: without weight, the anchor changes nothing."""
    outputs = torch.empty_like(images)
    asked = list(zip(instructions, seeds, strict=True))
    for instruction, seed in dict.fromkeys(asked):
        rows = [row for row, each in enumerate(asked) if each == (instruction, seed)]
        config = EditConfig(**settings, seed=seed).without_anchors()
        outputs[rows] = _stock_edit(editor, images[rows], instruction, [0], config)
    return outputs


def _stock_edit(
    editor: StockEditor,
    frames: Tensor,
    instruction: str,
    anchor_indices: Sequence[int],
    config: EditConfig,
) -> Tensor:
    """Return frames (T,3,H,W) in [0,1], edited at their own size."""
    height, width = frames.shape[-2:]
    anchors = [Anchor(index, frames[index] * 2 - 1) for index in anchor_indices]
    inputs = [EditInput(index, frame * 2 - 1) for index, frame in enumerate(frames)]
    with editor.begin(instruction, anchors, config, size=(height, width)) as session:
        return session.edit_tensors(inputs)
