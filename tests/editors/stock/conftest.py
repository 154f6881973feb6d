"""Tiny random pipelines of every family, and short clips edited with them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.omnigen import pipeline_omnigen, processor_omnigen
from torch import Tensor

from examples.tiny_editor import make_tiny_editor
from fairy.editors.base import Anchor, EditInput
from fairy.editors.stock.editor import StockEditor
from fairy.editors.stock.session import StockSession
from fairy.settings import EditConfig
from tests.tiny import make_frames

SIZE = (64, 64)
STEPS = 2
PROMPT = "make it snow"

# OmniGen's pipeline reads pictures by torchvision, which Fairy does not need: the four functions
TRANSFORMS = SimpleNamespace(
    Compose=lambda steps: lambda image: reduce(lambda done, step: step(done), steps, image),
    Lambda=lambda function: function,
    ToTensor=lambda: lambda image: torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255,
    Normalize=lambda mean, std, inplace: lambda image: (image - 0.5) / 0.5,
)

_made: dict[str, StockEditor] = {}


@pytest.fixture(scope="session")
def make_editor() -> Iterator[Callable[[str], StockEditor]]:
    """Family -> its editor, made once."""
    patch = pytest.MonkeyPatch()
    patch.setattr(processor_omnigen, "transforms", TRANSFORMS, raising=False)
    processor = processor_omnigen.OmniGenMultiModalProcessor
    patch.setattr(pipeline_omnigen, "OmniGenMultiModalProcessor", processor, raising=False)

    def make(family: str) -> StockEditor:
        if family not in _made:
            _made[family] = StockEditor(make_tiny_editor(family))
        return _made[family]

    yield make
    patch.undo()


@pytest.fixture(scope="session")
def frames() -> np.ndarray:
    """Four frames, uint8 (4,64,64,3), each different."""
    return make_frames(4, *SIZE)


def begin(
    editor: StockEditor, frames: Sequence[Any], anchors: Sequence[int], **settings: Any
) -> StockSession:
    """Return a session with few steps whose anchors are the frames at `anchors`."""
    chosen = [Anchor(index, frames[index]) for index in anchors]
    config = EditConfig(num_inference_steps=STEPS, **settings)
    return editor.begin(PROMPT, chosen, config, size=SIZE)


def edited(
    editor: StockEditor,
    frames: Sequence[Any],
    anchors: Sequence[int],
    indices: Sequence[int],
    **settings: Any,
) -> Tensor:
    """Return the results (F,3,H,W) of the frames at `indices`."""
    with begin(editor, frames, anchors, **settings) as session:
        return session.edit_tensors([EditInput(index, frames[index]) for index in indices])


def stock(editor: StockEditor, frame: np.ndarray, seed: int = 0) -> Tensor:
    """Return the result (3,H,W) of the pipeline called as a user of diffusers would."""
    with begin(editor, [frame], [0], seed=seed) as session:
        arguments = session._call.arguments([frame])
    # Some pipelines encode the source with noise of torch's global generators
    torch.manual_seed(seed)
    editor.pipe.set_progress_bar_config(disable=True)
    with at_own_size(editor):
        return editor.pipe(**arguments, return_dict=False)[0][0].float()


@contextmanager
def at_own_size(editor: StockEditor) -> Iterator[None]:
    """Have a stock pipeline work at `SIZE`, where its call has no argument for that."""
    height, width = SIZE
    with pytest.MonkeyPatch.context() as patch:
        if editor.family.resizes:
            module = f"diffusers.pipelines.{editor.family.resizes}"
            original = getattr(sys.modules[module], "calculate_dimensions")  # noqa: B009

            def dimensions(area: int, ratio: float) -> tuple[Any, ...]:
                out = original(area, ratio)
                return (width, height, *out[2:]) if area == 1024**2 else out

            patch.setattr(f"{module}.calculate_dimensions", dimensions)
        for name in ("vae_image_processor", "image_processor"):
            processor = getattr(editor.pipe, name, None)
            if editor.family.adapt and processor is not None:
                patch.setattr(
                    processor, "get_default_height_width", lambda *a, **k: SIZE, raising=False
                )
        yield


@contextmanager
def decoded_latents(editor: StockEditor) -> Iterator[list[Tensor]]:
    """Yield a list that gets the latents of every picture, before the decoder magnifies errors."""
    seen: list[Tensor] = []
    decode = editor.pipe.vae.decode

    def noted(latents: Tensor, *args: Any, **kwargs: Any) -> Any:
        seen.append(latents.double())
        return decode(latents, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(editor.pipe.vae, "decode", noted)
        yield seen


def distance(a: Tensor, b: Tensor) -> float:
    """Return the largest difference as a part of the largest value."""
    return float((a - b).abs().max() / b.abs().max())
