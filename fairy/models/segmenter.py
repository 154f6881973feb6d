"""CLIPSeg of transformers: where in a picture is what some words say.

uint8 (H,W,3) -> float32 (352,352) in [0,1]. Tests: tests/models/test_segmenter.py.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from fairy.errors import ModelError
from fairy.models.catalogue import download_command
from fairy.models.imagenet import imagenet_pixels
from fairy.models.quiet import without_expected_messages, without_progress_bars

SEGMENTER = "CIDAS/clipseg-rd64-refined"
# Pictures are scaled to a square of this side, as in the model's training
SIDE = 352


class Segmenter:
    """Finds what `words` say.

    Args:
        words: what to look for, as in "red car".
        device: where the model runs.
        model: a folder or a hub id; only safetensors are loaded.

    Raises:
        ModelError: the model is not on this machine.
    """

    def __init__(self, words: str, device: torch.device, model: str = SEGMENTER) -> None:
        with without_expected_messages(), without_progress_bars():
            from transformers import AutoTokenizer, CLIPSegForImageSegmentation

            try:
                tokenizer = AutoTokenizer.from_pretrained(model)
                loaded = CLIPSegForImageSegmentation.from_pretrained(model, use_safetensors=True)
            except (OSError, ValueError) as error:
                raise ModelError(
                    f"mask {words!r}: no such file, and to find it by words, {model} is needed: "
                    f"{download_command(model)} where there is a network"
                ) from error
        self._model, self._device = loaded.to(device).eval(), device
        self._text = tokenizer(words, truncation=True, return_tensors="pt").to(device)

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return how likely each part of a picture (H,W,3) is what the words say."""
        pixels = imagenet_pixels(picture, (SIDE, SIDE))
        with torch.no_grad():
            logits = self._model(
                input_ids=self._text.input_ids,
                attention_mask=self._text.attention_mask,
                pixel_values=pixels.to(self._device, self._model.dtype),
            ).logits
        return np.asarray(logits.sigmoid().reshape(SIDE, SIDE).float().cpu().numpy())
