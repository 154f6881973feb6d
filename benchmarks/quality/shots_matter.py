"""What is the gain of anchors per shot? Warp error of clips with cuts, with and without shots.

    python benchmarks/quality/shots_matter.py                6 clips of three rendered shots

Without shots the anchors are spread over the whole clip, so a frame attends to pictures of other
scenes. Warp error: `fairy.metrics.temporal.warp_error` within each shot, where the motion is known
exactly; lower is steadier. Blur and unedited clips score low as well, so the table also has the
mean absolute change from the source and the sharpness relative to it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.record import show
from fairy import FairyPipeline
from fairy.evaluation.clips import OPEN
from fairy.metrics.fidelity import sharpness
from fairy.metrics.temporal import warp_error
from fairy.synthetic.moving_scenes import Clip, sample_clip
from fairy.synthetic.phrase_table import PHRASES
from fairy.synthetic.samplers import SceneSampler

INSTRUCTIONS = [PHRASES[name][0][0].format(it="it") for name in OPEN]
FIRST_SEED = 8_000_000


def edit(pipe: FairyPipeline, frames: Tensor, instruction: str, seed: int) -> Tensor:
    """Return frames (T,3,H,W) in [0,1], edited with anchors spread over all of them."""
    height, width = frames.shape[-2:]
    result: Tensor = pipe(
        frames, instruction, generator=seed, height=height, width=width, output_type="pt"
    ).frames
    return result.cpu()


def score(shots: list[Clip], results: list[Tensor]) -> dict[str, float]:
    """Return the means over the shots of a clip."""
    pairs = list(zip(shots, results, strict=True))
    return {
        "warp_error_x1000": 1000
        * float(np.mean([warp_error(r, s.flow, s.visible) for s, r in pairs])),
        "change": float(np.mean([(r - s.frames).abs().mean() for s, r in pairs])),
        "sharpness": float(np.mean([sharpness(r, s.frames) for s, r in pairs])),
    }


def main() -> None:
    """Edit every clip both ways; print means and the number of clips that shots make steadier."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--shots", type=int, default=3, help="in each clip")
    parser.add_argument("--frames", type=int, default=8, help="in each shot")
    parser.add_argument("--size", type=int, nargs=2, default=(72, 96), metavar=("H", "W"))
    args = parser.parse_args()
    pipe = FairyPipeline.from_pretrained(args.model, device="auto", dtype="auto")
    cases: dict[str, list[dict[str, float]]] = {"one for the whole clip": [], "per shot": []}
    for index in range(args.clips):
        draw = torch.Generator().manual_seed(FIRST_SEED + index)
        sampler = SceneSampler()
        shots = [sample_clip(sampler, args.frames, args.size, draw) for _ in range(args.shots)]
        instruction = INSTRUCTIONS[index % len(INSTRUCTIONS)]
        whole = edit(pipe, torch.cat([shot.frames for shot in shots]), instruction, index)
        alone = [edit(pipe, shot.frames, instruction, index) for shot in shots]
        cases["one for the whole clip"].append(score(shots, list(whole.split(args.frames))))
        cases["per shot"].append(score(shots, alone))
    show(
        f"{args.model}: one-to-many edits on {args.clips} clips of {args.shots} rendered shots",
        [_row(name, scores, cases["per shot"]) for name, scores in cases.items()],
        frames=args.frames,
        size=list(args.size),
    )


def _row(
    name: str, scores: list[dict[str, float]], per_shot: list[dict[str, float]]
) -> dict[str, Any]:
    means = {key: float(np.mean([case[key] for case in scores])) for key in scores[0]}
    pairs = zip(per_shot, scores, strict=True)
    wins = sum(a["warp_error_x1000"] < b["warp_error_x1000"] for a, b in pairs)
    return {"anchors": name, **means, "per_shot_steadier": f"{wins}/{len(scores)}"}


if __name__ == "__main__":
    main()
