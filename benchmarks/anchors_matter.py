"""What anchors do against flicker: warp error on rendered clips whose motion is known exactly.

    python benchmarks/anchors_matter.py                20 clips, one-to-many edits, three columns

A one-to-many edit leaves a choice open (which colour, where the stripes lie), so an editor may
choose anew in every frame. Three ways to edit the same clips with the same weights and seeds:

- own noise: every frame alone, each from its own noise (an image editor applied frame by frame);
- shared noise: every frame alone, all from the same noise;
- anchors: the same shared noise, and K anchor frames whose keys and values all frames attend to.

Warp error: `fairy.metrics.temporal.warp_error`, on [0,1], non-occluded pixels; lower is steadier.
As blur and doing nothing also score low, the table carries the mean absolute change from the
source and the sharpness (mean gradient) of the result.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _alone import edit_alone
from _record import show
from PIL import Image
from torch import Tensor

from fairy import FairyPipeline
from fairy.media.frames import to_images
from fairy.media.sheet import contact_sheet
from fairy.metrics.temporal import warp_error
from fairy.training.clips import Clip, sample_clip
from fairy.training.edits import EDITS
from fairy.training.phrases import PHRASES
from fairy.training.scenes import SceneSampler

INSTRUCTIONS = [
    PHRASES[edit.name][0][0].format(it="it") for edit in EDITS if edit.scope == "one-to-many"
]
FIRST_SEED = 7_000_000
Method = Callable[[Tensor, str, int], Tensor]


def without_anchors(pipe: FairyPipeline, *, own_noise: bool) -> Method:
    """Return frame-by-frame editing."""

    def edit(frames: Tensor, instruction: str, seed: int) -> Tensor:
        seeds = [seed + 1000 * (1 + t) * own_noise for t in range(len(frames))]
        return edit_alone(pipe, frames, [instruction] * len(frames), seeds)

    return edit


def edit_with_anchors(pipe: FairyPipeline, num_anchors: int) -> Method:
    """Return Fairy's way of editing."""

    def edit(frames: Tensor, instruction: str, seed: int) -> Tensor:
        result = pipe(
            frames * 2 - 1, instruction, generator=seed, num_anchors=num_anchors, output_type="pt"
        )
        return (result.frames.cpu() + 1) / 2

    return edit


def sharpness(frames: Tensor) -> float:
    """Mean absolute difference of neighbouring pixels, (T,3,H,W) in [0,1]."""
    return float(
        (frames[..., 1:] - frames[..., :-1]).abs().mean()
        + (frames[..., 1:, :] - frames[..., :-1, :]).abs().mean()
    )


def make_clip(index: int, num_frames: int, size: tuple[int, int]) -> Clip:
    """Render held-out clip number `index`."""
    generator = torch.Generator().manual_seed(FIRST_SEED + index)
    return sample_clip(SceneSampler(), num_frames, size, generator)


def write_sheet(path: Path, clip: Clip, results: dict[str, Tensor], instruction: str) -> None:
    """Write five frames of the source and of each method's result."""
    shown = np.linspace(0, len(clip.frames) - 1, 5).round().astype(int)
    videos = {f'source: "{instruction}"': clip.frames, **results}
    rows = [list(to_images(video[shown] * 2 - 1)) for video in videos.values()]
    Image.fromarray(contact_sheet(rows, list(videos))).save(path)


def summary(name: str, cases: list[dict[str, float]], anchored: list[float]) -> dict[str, Any]:
    """Return a method's row: means over the clips, and how often anchors are steadier than it."""
    means = {key: float(np.mean([case[key] for case in cases])) for key in cases[0]}
    wins = sum(a < case["warp_error"] for a, case in zip(anchored, cases, strict=True))
    return {
        "method": name,
        "warp_error_x1000": 1000 * means["warp_error"],
        "change": means["change"],
        "sharpness": means["sharpness"],
        "anchors_steadier": f"{wins}/{len(cases)}",
    }


def main() -> None:
    """Edit every clip in every way; print means, and in how many clips anchors are steadier."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--size", type=int, nargs=2, default=(72, 96), metavar=("H", "W"))
    parser.add_argument("--num-anchors", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--sheets", type=Path, help="folder for a PNG of each clip")
    args = parser.parse_args()
    pipe = FairyPipeline.from_pretrained(args.model, device=args.device, dtype="auto")
    methods = {
        "frame by frame, own noise": without_anchors(pipe, own_noise=True),
        "frame by frame, shared noise": without_anchors(pipe, own_noise=False),
        f"{args.num_anchors} anchors": edit_with_anchors(pipe, args.num_anchors),
    }
    scores: dict[str, list[dict[str, float]]] = {name: [] for name in methods}
    for index in range(args.clips):
        clip = make_clip(index, args.frames, tuple(args.size))
        instruction = INSTRUCTIONS[index % len(INSTRUCTIONS)]
        results = {name: edit(clip.frames, instruction, index) for name, edit in methods.items()}
        for name, frames in results.items():
            scores[name].append(
                {
                    "warp_error": warp_error(frames, clip.flow, clip.visible),
                    "change": float((frames - clip.frames).abs().mean()),
                    "sharpness": sharpness(frames),
                }
            )
        if args.sheets:
            args.sheets.mkdir(parents=True, exist_ok=True)
            write_sheet(args.sheets / f"{index:02d}.png", clip, results, instruction)
    anchored = [case["warp_error"] for case in scores[f"{args.num_anchors} anchors"]]
    rows = [summary(name, cases, anchored) for name, cases in scores.items()]
    show(f"{args.model}: one-to-many edits on {args.clips} rendered clips", rows, **_settings(args))


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    return {"frames": args.frames, "size": list(args.size), "num_anchors": args.num_anchors}


if __name__ == "__main__":
    main()
