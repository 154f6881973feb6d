import av
import numpy as np
import pytest

from fairy.media.colours import Colours, default_colours, frame_colours, from_rgb, to_rgb

# Kr and Kb of ITU-R BT.601, BT.709 and BT.2020, by H.273 number of the matrix.
WEIGHTS = {6: (0.299, 0.114), 1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}
NAMES = {6: "smpte170m", 1: "bt709", 9: "bt2020nc"}


def rgb_by_formula(yuv: np.ndarray, matrix: int, full_range: bool) -> np.ndarray:
    kr, kb = WEIGHTS[matrix]
    y, u, v = np.moveaxis(yuv.astype(np.float64), -1, 0)
    luma = y / 255 if full_range else (y - 16) / 219
    blue, red = ((c - 128) / (255 if full_range else 224) for c in (u, v))
    r, b = luma + 2 * (1 - kr) * red, luma + 2 * (1 - kb) * blue
    g = (luma - kr * r - kb * b) / (1 - kr - kb)
    return np.clip(np.stack([r, g, b], axis=-1) * 255, 0, 255)


def coded_frame(matrix: int, full_range: bool, size: int = 32) -> tuple[av.VideoFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    yuv = rng.integers(90, 160, (size, size, 3)).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(np.moveaxis(yuv, -1, 0).copy(), format="yuv444p")
    frame.colorspace, frame.color_range = matrix, 2 if full_range else 1
    return frame, yuv


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_to_rgb_follows_the_standard(matrix, full_range):
    frame, yuv = coded_frame(matrix, full_range)
    expected = rgb_by_formula(yuv, matrix, full_range)
    assert np.abs(to_rgb(frame, 32, 32) - expected).max() <= 1.0


@pytest.mark.parametrize("matrix", WEIGHTS)
def test_from_rgb_is_undone_by_the_standard(matrix):
    image = np.random.default_rng(1).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    colours = Colours(NAMES[matrix], "bt709", "bt709", full_range=False)
    coded = np.moveaxis(from_rgb(image, colours, "yuv444p").to_ndarray(), 0, -1)
    assert np.abs(rgb_by_formula(coded, matrix, False) - image).mean() < 0.6


def test_from_rgb_says_how_it_is_coded(scene):
    frame = from_rgb(scene, Colours("bt709", "bt709", "bt709", full_range=True), "yuv420p")
    assert (frame.colorspace, frame.color_range) == (1, 1)
    assert (frame.color_primaries, frame.color_trc) == (1, 1)


@pytest.mark.parametrize(("height", "matrix"), [(288, 6), (574, 6), (576, 1), (1080, 1)])
def test_unspecified_matrix_is_guessed_by_height(height, matrix):
    told, untold = (av.VideoFrame(16, height, "yuv444p") for _ in range(2))
    rng = np.random.default_rng(0)
    for plane in range(3):
        data = rng.integers(90, 160, told.planes[plane].buffer_size).astype(np.uint8).tobytes()
        told.planes[plane].update(data)
        untold.planes[plane].update(data)
    told.colorspace, untold.colorspace = matrix, 2
    assert np.array_equal(to_rgb(told, height, 16), to_rgb(untold, height, 16))
    assert frame_colours(untold).matrix == NAMES[matrix] == default_colours(height).matrix


def test_source_primaries_and_transfer_are_kept():
    frame = av.VideoFrame(16, 16, "yuv420p")
    frame.colorspace, frame.color_primaries, frame.color_trc = 6, 5, 13
    assert frame_colours(frame) == Colours("smpte170m", "bt470bg", "iec61966-2-1", False)
