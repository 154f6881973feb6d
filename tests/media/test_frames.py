import numpy as np
import pytest
import torch

from fairy.media.frames import fit_size, resize, to_images, to_model


def test_every_level_survives_the_model_range():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=-1)
    assert np.array_equal(to_images(to_model(levels)), levels)


def test_to_model_spans_minus_one_to_one():
    images = np.zeros((1, 2, 4, 3), dtype=np.uint8)
    images[..., 0] = 255
    frames = to_model(images)
    assert frames.shape == (1, 3, 2, 4) and frames.dtype == torch.float32
    assert frames[:, 0].eq(1).all() and frames[:, 1:].eq(-1).all()


def test_to_images_clamps():
    frames = torch.tensor([-3.0, 3.0]).reshape(1, 1, 1, 2).expand(1, 3, 1, 2)
    assert to_images(frames)[0, 0, :, 0].tolist() == [0, 255]


def test_to_model_takes_arrays_that_may_not_be_written(recwarn):
    images = np.zeros((1, 4, 4, 3), dtype=np.uint8)
    images.flags.writeable = False
    to_model(images)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("source", "fitted"),
    [((720, 1280), (288, 512)), ((1568, 882), (512, 288)), ((512, 512), (512, 512)),
     ((2, 4000), (8, 512))],
)  # fmt: skip
def test_fit_size(source, fitted):
    assert fit_size(*source, size=512, multiple=8) == fitted


def test_fit_size_stays_on_the_grid():
    for height in range(50, 2000, 37):
        fitted = fit_size(height, 720, size=500, multiple=16)
        assert all(side % 16 == 0 and side >= 16 for side in fitted)


def test_resize_keeps_a_flat_colour():
    images = np.full((2, 30, 50, 3), 201, dtype=np.uint8)
    for size in ((15, 25), (60, 100)):
        assert np.array_equal(resize(images, size), np.full((2, *size, 3), 201, dtype=np.uint8))


def test_resize_averages_when_shrinking():
    lines = np.zeros((64, 64, 3), dtype=np.uint8)
    lines[::2] = 255
    inner = resize(lines, (16, 16))[4:-4, 4:-4]
    assert np.abs(inner.astype(int) - 127).max() <= 4


def test_resize_stays_within_range():
    frames = torch.ones(1, 3, 8, 8)
    frames[..., 4:] = -1
    bigger = resize(frames, (32, 32))
    assert bigger.shape == (1, 3, 32, 32) and bigger.min() == -1 and bigger.max() == 1


def test_resize_to_the_same_size_changes_nothing(scene):
    assert resize(scene, scene.shape[:2]) is scene
