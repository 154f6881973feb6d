r"""Compare our edit with others of the same clip: same weights, steps and seed.

    python benchmarks/speed/bench_baselines.py                        mini, 64x48, 120 frames
    python benchmarks/speed/bench_baselines.py --model sd15 --size 512x384 --device cuda \
        --frames 120

The ways alternate in one run; times are medians of `--repeats`; frames are in memory, without
files. If other processes use the CPU, read `cpu_times_plain`, the ratio of processor times.
    diffusers, frame by frame    its own InstructPix2Pix, one image per call
    diffusers, F at a time       the same, F images per call
    first-frame attention        the same, with keys and values of the first frame, recomputed in
                                 every batch (Text2Video-Zero's Video InstructPix2Pix)
    joint attention over F       the same, every frame attends to all of its batch
    TokenFlow's schedule         its sequence of UNet calls (benchmarks/lib/tokenflow.py): the work
                                 is TokenFlow's, the picture is not, so it is not scored
    ours                         anchors, F frames at a time
diffusers always computes three guidance branches; ours computes those whose weight is not 0: two at
an image guidance of 1. So the first and last ways are also timed at an image guidance that needs
all three. Each row also has quality: warp error (x 1000, exact motion; lower is steadier), change
from the source, and sharpness (relative to the source's).
Tests: tests/benchmarks/speed/test_bench_baselines.py.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.clips import parse_size, size_words
from benchmarks.lib.models import INSTRUCTION, has_random_weights, load_model
from benchmarks.lib.record import keep, show
from benchmarks.lib.seconds import Seconds
from benchmarks.lib.tokenflow import FRAMES_AT_ONCE, INVERSION_STEPS, tokenflow_seconds
from benchmarks.lib.ways import alone, edit_jointly, edit_with_first_frame, num_groups
from fairy.editors.ip2p.guidance import Guidance
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.evaluation.clips import SuiteClip, rendered_clips
from fairy.evaluation.methods import with_anchors
from fairy.metrics.fidelity import sharpness
from fairy.metrics.temporal import warp_error

PLAIN, OURS = "diffusers, frame by frame", "ours"
COLUMNS = (
    "way", "image_guidance", "branches_G", "F", "median_s", "times_plain", "cpu_times_plain",
    "warp_error_1000", "change", "sharpness", "note",
)  # fmt: skip


@dataclass
class Way:
    """One row: how to edit, and its results.

    Attributes:
        name: its name in the table.
        image_guidance_scale: this row's scale.
        branches: guidance branches that are computed.
        num_at_once: frames in one call, F.
        run: edits the clip once; returns its seconds and, unless weights are random, its frames.
        note: shown with the row.
        seconds: seconds of each run.
        edited: frames (T,3,H,W) in [0,1] of the last run.
    """

    name: str
    image_guidance_scale: float
    branches: int
    num_at_once: int
    run: Callable[[], tuple[Seconds, Tensor | None]]
    note: str = ""
    seconds: list[Seconds] = field(default_factory=list)
    edited: Tensor | None = None


def main(words: list[str] | None = None) -> None:
    """Time all ways in turns, score them and show the rows."""
    args = parser().parse_args(words)
    pipe = load_model(args.model, args.device, args.dtype)
    clip = next(iter(rendered_clips(1, args.frames, args.size)))
    ways = all_ways(pipe, clip, args)
    warm_up(pipe, clip, args)
    began = time.monotonic()
    for repeat in range(args.repeats):
        if repeat and time.monotonic() - began > args.budget_s:
            break
        for way in ways:
            seconds, way.edited = way.run()
            way.seconds.append(seconds)
            print(f"{way.name}: {seconds.wall:.1f} s, {seconds.cpu:.1f} s of processor", flush=True)
    meant = not has_random_weights(args.model)
    rows = [row_of(way, ways, clip, args, meant=meant) for way in ways]
    for row in rows:
        keep(args.out, "baselines", row)
    source = 1000 * warp_error(clip.frames, clip.flow, clip.visible)
    title = (
        f"{args.frames} frames of {size_words(args.size)}, {args.model}, {steps_of(pipe, args)} "
    )
    title += f"steps; the source's own warp error x 1000: {source:.3g}"
    show(title, rows, columns=COLUMNS, source_warp_error_1000=source)


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--model", default="mini")
    made.add_argument("--size", type=parse_size, default=(48, 64), metavar="WxH")
    made.add_argument("--frames", type=int, default=120)
    made.add_argument("--steps", type=int)
    made.add_argument("--anchors", type=int, default=3)
    made.add_argument("--at-once", type=int, default=8, help="frames in one call, F")
    made.add_argument("--three-branches-at", type=float, default=1.2, help="image guidance")
    made.add_argument("--inversion-steps", type=int, default=INVERSION_STEPS)
    made.add_argument("--device", default="auto")
    made.add_argument("--dtype", default="auto")
    made.add_argument("--repeats", type=int, default=3)
    made.add_argument("--budget-s", type=float, default=120, help="no repeat begins after it")
    made.add_argument("--out", type=Path, help="file of JSON lines, added to")
    return made


def all_ways(pipe: FairyPipeline, clip: SuiteClip, args: argparse.Namespace) -> list[Way]:
    """Return every way at the model's own guidance, and three ways with all branches."""
    own = pipe.defaults.image_guidance_scale
    ways = [*compared(pipe, clip, args, own), *others(pipe, clip, args, own)]
    if Guidance(pipe.defaults.guidance_scale, own).num_groups < 3:
        ways += compared(pipe, clip, args, args.three_branches_at)
    return ways


def compared(
    pipe: FairyPipeline, clip: SuiteClip, args: argparse.Namespace, image_guidance_scale: float
) -> list[Way]:
    """Return diffusers frame by frame and in batches, and ours."""
    settings = settings_of(pipe, args, image_guidance_scale)
    frames, words, count = clip.frames, instruction_of(clip, args), args.at_once
    ours = with_anchors(pipe, args.anchors, frame_batch_size=count, **settings)
    branches = num_groups(pipe, **settings)
    counted = Guidance(pipe.defaults.guidance_scale, image_guidance_scale).num_groups

    def plain(at_once: int) -> Callable[[], Tensor]:
        return lambda: alone(pipe, frames, words, at_once, **settings)

    return [
        Way(PLAIN, image_guidance_scale, branches, 1, timed(plain(1))),
        Way("diffusers, F at a time", image_guidance_scale, branches, count, timed(plain(count))),
        Way(
            OURS,
            image_guidance_scale,
            counted,
            count,
            timed(lambda: ours.edit(frames, words, 0)),
            f"{args.anchors} anchors",
        ),
    ]


def others(
    pipe: FairyPipeline, clip: SuiteClip, args: argparse.Namespace, image_guidance_scale: float
) -> list[Way]:
    """Return the ways of other methods."""
    settings = settings_of(pipe, args, image_guidance_scale)
    frames, words, count = clip.frames, instruction_of(clip, args), args.at_once
    branches = num_groups(pipe, **settings)

    def tokenflow() -> tuple[Seconds, None]:
        steps = {"num_inference_steps": steps_of(pipe, args)}
        inversion = {"inversion_steps": args.inversion_steps}
        return tokenflow_seconds(pipe, frames, words, **steps, **inversion), None

    return [
        Way(
            "first-frame attention",
            image_guidance_scale,
            branches,
            count,
            timed(lambda: edit_with_first_frame(pipe, frames, words, count, **settings)),
        ),
        Way(
            "joint attention over F",
            image_guidance_scale,
            branches,
            count,
            timed(lambda: edit_jointly(pipe, frames, words, count, **settings)),
        ),
        Way(
            "TokenFlow's schedule",
            image_guidance_scale,
            3,
            FRAMES_AT_ONCE,
            tokenflow,
            f"the work only, not its picture; {args.inversion_steps} inversion steps, 2 timed",
        ),
    ]


def settings_of(
    pipe: FairyPipeline, args: argparse.Namespace, image_guidance_scale: float
) -> dict[str, Any]:
    """Return the settings that all ways share."""
    return {
        "num_inference_steps": steps_of(pipe, args),
        "guidance_scale": pipe.defaults.guidance_scale,
        "image_guidance_scale": image_guidance_scale,
    }


def steps_of(pipe: FairyPipeline, args: argparse.Namespace) -> int:
    """Return the denoising steps."""
    return int(args.steps or pipe.defaults.num_inference_steps)


def instruction_of(clip: SuiteClip, args: argparse.Namespace) -> str:
    """Return the clip's instruction, or with random weights one that the tokenizer knows."""
    return INSTRUCTION if has_random_weights(args.model) else clip.instruction


def timed(edit: Callable[[], Tensor]) -> Callable[[], tuple[Seconds, Tensor]]:
    """Return `edit` with timing; its results are on the CPU, so the device has finished."""

    def run() -> tuple[Seconds, Tensor]:
        began = Seconds.now()
        edited = edit()
        return Seconds.now() - began, edited

    return run


def warm_up(pipe: FairyPipeline, clip: SuiteClip, args: argparse.Namespace) -> None:
    """Run every way once on a few frames, uncounted."""
    short = SuiteClip(
        name="warm-up", instruction=clip.instruction, frames=clip.frames[: args.at_once + 1],
        flow=clip.flow, visible=clip.visible, flow_method="exact", fps=clip.fps,
    )  # fmt: skip
    few = argparse.Namespace(**{**vars(args), "steps": 1, "inversion_steps": 1})
    for way in all_ways(pipe, short, few):
        way.run()


def row_of(
    way: Way, ways: list[Way], clip: SuiteClip, args: argparse.Namespace, *, meant: bool
) -> dict[str, Any]:
    """Return a way's time, ratio and scores; None is "not measured"."""
    plain = next(
        other
        for other in ways
        if (other.name, other.image_guidance_scale) == (PLAIN, way.image_guidance_scale)
    )
    return {
        "model": args.model,
        "size": size_words(args.size),
        "num_frames": args.frames,
        "way": way.name,
        "image_guidance": way.image_guidance_scale,
        "branches_G": way.branches,
        "F": way.num_at_once,
        "median_s": median(way).wall,
        "all_s": [round(seconds.wall, 4) for seconds in way.seconds],
        "times_plain": median(way).wall / median(plain).wall,
        "cpu_times_plain": median(way).cpu / median(plain).cpu,
        **scores(way.edited if meant else None, clip),
        "note": way.note,
    }


def median(way: Way) -> Seconds:
    """Return the medians of a way's runs."""
    walls, cpus = zip(*way.seconds, strict=True)
    return Seconds(statistics.median(walls), statistics.median(cpus))


def scores(edited: Tensor | None, clip: SuiteClip) -> dict[str, float | None]:
    """Return warp error, change from the source and sharpness relative to it."""
    if edited is None:
        return dict.fromkeys(("warp_error_1000", "change", "sharpness"))
    return {
        "warp_error_1000": 1000 * warp_error(edited, clip.flow, clip.visible),
        "change": float((edited - clip.frames).abs().mean()),
        "sharpness": sharpness(edited, clip.frames),
    }


if __name__ == "__main__":
    main()
