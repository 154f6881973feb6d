"""benchmarks/lib/clips.py: clips have the requested length and size, and move without a cut."""

from __future__ import annotations

import argparse

import numpy as np
import pytest

from benchmarks.lib.clips import parse_size, size_words, write_rendered_clip
from fairy import read_video


def test_clip_runs_to_and_fro(tmp_path):
    write_rendered_clip(tmp_path / "clip.mp4", 90, (32, 48))
    frames = read_video(tmp_path / "clip.mp4").astype(int)
    assert frames.shape == (90, 32, 48, 3)
    apart = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
    assert apart.max() < np.abs(frames[39] - frames[0]).mean() / 2
    # Encoding loses a little
    assert np.abs(frames[78] - frames[0]).mean() < 3


def test_size_is_width_by_height():
    assert parse_size("512x384") == (384, 512)
    assert size_words((384, 512)) == "512x384"


@pytest.mark.parametrize("text", ["512", "axb", "1x2x3"])
def test_other_sizes_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="as in 1280x720"):
        parse_size(text)
