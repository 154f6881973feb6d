"""fairy/evaluation/measures.py: cases with a known answer."""

from __future__ import annotations

import pytest
import torch

from fairy.evaluation.measures import MEASURES
from fairy.evaluation.scores import measure
from fairy.synthetic.free_looks import FREE_LOOKS
from tests.evaluation.conftest import make_pair


class Brightness:
    """An encoder that sees how bright a picture is: dark is one direction, bright another."""

    def images(self, frames: torch.Tensor) -> torch.Tensor:
        angle = frames.mean((1, 2, 3)) * torch.pi / 2
        return torch.stack([angle.cos(), angle.sin()], 1)

    def texts(self, captions) -> torch.Tensor:
        known = {"dark": (1.0, 0.0), "bright": (0.0, 1.0)}
        return torch.tensor([known[caption] for caption in captions])


def test_every_measure_is_taken_or_says_why_not(pan):
    scores = measure(make_pair(1 - pan, pan))
    keys = {row.key for row in MEASURES}
    assert scores.values.keys() | scores.missing.keys() == keys
    assert not scores.values.keys() & scores.missing.keys()
    assert all(scores.missing.values())


def test_an_exact_edit_of_a_pan_is_steady_and_right(pan):
    values = measure(make_pair(1 - pan, pan, target=1 - pan)).values
    assert values["warp_error"] < 1e-9
    assert values["psnr_db"] == 100
    assert values["sharpness"] == pytest.approx(1)


def test_flicker_of_known_size_is_seen(pan):
    flicker = torch.tensor([0.0, 0.1] * 4)[:, None, None, None]
    edited = pan * 0.5 + flicker
    assert measure(make_pair(edited, pan)).values["warp_error"] == pytest.approx(0.01, rel=1e-4)


def test_a_copy_is_consistent_but_not_what_was_asked(pan):
    pair = make_pair(pan * 0.3, pan * 0.3, captions=("dark", "bright"))
    values = measure(pair, Brightness()).values
    assert values["tem_con"] > 0.99
    assert values["frame_acc"] == 0
    assert values["clip_direction"] == 0


def test_what_was_asked_is_seen(pan):
    pair = make_pair(pan * 0.3 + 0.7, pan * 0.3, captions=("dark", "bright"))
    values = measure(pair, Brightness()).values
    assert values["frame_acc"] == 1
    assert values["clip_direction"] > 0.9


def test_without_an_encoder_nothing_takes_its_place(pan):
    missing = measure(make_pair(1 - pan, pan, captions=("dark", "bright"))).missing
    assert {"tem_con", "frame_acc", "clip_direction"} <= missing.keys()
    assert "--clip-model" in missing["frame_acc"]


def test_blur_lowers_sharpness(pan):
    fine = torch.rand(pan.shape, generator=torch.Generator().manual_seed(1))
    blurred = torch.nn.functional.avg_pool2d(fine, 3, 1, 1)
    assert measure(make_pair(blurred, fine)).values["sharpness"] < 0.5


def test_the_region_outside_the_edit_is_compared_with_the_source(pan):
    target = pan.clone()
    target[:, :, :12] = 1 - pan[:, :, :12]
    edited = target.clone()
    edited[:, :, 12:] += 0.1
    values = measure(make_pair(edited, pan, target=target)).values
    assert values["outside_db"] == pytest.approx(20, abs=0.2)


def test_two_frames_are_enough(pan):
    scores = measure(make_pair((1 - pan)[:2], pan[:2]))
    assert "warp_error" in scores.values
    assert "3 frames" in scores.missing["interpolation_error"]


def test_a_free_choice_is_judged_by_frame_and_by_clip(pan):
    look = FREE_LOOKS["duotone"]
    frames = [
        look.apply(frame[None], torch.Generator().manual_seed(t)) for t, frame in enumerate(pan)
    ]
    values = measure(make_pair(torch.cat(frames), pan, nearest=look.nearest)).values
    assert values["edit_db"] > 40 > values["hold_db"]
    assert values["unedited_db"] < 30
    assert "choice" in measure(make_pair(1 - pan, pan)).missing["edit_db"]
