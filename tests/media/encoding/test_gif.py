import numpy as np
import pytest

from fairy.media.encoding.gif import GifPalette


@pytest.mark.parametrize("shape", [(48, 64), (1, 1), (3, 900), (720, 1080)])
def test_a_picture_of_few_colours_keeps_them(shape):
    image = np.zeros((*shape, 3), np.uint8)
    image[..., 0] = np.arange(shape[1]) * 4 // shape[1] * 60
    shown = GifPalette(*shape).apply(image).to_ndarray(format="rgb24")
    assert np.abs(shown.astype(int) - image).max() <= 1


def test_every_picture_has_a_palette_of_its_own(scene):
    palette = GifPalette(48, 64)
    for image in (scene, 255 - scene, scene[::-1]):
        shown = palette.apply(image).to_ndarray(format="rgb24")
        assert np.abs(shown.astype(int) - image).mean() < 5
