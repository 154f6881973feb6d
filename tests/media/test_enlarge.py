"""Enlarging keeps the source's detail, and what the edit drew."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fairy.errors import SettingsError
from fairy.media import enlarge as module
from fairy.media.colours import Image
from fairy.media.frames import resize
from fairy.settings import ENLARGERS


def picture(height: int, width: int, seed: int = 0) -> Image:
    """Return smooth shapes with fine texture, uint8 (H,W,3)."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.random((6, 8, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    fine = rng.normal(0, 0.06, (height, width, 1))
    return ((coarse + fine).clip(0, 1) * 255).round().astype(np.uint8)


def shrunk(image: Image, factor: int) -> Image:
    size = (image.shape[1] // factor, image.shape[0] // factor)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def enlarge(source: Image, edited: Image, method: str = "guided") -> Image:
    size = (source.shape[0], source.shape[1])
    return module.enlarge(source, edited, size, method=method)


def psnr_db(one: Image, other: Image) -> float:
    error = np.square(one.astype(float) - other).mean() / 255**2
    return float(-10 * np.log10(max(error, 1e-10)))


@pytest.mark.parametrize("size", [(240, 320), (321, 241), (97, 400)])
def test_no_change_gives_the_source_back(size: tuple[int, int]):
    source = picture(*size)
    assert np.array_equal(enlarge(source, shrunk(source, 4)), source)


def test_an_affine_map_of_colours_is_exact():
    source = picture(240, 320)
    mixed = source.astype(float) @ np.array([[0.5, 0.1, 0.2], [0.2, 0.4, 0.1], [0.1, 0.2, 0.4]])
    edited = (mixed + 20).clip(0, 255).round().astype(np.uint8)
    result = enlarge(source, shrunk(edited, 4)).astype(int)
    assert np.abs(result - edited).max() <= 2


def test_a_curve_of_colours_keeps_the_detail_that_bicubic_loses():
    source = picture(240, 320)
    edited = (np.square(source / 255.0) * 255).round().astype(np.uint8)
    small = shrunk(edited, 4)
    guided, bicubic = (enlarge(source, small, method=m) for m in ("guided", "bicubic"))
    assert psnr_db(guided, edited) > psnr_db(bicubic, edited) + 6


def test_detail_that_the_editor_lost_at_its_own_size_comes_from_the_source():
    source = picture(240, 320)
    edited = (255 - source) // 2
    small = cv2.GaussianBlur(shrunk(edited, 4), (3, 3), 0.7)
    result = enlarge(source, small)
    detail = [float(np.std(one - cv2.blur(one, (5, 5)))) for one in (result / 1.0, edited / 1.0)]
    assert detail[0] > 0.9 * detail[1]
    assert psnr_db(result, edited) > psnr_db(enlarge(source, small, "bicubic"), edited) + 6


def test_a_line_that_the_edit_drew_keeps_its_contrast():
    source = np.full((240, 320, 3), 160, np.uint8)
    edited = shrunk(source, 4)
    edited[:, 40:42] = 10
    result = enlarge(source, edited)
    drawn = 160 - int(result[120, 158:172].min())
    assert drawn >= 0.8 * (160 - 10)


def test_a_steady_source_and_edit_give_a_steady_result():
    source = picture(120, 160)
    edited = 255 - shrunk(source, 2)
    assert np.array_equal(enlarge(source, edited), enlarge(source.copy(), edited.copy()))
    # Noise of the edit flickers less than when it is enlarged as it is
    noise = np.random.default_rng(1).integers(-3, 4, edited.shape)
    other = (edited + noise).clip(0, 255).astype(np.uint8)
    guided, bicubic = (
        np.abs(enlarge(source, edited, m).astype(int) - enlarge(source, other, m)).mean()
        for m in ("guided", "bicubic")
    )
    assert 0 < guided < 0.8 * bicubic


@pytest.mark.parametrize("method", ENLARGERS)
def test_a_grey_edit_of_a_coloured_source_is_grey_to_the_bit(method: str):
    rng = np.random.default_rng(0)
    source = rng.integers(0, 256, (360, 640, 3), dtype=np.uint8)
    grey = np.repeat(rng.integers(0, 256, (90, 160, 1), dtype=np.uint8), 3, axis=-1)
    result = enlarge(source, grey, method)
    assert (result == result[..., :1]).all() and result.std() > 10


def test_a_source_of_one_colour_takes_the_colour_of_the_edit():
    source = np.full((120, 160, 3), 90, np.uint8)
    edited = np.full((30, 40, 3), (10, 200, 60), np.uint8)
    assert np.abs(enlarge(source, edited).astype(int) - edited[0, 0]).max() <= 1


@pytest.mark.parametrize("method", ENLARGERS)
def test_an_edit_of_the_source_s_size_comes_back_as_it_is(method: str):
    source = picture(64, 64)
    edited = 255 - source
    assert np.array_equal(enlarge(source, edited, method=method), edited)


@pytest.mark.parametrize("method", ENLARGERS)
def test_the_result_has_the_source_s_size(method: str):
    assert enlarge(picture(61, 94), picture(16, 24), method=method).shape == (61, 94, 3)


def test_an_edit_larger_than_its_source_is_shrunk():
    source, edited = picture(48, 64), picture(96, 128)
    assert np.array_equal(enlarge(source, edited), resize(edited, (48, 64)))


def test_an_unknown_method_names_the_known_ones():
    with pytest.raises(
        SettingsError, match="'nearest' is unknown: use guided, bicubic, lanczos, none"
    ):
        enlarge(picture(8, 8), picture(4, 4), method="nearest")


def test_guided_refuses_a_source_of_another_size():
    with pytest.raises(ValueError, match="guided needs them alike"):
        module.enlarge(picture(30, 40), picture(15, 20), (60, 80), method="guided")
