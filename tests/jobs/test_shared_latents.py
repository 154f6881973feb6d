"""A shared clip gives the times and latents that the clip itself would give."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

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


def test_frames_have_their_times_and_no_pictures(clip: Path, pipe: FairyPipeline):
    with SharedClip(read_frames(clip), pipe, (24, 32)) as shared:
        frames = list(shared.frames(4, 9))
    assert [frame.time_s for frame in frames] == [f.time_s for f in read_frames(clip)][4:9]
    assert all(frame.image.size == 0 for frame in frames)
