"""fairy/metrics/semantic.py: known answers by an encoder of colours; a tiny CLIP for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTextConfig,
    CLIPVisionConfig,
)

from fairy.errors import ModelError
from fairy.media.frames import to_images
from fairy.metrics.semantic import ClipEncoder, clip_direction, frame_acc, load_clip, tem_con
from tests.tiny import make_tiny_pipeline

RED, GREEN, BLUE = torch.eye(3)[:, :, None, None]


class Colours:
    """Knows pictures by their mean colour and captions by the colour they name."""

    def images(self, frames: Tensor) -> Tensor:
        return F.normalize(frames.mean((2, 3)), dim=-1)

    def texts(self, captions: Sequence[str]) -> Tensor:
        return torch.eye(3)[[["red", "green", "blue"].index(caption) for caption in captions]]


def clip_of(*colours: Tensor) -> Tensor:
    """Return a clip (T,3,8,8), one plain frame for each colour (3,1,1)."""
    return torch.stack(colours).expand(-1, -1, 8, 8)


def test_still_clip_is_perfectly_consistent():
    assert tem_con(clip_of(RED, RED, RED), Colours()) == pytest.approx(1)


def test_one_odd_frame_costs_its_two_neighbours():
    assert tem_con(clip_of(RED, RED, BLUE, RED, RED), Colours()) == pytest.approx(0.5)


def test_frame_acc_is_the_share_of_frames_like_the_target():
    frames = clip_of(RED, BLUE, BLUE, BLUE)
    assert frame_acc(frames, "red", "blue", Colours()) == pytest.approx(0.75)


def test_a_tie_counts_for_the_target():
    assert frame_acc(clip_of(GREEN), "red", "blue", Colours()) == 1


def test_unedited_copy_is_consistent_but_not_right():
    source = clip_of(RED, RED, RED)
    assert tem_con(source, Colours()) == pytest.approx(1)
    assert frame_acc(source, "red", "blue", Colours()) == 0
    assert clip_direction(source, source, "red", "blue", Colours()) == 0


def test_edit_along_the_captions_has_direction_one():
    source, edited = clip_of(RED, RED), clip_of(BLUE, BLUE)
    assert clip_direction(edited, source, "red", "blue", Colours()) == pytest.approx(1)


def test_edit_the_other_way_has_direction_minus_one():
    source, edited = clip_of(BLUE), clip_of(RED)
    assert clip_direction(edited, source, "red", "blue", Colours()) == pytest.approx(-1)


def test_edit_to_something_else_is_half_way():
    source, edited = clip_of(RED), clip_of(GREEN)
    assert clip_direction(edited, source, "red", "blue", Colours()) == pytest.approx(0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a tiny CLIP of random weights."""
    path = tmp_path_factory.mktemp("clip")
    tokenizer = make_tiny_pipeline().tokenizer
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    text = CLIPTextConfig(
        **size, num_attention_heads=2, vocab_size=len(tokenizer), max_position_embeddings=32,
        bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    vision = CLIPVisionConfig(**size, num_attention_heads=2, image_size=32, patch_size=8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = CLIPConfig(
            text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=8
        )
        CLIPModel(config).save_pretrained(path)
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def encoder(folder: Path) -> ClipEncoder:
    return load_clip(folder, batch_size=3)


@pytest.fixture(scope="module")
def frames() -> Tensor:
    """Give different frames (5,3,40,64)."""
    coarse = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, (40, 64), mode="bilinear")


CAPTIONS = ["a cat", "a dog on the moon"]


def test_features_have_unit_length(encoder, frames):
    for features, rows in ((encoder.images(frames), 5), (encoder.texts(CAPTIONS), 2)):
        assert features.shape == (rows, 8)
        assert torch.allclose(features.norm(dim=1), torch.ones(rows), atol=1e-5)


def test_features_do_not_depend_on_the_batch(encoder, frames, folder):
    alone = load_clip(folder, batch_size=1).images(frames)
    assert torch.allclose(encoder.images(frames), alone, atol=1e-5)


def test_numbers_are_those_of_the_protocol_by_clips_own_forward_pass(encoder, frames):
    """FateZero's protocol, frame by frame, on the logits that transformers computes itself."""
    features, right = [], []
    for image in to_images(frames * 2 - 1):
        inputs = encoder.processor(text=CAPTIONS, images=image, return_tensors="pt", padding=True)
        with torch.no_grad():
            out = encoder.model(**inputs)
        probabilities = out.logits_per_image.softmax(-1)[0]
        right.append(float(probabilities[1] >= probabilities[0]))
        features.append(out.image_embeds[0] / out.image_embeds[0].norm())
    similar = [float(a @ b) for a, b in pairwise(features)]
    assert tem_con(frames, encoder) == pytest.approx(sum(similar) / 4, abs=1e-5)
    assert frame_acc(frames, *CAPTIONS, encoder) == pytest.approx(sum(right) / 5)
    assert frame_acc(frames, *CAPTIONS[::-1], encoder) == pytest.approx(1 - sum(right) / 5)


def test_changed_frame_is_less_consistent(encoder, frames):
    still = frames[:1].expand(4, -1, -1, -1).clone()
    swapped = still.clone()
    swapped[2] = frames[3]
    assert tem_con(still, encoder) == pytest.approx(1, abs=1e-5)
    assert tem_con(swapped, encoder) < tem_con(still, encoder) - 1e-4


def test_missing_model_ends_in_one_line(tmp_path):
    with pytest.raises(ModelError, match="give a folder or a hub id") as caught:
        load_clip(tmp_path / "nothing")
    assert "\n" not in str(caught.value)
