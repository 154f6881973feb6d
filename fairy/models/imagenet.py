"""Pictures scaled as models want them that were trained on ImageNet's colours.

Tests: tests/models/test_imagenet.py.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MEAN = np.array((0.485, 0.456, 0.406), np.float32)
STD = np.array((0.229, 0.224, 0.225), np.float32)


def imagenet_pixels(picture: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    """Return a picture uint8 (H,W,3) scaled to `size`, (height, width), as a batch (1,3,h,w)."""
    scaled = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA) / 255.0
    return torch.from_numpy((scaled - MEAN) / STD).permute(2, 0, 1)[None]
