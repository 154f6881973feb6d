"""Rendered clips of any length, as files, for benchmarks.

Frames uint8 (T,H,W,3). Tests: tests/benchmarks/lib/test_clips.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from fairy import write_video
from fairy.doctor import memory_plan
from fairy.errors import SettingsError
from fairy.media.frames import to_images
from fairy.synthetic.moving_scenes import sample_clip
from fairy.synthetic.samplers import SceneSampler

NUM_RENDERED = 40
FPS = 30


def write_rendered_clip(path: Path, num_frames: int, size: tuple[int, int]) -> None:
    """Write a rendered clip of `num_frames` and size (height, width), forwards and backwards."""
    clip = sample_clip(SceneSampler(), NUM_RENDERED, size, torch.Generator().manual_seed(0))
    there_and_back = [*range(NUM_RENDERED), *range(NUM_RENDERED - 2, 0, -1)]
    order = [there_and_back[i % len(there_and_back)] for i in range(num_frames)]
    write_video(to_images(clip.frames * 2 - 1)[order], path, fps=FPS)


def parse_size(text: str) -> tuple[int, int]:
    """Return (height, width) for "512x384"; usable as an argument's type."""
    try:
        return memory_plan.parse_size(text)
    except SettingsError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def size_words(size: tuple[int, int]) -> str:
    """Return "WIDTHxHEIGHT" of (height, width)."""
    return f"{size[1]}x{size[0]}"
