from __future__ import annotations

import numpy as np

from fairy.models.imagenet import MEAN, imagenet_pixels


def test_the_mean_colour_becomes_0_at_the_size_asked_for():
    picture = np.broadcast_to((MEAN * 255).round().astype(np.uint8), (20, 30, 3)).copy()
    pixels = imagenet_pixels(picture, (8, 12))
    assert pixels.shape == (1, 3, 8, 12)
    assert pixels.abs().max() < 0.01
