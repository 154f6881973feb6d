"""What a ControlNet sees of a frame: its edges, depth, poses or lines, as pictures.

Frames and pictures are uint8 (H,W,3). Edges and lines are computed by OpenCV, depth by a model of
transformers, poses by the package controlnet-aux.
Tests: tests/editors/stock/test_control_images.py.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import PIL.Image
import torch

from fairy.errors import ModelError, require_package
from fairy.media.colours import Image
from fairy.models.catalogue import download_command
from fairy.models.controlnets import Control
from fairy.models.imagenet import imagenet_pixels
from fairy.models.quiet import without_expected_messages, without_progress_bars

DEPTH_MODEL = "depth-anything/Depth-Anything-V2-Small-hf"
POSE_MODEL = "lllyasviel/Annotators"
# Thresholds of the ControlNet's training pictures
CANNY = (100, 200)
# Width of the blur that lines stand out from, in pixels
LINE_SIGMA = 6.0

Draw = Callable[[Image], Image]


class ControlImages:
    """Makes the pictures of an edit's ControlNets.

    Args:
        controls: the ControlNets, in the pipeline's order.
        device: where models run.

    Attributes:
        scales: how much each counts.

    Raises:
        SettingsError: a package is missing.
        ModelError: a model is not on this machine.
    """

    def __init__(self, controls: Sequence[Control], device: torch.device) -> None:
        self._draw = [_MAKERS[one.kind](device) for one in controls]
        self.scales = [float(one.scale) for one in controls]

    def arguments(self, pictures: Sequence[Image]) -> dict[str, Any]:
        """Return the pipeline's arguments for frames, one picture or one list of them for each."""
        drawn = [
            [PIL.Image.fromarray(draw(picture)) for draw in self._draw] for picture in pictures
        ]
        if len(self._draw) > 1:
            images: Any = drawn if len(drawn) > 1 else drawn[0]
            return {"image": images, "controlnet_conditioning_scale": self.scales}
        images = [row[0] for row in drawn]
        return {
            "image": images if len(images) > 1 else images[0],
            "controlnet_conditioning_scale": self.scales[0],
        }


def edges(picture: Image) -> Image:
    """Return Canny's edges, white on black."""
    return _grey(cv2.Canny(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), *CANNY))


def lines(picture: Image) -> Image:
    """Return dark lines as white on black: where a frame is darker than its surroundings."""
    levels = picture.astype(np.float32)
    darker = (cv2.GaussianBlur(levels, (0, 0), LINE_SIGMA) - levels).min(axis=-1).clip(0, 255)
    strong = darker[darker > 8]
    # The usual line becomes mid grey; in a frame without lines noise stays dark
    usual = max(16.0, float(np.median(strong))) if strong.size else 16.0
    return _grey((darker * (127 / usual)).clip(0, 255).astype(np.uint8))


def depth(model: Any, device: torch.device, picture: Image) -> Image:
    """Return how near things are, by a depth estimator of transformers: white is nearest."""
    height, width = picture.shape[:2]
    size = model.config.backbone_config.image_size
    patch = model.config.patch_size
    # The shorter side as the model was trained, both in whole patches
    scale = size / min(height, width)
    rows, columns = (max(1, round(side * scale / patch)) * patch for side in (height, width))
    pixels = imagenet_pixels(picture, (rows, columns))
    with torch.no_grad():
        near = model(pixels.to(device, model.dtype)).predicted_depth[0].float().cpu().numpy()
    near = cv2.resize(near, (width, height), interpolation=cv2.INTER_LINEAR)
    span = float(near.max() - near.min()) or 1.0
    return _grey(((near - near.min()) / span * 255).round())


def _grey(levels: Any) -> Image:
    return np.repeat(np.asarray(levels, dtype=np.uint8)[..., None], 3, axis=-1)


def _load_depth(device: torch.device) -> Draw:
    with without_expected_messages(), without_progress_bars():
        from transformers import AutoModelForDepthEstimation

        try:
            model = AutoModelForDepthEstimation.from_pretrained(DEPTH_MODEL, use_safetensors=True)
        except (OSError, ValueError) as error:
            raise ModelError(
                f"control depth: {DEPTH_MODEL} is not in the cache; "
                f"{download_command(DEPTH_MODEL)} where there is a network"
            ) from error
    return partial(depth, model.to(device).eval(), device)


def _load_pose(device: torch.device) -> Draw:
    require_package("controlnet_aux", "control pose", "control")
    try:
        detector = importlib.import_module("controlnet_aux").OpenposeDetector
        estimate = detector.from_pretrained(POSE_MODEL)
    except OSError as error:
        raise ModelError(
            f"control pose: {POSE_MODEL} is not in the cache; {download_command(POSE_MODEL)} where "
            "there is a network"
        ) from error
    estimate.to(device)

    def pose(picture: Image) -> Image:
        size = (picture.shape[1], picture.shape[0])
        drawn = estimate(PIL.Image.fromarray(picture), output_type="pil")
        return np.asarray(drawn.convert("RGB").resize(size))

    return pose


_MAKERS: dict[str, Callable[[torch.device], Draw]] = {
    "ip2p": lambda device: lambda picture: picture,
    "canny": lambda device: edges,
    "lineart": lambda device: lines,
    "depth": _load_depth,
    "pose": _load_pose,
}
