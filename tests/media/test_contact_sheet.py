import numpy as np
import pytest

from fairy.media.contact_sheet import contact_sheet, side_by_side


def contains(sheet, image):
    height, width, _ = image.shape
    views = np.lib.stride_tricks.sliding_window_view(sheet, (height, width, 3))[:, :, 0]
    return bool((views == image).all(axis=(2, 3, 4)).any())


def picture(seed, size=(24, 20)):
    return np.random.default_rng(seed).integers(0, 200, (*size, 3)).astype(np.uint8)


def test_sheet_holds_every_image_untouched():
    rows = [[picture(0), picture(1)], [picture(2)]]
    sheet = contact_sheet(rows, ["first", "second"])
    assert all(contains(sheet, image) for row in rows for image in row)


def test_sheet_has_a_white_border():
    sheet = contact_sheet([[picture(0)]], ["a"])
    edges = (sheet[0], sheet[-1], sheet[:, 0], sheet[:, -1])
    assert all((edge == 255).all() for edge in edges)


def test_labels_are_drawn():
    with_text, without = (contact_sheet([[picture(0)]], [label]) for label in ("night", "l"))
    assert (with_text < 128).sum() > (without < 128).sum()


def test_long_labels_are_wrapped():
    short, long = (contact_sheet([[picture(0, (24, 80))]], [label]) for label in ("a", "word " * 9))
    assert long.shape[1] == short.shape[1] and long.shape[0] > short.shape[0]


def test_sheet_wants_a_label_for_each_row():
    with pytest.raises(ValueError, match="2 labels for 1 rows"):
        contact_sheet([[picture(0)]], ["a", "b"])


def test_side_by_side_shows_both():
    left, right = picture(0), picture(1)
    both = side_by_side(left, right, None)
    assert contains(both, left) and contains(both, right)


@pytest.mark.parametrize("size", [(24, 20), (25, 21), (31, 18)])
def test_side_by_side_can_be_a_video_frame(size):
    both = side_by_side(picture(0, size), picture(1, (50, 33)))
    assert both.shape[0] % 2 == 0 and both.shape[1] % 2 == 0


@pytest.mark.parametrize("text", ["word " * 500, "w" * 5000, "word " * 3 + "w" * 500])
def test_very_long_text_is_clipped_to_two_lines(text):
    images = picture(0, (96, 128)), picture(1, (96, 128))
    one, two, clipped = (
        side_by_side(*images, ("source", label)).shape for label in ("a", "word " * 6, text)
    )
    assert one[1] == two[1] == clipped[1]
    assert one[0] <= clipped[0] <= two[0]


def test_clipped_text_ends_in_dots():
    image = picture(0, (96, 128))
    short = side_by_side(image, image, ("source", "word " * 6))
    assert np.array_equal(short, side_by_side(image, image, ("source", "word " * 6 + " ")))
    assert not np.array_equal(short, side_by_side(image, image, ("source", "word " * 60)))
