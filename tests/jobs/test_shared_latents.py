"""A shared clip gives the times and latents that the clip itself would give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fairy.control.changes import Box
from fairy.editors.ip2p.latents import encode_images
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.jobs.shared_latents import SharedClip
from fairy.media.frames import to_model
from fairy.media.read import read_frames
from fairy.media.write import write_video
from tests.tiny import make_frames


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    # More frames than are encoded together
    write_video(make_frames(10, 24, 32), tmp_path / "clip")
    return tmp_path / "clip"


def test_latents_are_those_of_each_frame(clip: Path, pipe: FairyPipeline):
    with SharedClip(read_frames(clip), pipe, (24, 32)) as shared:
        for index in (9, 0, 8):
            image = to_model(make_frames(10, 24, 32)[index : index + 1])
            with torch.no_grad():
                expected = encode_images(pipe.vae, image)[0]
            assert torch.allclose(shared.latents(index), expected, atol=1e-5)


def test_kept_pictures_are_those_of_each_frame(clip: Path, pipe: FairyPipeline):
    with SharedClip(read_frames(clip), pipe, (24, 32), keep_pictures=True) as shared:
        frames = list(shared.frames(3, 10))
    images = np.stack([frame.image for frame in frames])
    assert np.array_equal(images, make_frames(10, 24, 32)[3:])


def test_the_model_sees_the_crop_and_outputs_the_whole_picture(clip: Path, pipe: FairyPipeline):
    options = {"crop": Box(8, 0, 16, 16), "keep_pictures": True}
    with SharedClip(read_frames(clip), pipe, (16, 16), **options) as shared:
        image = to_model(make_frames(10, 24, 32)[2:3, :16, 8:24])
        with torch.no_grad():
            expected = encode_images(pipe.vae, image)[0]
        assert torch.allclose(shared.latents(2), expected, atol=1e-5)
        assert next(shared.frames(2, 3)).image.shape == (24, 32, 3)


def test_frames_have_their_times_and_no_pictures(clip: Path, pipe: FairyPipeline):
    with SharedClip(read_frames(clip), pipe, (24, 32)) as shared:
        frames = list(shared.frames(4, 9))
    assert [frame.time_s for frame in frames] == [f.time_s for f in read_frames(clip)][4:9]
    assert all(frame.image.size == 0 for frame in frames)
