"""The segmenter: a tiny random CLIPSeg from a folder, and one line where it is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from fairy.errors import ModelError
from fairy.models.segmenter import SIDE, Segmenter
from tests.tiny import make_frames, make_tiny_pipeline

CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def clipseg(tmp_path_factory) -> Path:
    return save_tiny_clipseg(tmp_path_factory.mktemp("clipseg"))


def save_tiny_clipseg(folder: Path) -> Path:
    """Save a tiny random CLIPSeg with its tokenizer."""
    small = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 1}
    tokenizer = make_tiny_pipeline().tokenizer
    config = transformers.CLIPSegConfig(
        text_config={
            **small, "num_hidden_layers": 1, "vocab_size": len(tokenizer), "bos_token_id": 0,
            "eos_token_id": 1, "pad_token_id": 1, "max_position_embeddings": 32,
        },
        vision_config={**small, "num_hidden_layers": 2, "image_size": 224, "patch_size": 32},
        projection_dim=8,
        extract_layers=[0, 1],
        reduce_dim=8,
        decoder_num_attention_heads=1,
        decoder_intermediate_size=8,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.CLIPSegForImageSegmentation(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_every_pixel_gets_a_likelihood_that_picture_and_words_decide(clipseg):
    picture, other = make_frames(2, 48, 64)
    found = Segmenter("red car", CPU, str(clipseg))(picture)
    assert found.shape == (SIDE, SIDE)
    assert found.dtype == np.float32
    assert 0 <= found.min() < found.max() <= 1
    assert not np.array_equal(found, Segmenter("red car", CPU, str(clipseg))(other))
    assert not np.array_equal(found, Segmenter("dog", CPU, str(clipseg))(picture))


def test_missing_weights_are_one_line(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="hf download CIDAS/clipseg-rd64-refined") as caught:
        Segmenter("red car", CPU)
    assert "\n" not in str(caught.value)
