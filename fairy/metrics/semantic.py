"""Measures with CLIP: consistency (Tem-Con), agreement with captions (Frame-Acc), direction.

frames (T,3,H,W) in [0,1] and captions -> one number. The encoder is a parameter: `load_clip` loads
the one that papers use, but any object with the two methods of `Encoder` works.
Tests: tests/metrics/test_semantic.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from fairy.errors import ModelError, first_line
from fairy.media.frames import to_images
from fairy.metrics.checks import check_frames, check_pair

if TYPE_CHECKING:
    from transformers import CLIPModel, CLIPProcessor

CLIP = "openai/clip-vit-base-patch32"


class Encoder(Protocol):
    """Maps pictures and texts into one space, where matching ones are close to each other."""

    def images(self, frames: Tensor) -> Tensor:
        """Return unit vectors (T,D) of frames (T,3,H,W) in [0,1]."""
        ...

    def texts(self, captions: Sequence[str]) -> Tensor:
        """Return unit vectors (len(captions),D)."""
        ...


@dataclass(frozen=True)
class ClipEncoder:
    """CLIP through transformers, with its own preprocessing (shorter side scaled, centre cropped).

    Attributes:
        model: in evaluation mode, on the device to run on.
        processor: the model's tokenizer and image preprocessing.
        batch_size: frames at a time.
    """

    model: CLIPModel
    processor: CLIPProcessor
    batch_size: int = 32

    @torch.no_grad()
    def images(self, frames: Tensor) -> Tensor:
        """Return unit vectors (T,D) of frames (T,3,H,W) in [0,1], rounded to 8 bits first."""
        batches = []
        for batch in frames.split(self.batch_size):
            # 8 bits, like the image files that the papers' scripts read
            inputs = self.processor(images=list(to_images(batch * 2 - 1)), return_tensors="pt")
            pixels = inputs["pixel_values"].to(self.model.device, self.model.dtype)
            batches.append(_unit(self.model.get_image_features(pixel_values=pixels)))
        return torch.cat(batches)

    @torch.no_grad()
    def texts(self, captions: Sequence[str]) -> Tensor:
        """Return unit vectors (len(captions),D)."""
        inputs = self.processor(
            text=list(captions), return_tensors="pt", padding=True, truncation=True
        )
        return _unit(self.model.get_text_features(**inputs.to(self.model.device)))


def load_clip(
    name: str | Path = CLIP, *, device: str | torch.device = "cpu", batch_size: int = 32
) -> ClipEncoder:
    """Load a CLIP model by hub id or folder; safetensors only.

    Raises:
        ModelError: the model does not exist or cannot be downloaded.
    """
    from transformers import CLIPModel, CLIPProcessor

    try:
        model = CLIPModel.from_pretrained(name, use_safetensors=True)
        processor = CLIPProcessor.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"CLIP {name}: cannot be loaded ({first_line(error)}); give a folder or a hub id of a "
            "CLIP model with safetensors; the first download needs a network connection"
        ) from error
    return ClipEncoder(model.eval().to(device), processor, batch_size)


def tem_con(frames: Tensor, encoder: Encoder) -> float:
    """Tem-Con: how similar consecutive frames are to the encoder.

    `mean over t of cos(E(x_t), E(x_{t+1}))`. Range -1 to 1, for real clips 0.9 to 1; higher is
    better. It rewards still pictures, blur and leaving the clip unedited, and hardly sees fine
    flicker: never read it alone. Source: Esser et al., "Structure and Content-Guided Video
    Synthesis" (2023), with FateZero's protocol (Qi et al., 2023; its CLIP/frame_acc_tem_con.py).

    Args:
        frames: (T,3,H,W) in [0,1], T at least 2.
        encoder: CLIP ViT-B/32 in the papers.
    """
    check_frames(frames, least=2)
    features = encoder.images(frames)
    return float((features[:-1] * features[1:]).sum(1).mean())


def frame_acc(frames: Tensor, source_caption: str, target_caption: str, encoder: Encoder) -> float:
    """Frame-Acc: the share of frames that are nearer to the target's caption than to the source's.

    `mean over t of [cos(E(x_t), E(target)) >= cos(E(x_t), E(source))]`. Range 0 to 1; higher is
    better. An edit that goes too far, or that loses the source, counts as success, and the value
    depends on the wording of the captions. Source: FateZero's protocol, as for `tem_con`. That
    script crops a portrait frame to its lower square, CLIP's own preprocessing to the middle one.

    Args:
        frames: (T,3,H,W) in [0,1].
        source_caption: what the source shows.
        target_caption: what the edit should show.
        encoder: CLIP ViT-B/32 in the papers.
    """
    check_frames(frames)
    to_source, to_target = (
        encoder.images(frames) @ encoder.texts([source_caption, target_caption]).T
    ).unbind(1)
    return float((to_target >= to_source).float().mean())


def clip_direction(
    frames: Tensor,
    source: Tensor,
    source_caption: str,
    target_caption: str,
    encoder: Encoder,
) -> float:
    """CLIP-direction: did the pictures change as the captions did?

    `mean over t of cos(E(x_t) - E(s_t), E(target) - E(source))`. Range -1 to 1, for good edits 0.1
    to 0.4; higher is better; a frame that did not change at all counts 0. It measures only the
    captions' direction: other changes have little effect. Source: Gal et al., "StyleGAN-NADA"
    (2021), as used by InstructPix2Pix.

    Args:
        frames: (T,3,H,W) in [0,1].
        source: (T,3,H,W) in [0,1], the clip before the edit.
        source_caption: what the source shows.
        target_caption: what the edit should show.
        encoder: CLIP ViT-B/32 in the papers.
    """
    check_pair(frames, source)
    before, after = encoder.texts([source_caption, target_caption])
    moved = encoder.images(frames) - encoder.images(source)
    return float(F.cosine_similarity(moved, after - before).mean())


def _unit(features: Any) -> Tensor:
    # transformers 5 wraps the features in an output object
    rows = features if isinstance(features, Tensor) else features.pooler_output
    return F.normalize(rows.float(), dim=-1)
