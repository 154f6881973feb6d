"""Frames half-way between two: exact times, motion followed, nothing blended across cuts."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from fairy.errors import SettingsError
from fairy.media.colours import Image
from fairy.media.info import Frame, still_info
from fairy.media.interpolate import FrameDoubler, TimedImage, check_interpolates, doubled

TICK = Fraction(1, 90_000)
STEP = 3600
SIZE = (80, 128)


def pan(time: float, seed: int = 0) -> Image:
    """Return soft noise that has moved 4 pixels a frame to the left."""
    noise = np.random.default_rng(seed).integers(0, 256, (SIZE[0], 400, 3), dtype=np.uint8)
    soft = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    first = round(4 * time)
    return np.ascontiguousarray(soft[:, first : first + SIZE[1]], np.uint8)


def run(
    images: Sequence[Image], times: Sequence[int], shots: Sequence[int] | None = None, last: int = 0
) -> list[TimedImage]:
    info = still_info(Path("x"), len(images), *images[0].shape[:2], 1 / (STEP * TICK), "rgb24")
    doubler = FrameDoubler(info_with_ticks(info))
    made: list[TimedImage] = []
    for number, (image, pts) in enumerate(zip(images, times, strict=True)):
        duration = last if number == len(images) - 1 else 0
        frame = Frame(image=image, pts=pts, time_base=TICK, duration=duration)
        made += doubler.add(frame, image, shots[number] if shots else 0)
        assert doubler.num_held <= 3
    return made + list(doubler.end())


def info_with_ticks(info):
    return type(info)(**{**vars(info), "time_base": TICK})


def times_of(made: Sequence[TimedImage]) -> list[Fraction]:
    return [one.pts * one.time_base / TICK for one in made]


def error(one: Image, other: Image) -> float:
    inside = (slice(16, -16), slice(16, -16))
    return float(np.abs(one[inside].astype(int) - other[inside]).mean())


@pytest.mark.parametrize("num_frames", [1, 2, 3, 4, 9])
def test_each_frame_comes_unchanged_and_one_more_after_it(num_frames: int):
    images = [pan(number) for number in range(num_frames)]
    made = run(images, range(0, num_frames * STEP, STEP))
    assert len(made) == 2 * num_frames
    for one, image in zip(made[::2], images, strict=True):
        assert np.array_equal(one.image, image)
    assert times_of(made) == [number * STEP / Fraction(2) for number in range(2 * num_frames)]


def test_motion_is_followed_rather_than_blended():
    images = [pan(number) for number in range(6)]
    halfway = [one.image for one in run(images, range(0, 6 * STEP, STEP))[1:-1:2]]
    for number, image in enumerate(halfway):
        blend = (images[number].astype(int) + images[number + 1]) // 2
        assert error(image, pan(number + 0.5)) < 0.5 * error(blend, pan(number + 0.5))


def test_uneven_times_are_halved_exactly():
    times = [7, 3607, 9001, 9002, 20_001]
    made = run([pan(number) for number in range(5)], times, last=1001)
    expected = [Fraction(a + b, 2) for a, b in zip(times, [*times[1:], 21_002], strict=True)]
    assert times_of(made)[::2] == times
    assert times_of(made)[1::2] == expected


def test_at_a_cut_and_at_the_end_the_frame_is_repeated():
    images = [pan(0), pan(1), pan(0, seed=9), pan(1, seed=9)]
    made = run(images, range(0, 4 * STEP, STEP), shots=[0, 0, 1, 1])
    assert len(made) == 8
    for number in (1, 3):
        assert np.array_equal(made[2 * number + 1].image, images[number])
    assert not np.array_equal(made[1].image, images[0])


def test_what_comes_after_a_cut_does_not_change_what_is_before_it():
    before = [pan(number) for number in range(3)]
    made = [
        run([*before, pan(0, seed=seed)], range(0, 4 * STEP, STEP), shots=[0, 0, 0, 1])[:6]
        for seed in (5, 6)
    ]
    for one, other in zip(*made, strict=True):
        assert np.array_equal(one.image, other.image)


def test_a_pause_is_held_and_not_morphed():
    images = [pan(0), pan(1), pan(40), pan(41)]
    made = run(images, [0, STEP, 50 * STEP, 51 * STEP])
    assert np.array_equal(made[3].image, images[1])
    assert times_of(made)[3] == Fraction(51 * STEP, 2)


@pytest.mark.parametrize("size", [(2, 2), (17, 33), (64, 65)])
def test_small_and_odd_sizes_keep_their_size(size: tuple[int, int]):
    images = [pan(number)[: size[0], : size[1]] for number in range(3)]
    assert {one.image.shape for one in run(images, range(0, 3 * STEP, STEP))} == {(*size, 3)}


def test_ticks_of_the_doubled_clip_are_half_as_long():
    info = still_info(Path("x"), 10, 4, 4, Fraction(30_000, 1001), "rgb24")
    assert doubled(info).fps == Fraction(60_000, 1001)
    assert doubled(info).time_base == Fraction(1001, 60_000)


@pytest.mark.parametrize(
    ("num_frames", "fps", "suffix", "message"),
    [(1, 10, ".mp4", "one frame only"), (5, 30, ".gif", "holds 50 frames/s, this would have 60")],
)
def test_what_makes_no_sense_is_one_line(num_frames: int, fps: int, suffix: str, message: str):
    info = still_info(Path("x"), num_frames, 4, 4, Fraction(fps), "rgb24")
    with pytest.raises(SettingsError, match=message):
        check_interpolates(info, suffix)
    check_interpolates(doubled(info), ".mp4")
