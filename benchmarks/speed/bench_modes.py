"""What do the faster modes cost and save? Time, distance from the exact result, warp error, FLOPs.

    python benchmarks/speed/bench_modes.py --sheet out/modes.png    4 rendered clips, 4 and 10 steps

All modes have the same clips, seeds and steps, and alternate in one run. `time` is relative to the
exact mode: the median over the clips, including anchors and autoencoder. On a CPU it is processor
time, so a busy machine matters less. PSNR is to the exact mode's frames, without anchors. Warp
error (`fairy.metrics.temporal.warp_error`, exact motion) is shown with sharpness, because blur is
steady. `sd_flops` is relative too: the UNet's FLOPs for a frame of SD 1.5's shape at 512x384, with
3 anchors and 3 branches and the same number of steps, counted on the meta device.
Tests: tests/benchmarks/speed/test_bench_modes.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.record import show
from benchmarks.lib.seconds import Seconds
from benchmarks.lib.sheets import write_sheet
from fairy import FairyPipeline
from fairy.anchors.attention import AnchorPass, anchor_attention
from fairy.anchors.backends import choose_backend
from fairy.anchors.cache import AnchorCache
from fairy.anchors.selection import select_anchor_indices
from fairy.editors.ip2p.guidance import Guidance
from fairy.editors.ip2p.levers.base import Step
from fairy.editors.ip2p.levers.deep_cache import DeepCache, reused_steps
from fairy.editors.ip2p.levers.guidance_interval import UNGUIDED, guided_steps
from fairy.editors.ip2p.levers.shared_branches import shared_branches
from fairy.evaluation.clips import SuiteClip, rendered_clips
from fairy.metrics.fidelity import psnr_db, sharpness
from fairy.metrics.temporal import warp_error
from fairy.models.blueprint import META, SD15
from fairy.settings import EXACT, QUALITIES, Shortcuts

MODES = {
    "exact": EXACT,
    "--guidance-interval 0.2 1": Shortcuts(guidance_interval=(0.2, 1.0)),
    "--guidance-interval 0.2 0.8": Shortcuts(guidance_interval=(0.2, 0.8)),
    "--guidance-interval 0 0.6": Shortcuts(guidance_interval=(0.0, 0.6)),
    "--quality balanced": QUALITIES["balanced"],
    "--reuse 3": Shortcuts(reuse=3),
    "--guidance-interval 0.2 1 --reuse 2": Shortcuts(guidance_interval=(0.2, 1.0), reuse=2),
    "--quality fast": QUALITIES["fast"],
}
NUM_ANCHORS = 3
# SD 1.5 at 512x384: latents (h, w)
SD_SIZE = (48, 64)
NUM_SHOWN = 5


def measure(
    pipe: FairyPipeline, clips: list[SuiteClip], num_steps: int
) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """Return one row for each mode, and its frames (T,3,H,W) of the first clip."""
    scores: dict[str, list[dict[str, float]]] = {name: [] for name in MODES}
    first: dict[str, Tensor] = {}
    for index, clip in enumerate(clips):
        exact = None
        for name, shortcuts in MODES.items():
            began = Seconds.now()
            frames = edit(pipe, clip, index, num_steps, shortcuts)
            seconds = (Seconds.now() - began).on(pipe.device)
            exact = frames if exact is None else exact
            first.setdefault(name, frames)
            scores[name].append(score(clip, frames, exact) | {"seconds": seconds})
    rows = [_row(name, num_steps, scores[name], scores["exact"]) for name in MODES]
    return rows, first


def edit(
    pipe: FairyPipeline, clip: SuiteClip, seed: int, num_steps: int, shortcuts: Shortcuts
) -> Tensor:
    """Return the clip's frames (T,3,H,W) in [0,1], edited."""
    result = pipe(
        clip.frames,
        clip.instruction,
        num_inference_steps=num_steps,
        shortcuts=shortcuts,
        generator=seed,
        height=clip.frames.shape[-2],
        width=clip.frames.shape[-1],
        output_type="pt",
    )
    edited: Tensor = result.frames
    return edited


def score(clip: SuiteClip, frames: Tensor, exact: Tensor) -> dict[str, float]:
    """Return the measures of one edited clip."""
    anchors = select_anchor_indices(len(frames), NUM_ANCHORS)
    others = [index for index in range(len(frames)) if index not in anchors]
    return {
        "psnr_db": psnr_db(frames[others], exact[others]),
        "warp_error_x1000": 1000 * warp_error(frames, clip.flow, clip.visible),
        "sharpness": float(sharpness(frames, exact) or 0),
    }


def _row(
    name: str, num_steps: int, scores: list[dict[str, float]], exact: list[dict[str, float]]
) -> dict[str, Any]:
    def ratio_of_medians(key: str) -> float:
        return float(np.median([s[key] / e[key] for s, e in zip(scores, exact, strict=True)]))

    return {
        "mode": name,
        "steps": num_steps,
        "time": ratio_of_medians("seconds"),
        "psnr_db": float(np.mean([s["psnr_db"] for s in scores])),
        "worst_psnr_db": min(s["psnr_db"] for s in scores),
        "warp_error_x1000": float(np.mean([s["warp_error_x1000"] for s in scores])),
        "sharpness": float(np.mean([s["sharpness"] for s in scores])),
    }


def sd_flops(num_steps: int, shortcuts: Shortcuts) -> float:
    """Return the UNet's FLOPs for one frame through all steps."""
    guided = guided_steps(num_steps, shortcuts.guidance_interval)
    num_groups = [3 if index in guided else 1 for index in range(num_steps)]
    reused = reused_steps(num_groups, shortcuts.reuse)
    return sum(map(_step_flops, num_groups, reused))


@cache
def sd_unet() -> UNet2DConditionModel:
    """Return SD 1.5 InstructPix2Pix's UNet without weights."""
    unet: UNet2DConditionModel = SD15["unet"].build()
    return unet


@cache
@torch.no_grad()
def _step_flops(num_groups: int, reused: bool) -> float:
    unet, guidance = sd_unet(), Guidance(7.5, 1.5) if num_groups == 3 else UNGUIDED
    cache, backend = AnchorCache(META, META), choose_backend("sdpa", META)
    state = AnchorPass(cache, backend, NUM_ANCHORS, writing=True)
    with anchor_attention(unet, state), shared_branches(unet, state):
        _predict(unet, num_groups * NUM_ANCHORS)
        state.num_frames, state.writing = 1, False
        state.begin_step(0)
        with DeepCache(unet, every=2) as lever:
            lever.at_step(Step(0, 2, guidance))
            if reused:
                _predict(unet, num_groups)
                lever.at_step(Step(1, 2, guidance))
            with FlopCounterMode(display=False) as counter:
                _predict(unet, num_groups)
    return float(counter.get_total_flops())


def _predict(unet: UNet2DConditionModel, num_rows: int) -> None:
    rows = torch.empty(num_rows, 8, *SD_SIZE, device=META)
    unet(rows, torch.tensor(1, device=META), torch.empty(num_rows, 77, 768, device=META))


def draw_sheet(path: Path, clip: SuiteClip, edited: dict[str, Tensor]) -> None:
    """Write five frames of the source and of every mode's result, one row each."""
    write_sheet(path, {f"source; {clip.instruction}": clip.frames, **edited}, NUM_SHOWN)


def main() -> None:
    """Parse, edit, count, show."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--frames", type=int, default=7)
    parser.add_argument("--size", type=int, nargs=2, default=(64, 80), metavar=("H", "W"))
    parser.add_argument("--steps", type=int, nargs="+", default=(4, 10))
    parser.add_argument("--sheet", type=Path, help="PNG of the first clip; steps are appended")
    args = parser.parse_args()
    pipe = FairyPipeline.from_pretrained(args.model, device="auto", dtype="auto")
    clips = list(rendered_clips(args.clips, args.frames, tuple(args.size)))
    edit(pipe, clips[0], 0, 1, EXACT)
    rows = [row for steps in args.steps for row in _rows(pipe, clips, steps, args.sheet)]
    title = f"{args.model}: modes on {args.clips} rendered clips"
    show(title, rows, frames=args.frames, size=list(args.size))


def _rows(
    pipe: FairyPipeline,
    clips: list[SuiteClip],
    num_steps: int,
    sheet: Path | None,
) -> Iterator[dict[str, Any]]:
    rows, first = measure(pipe, clips, num_steps)
    if sheet is not None:
        draw_sheet(sheet.with_stem(f"{sheet.stem}_{num_steps}"), clips[0], first)
    exact = sd_flops(num_steps, EXACT)
    for row in rows:
        yield row | {"sd_flops": sd_flops(num_steps, MODES[row["mode"]]) / exact}


if __name__ == "__main__":
    main()
