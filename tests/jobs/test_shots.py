"""Every shot is edited as if it were a separate clip."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.jobs.edit import edit_video
from fairy.jobs.report import EditReport
from fairy.media.frames import resize, to_images
from fairy.media.read import read_frames, read_video
from fairy.media.write import write_video
from fairy.settings import EditConfig
from fairy.synthetic.moving_scenes import sample_clip
from fairy.synthetic.samplers import SceneSampler

CONFIG = EditConfig(size=32, num_inference_steps=2, num_anchors=2, seed=4, frame_batch_size=3)
LENGTHS = (7, 6, 8)


@pytest.fixture(params=["rendered", pytest.param("real", marks=pytest.mark.slow)])
def parts(request: pytest.FixtureRequest, clip: Callable[[str], Path]) -> list[np.ndarray]:
    """Three shots, each uint8 (T,48,64,3): scenes in motion, or pieces of real clips."""
    if request.param == "rendered":
        draw = torch.Generator().manual_seed(3)
        sampler = SceneSampler()
        return [
            to_images(sample_clip(sampler, length, (48, 64), draw).frames * 2 - 1)
            for length in LENGTHS
        ]
    names = ("stress/bear_vp9.webm", "stress/water_vp8.webm", "stress/non_zero_start.mp4")
    return [
        resize(np.stack([f.image for f in islice(read_frames(clip(name)), length)]), (48, 64))
        for name, length in zip(names, LENGTHS, strict=True)
    ]


def edit(
    images: np.ndarray, folder: Path, name: str, pipe: FairyPipeline, shots: str
) -> tuple[np.ndarray, EditReport]:
    write_video(images, folder / name)
    config = EditConfig(**{**vars(CONFIG), "shots": shots})
    report = edit_video(
        folder / name, "make it snow", folder / f"{name} out", config, pipeline=pipe
    )
    return read_video(folder / f"{name} out").astype(int), report


def test_shots_cut_together_are_edited_as_each_alone(
    parts: list[np.ndarray], pipe: FairyPipeline, tmp_path: Path
):
    joined, report = edit(np.concatenate(parts), tmp_path, "joined", pipe, "auto")
    assert report.shots == ((0, 7), (7, 13), (13, 21))
    alone = [edit(part, tmp_path, str(i), pipe, "off")[0] for i, part in enumerate(parts)]
    assert np.abs(joined - np.concatenate(alone)).max() <= 1
    without, _ = edit(np.concatenate(parts), tmp_path, "without", pipe, "off")
    assert np.abs(joined - without).max() > 1
