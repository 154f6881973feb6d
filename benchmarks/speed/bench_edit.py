"""Time a whole edit, from file to file, by stage, and compare it with the bound.

    python benchmarks/speed/bench_edit.py                                    mini, 96x72, 120 frames
    python benchmarks/speed/bench_edit.py --model sd15 --sizes 512x384 512x512 --device cuda
    python benchmarks/speed/bench_edit.py --frames 120 480 1920 --steps 2 --runs 1    over lengths
    python benchmarks/speed/bench_edit.py --frame-batch-sizes 4 8 16 32             speed against F
    python benchmarks/speed/bench_edit.py --modes exact balanced fast compile+fp8      faster modes

Every edit is `fairy.jobs.edit.edit_video` of a rendered clip, as in `fairy edit`; the seconds by
stage are from its report. Decoding and encoding run in parallel to the model; `idle` is the time in
which the model did nothing. The first run of each setting has its own row; of the later runs, the
one with the median total time is shown. The bound is the FLOPs of the plain computation, counted by
torch, divided by the rate of large matrix products on this device in the same run.
A mode is a quality of `fairy edit --quality`, `compile`, `fp8`, or several joined by +. Models:
`mini`, `sd15` (random weights: benchmarks/lib/models.py), a folder or a hub id.
Tests: tests/benchmarks/speed/test_bench_edit.py.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.bound import H200_FLOPS_PER_S, edit_flops, matmul_flops_per_s
from benchmarks.lib.clips import parse_size, size_words, write_rendered_clip
from benchmarks.lib.models import INSTRUCTION, load_model
from benchmarks.lib.record import keep, show
from fairy.editors.compute import check_fp8, compile_unet, to_fp8
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.jobs.edit import edit_video
from fairy.jobs.report import EditReport
from fairy.settings import EditConfig

STAGES = (
    "decode_s", "vae_encode_s", "anchors_s", "frames_s", "vae_decode_s", "encode_s", "idle_s",
    "total_s",
)  # fmt: skip
COLUMNS = (
    "model", "mode", "size", "num_frames", "steps", "F", "run", *STAGES, "fps", "peak_mb",
    "%_of_bound",
)  # fmt: skip


def main(words: list[str] | None = None) -> None:
    """Measure every combination and show the rows."""
    args = parser().parse_args(words)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for mode in args.modes:
            pipe = load_in_mode(args, mode)
            rate = matmul_flops_per_s(pipe.device, pipe.unet.dtype)
            for size, num_frames in product(args.sizes, args.frames):
                clip = Path(folder, f"{size_words(size)}_{num_frames}.mp4")
                if not clip.exists():
                    write_rendered_clip(clip, num_frames, size)
                for config in configs(args, mode, size):
                    for row in measure(pipe, clip, config, rate, args.runs):
                        rows.append({"mode": mode, **row})
                        keep(args.out, "edit", rows[-1])
    title = f"Whole edit, seconds by stage; matrix product {rate / 1e12:.3g} TFLOP/s"
    show(title, rows, columns=COLUMNS)


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--model", default="mini")
    made.add_argument("--sizes", type=parse_size, nargs="+", default=[(72, 96)], metavar="WxH")
    made.add_argument("--frames", type=int, nargs="+", default=[120])
    made.add_argument("--frame-batch-sizes", type=int, nargs="+", default=[None], metavar="F")
    made.add_argument("--modes", nargs="+", default=["exact"])
    made.add_argument("--anchors", type=int, default=3)
    made.add_argument("--steps", type=int)
    made.add_argument("--device", default="auto")
    made.add_argument("--dtype", default="auto")
    made.add_argument("--backend", default="auto")
    made.add_argument("--runs", type=int, default=2, help="the first included")
    made.add_argument("--out", type=Path, help="file of JSON lines, added to")
    return made


def load_in_mode(args: argparse.Namespace, mode: str) -> FairyPipeline:
    """Return the model, with its UNet in float8 or compiled if the mode says so."""
    pipe = load_model(args.model, args.device, args.dtype)
    if "fp8" in mode.split("+"):
        check_fp8(pipe.device)
        to_fp8(pipe.unet)
    if "compile" in mode.split("+"):
        compile_unet(pipe.unet)
    return pipe


def quality_of(mode: str) -> str:
    """Return the quality that a mode names; "exact" if it names none.

    >>> quality_of("compile+fast"), quality_of("fp8")
    ('fast', 'exact')
    """
    named = set(mode.split("+")) - {"fp8", "compile"}
    return named.pop() if named else "exact"


def configs(args: argparse.Namespace, mode: str, size: tuple[int, int]) -> Iterator[EditConfig]:
    """Yield the settings to measure at one size."""
    for frame_batch_size in args.frame_batch_sizes:
        yield EditConfig(
            model=args.model,
            num_inference_steps=args.steps,
            num_anchors=args.anchors,
            size=max(size),
            backend=args.backend,
            frame_batch_size=frame_batch_size,
            quality=quality_of(mode),
            # The clip runs forwards and backwards without a cut
            shots="off",
        )


def measure(
    pipe: FairyPipeline, clip: Path, config: EditConfig, flops_per_s: float, num_runs: int
) -> Iterator[dict[str, Any]]:
    """Edit the clip `num_runs` times; yield a row of the first run and one of the others."""
    reports = [run(pipe, clip, config) for _ in range(num_runs)]
    yield row_of(pipe, reports[0], "first", flops_per_s)
    later = sorted(reports[1:], key=lambda report: report.seconds["total"])
    if later:
        yield row_of(pipe, later[(len(later) - 1) // 2], "steady", flops_per_s)


def run(pipe: FairyPipeline, clip: Path, config: EditConfig) -> EditReport:
    """Edit the clip once."""
    reset_peak_memory()
    out = clip.with_name("edited.mp4")
    return edit_video(clip, INSTRUCTION, out, config, pipeline=pipe, overwrite=True)


def reset_peak_memory() -> None:
    """Reset this process's peak resident size on Linux; elsewhere the peak includes all runs."""
    counter = Path("/proc/self/clear_refs")
    if counter.exists():
        counter.write_text("5")


def row_of(
    pipe: FairyPipeline, report: EditReport, which: str, flops_per_s: float
) -> dict[str, Any]:
    """Return the time of one edit, also as a share of its bound."""
    used, seconds = report.used, stage_seconds(report)
    flops = edit_flops(pipe, used, report.num_frames)
    bound_s = sum(flops.values()) / flops_per_s
    memory = report.peak_device_memory_bytes or report.peak_memory_bytes
    return {
        "model": report.settings.model,
        "size": size_words((used.height, used.width)),
        "num_frames": report.num_frames,
        "steps": used.num_inference_steps,
        "anchors_K": len(used.anchor_indices),
        "branches_G": used.num_groups,
        "F": used.frame_batch_size,
        "dtype": used.dtype,
        "backend": used.backend,
        "run": which,
        **seconds,
        "fps": report.num_frames / seconds["total_s"],
        "peak_mb": memory / 1e6,
        "peak_of": "process" if report.peak_device_memory_bytes is None else "device",
        "pflop": sum(flops.values()) / 1e15,
        "pflop_by_stage": {stage: count / 1e15 for stage, count in flops.items()},
        "flops_per_s": flops_per_s,
        "bound_s": bound_s,
        "%_of_bound": 100 * bound_s / seconds["total_s"],
        **h200_bound(sum(flops.values())),
    }


def stage_seconds(report: EditReport) -> dict[str, float]:
    """Return the seconds of `STAGES`, without loading the model."""
    total = report.seconds["total"] - report.seconds["load"]
    model = {"frames": 0.0, **report.model_seconds}
    busy = sum(model.values())
    codecs = {"decode": report.codec_seconds["read"], "encode": report.codec_seconds["write"]}
    seconds = {**model, **codecs, "idle": total - busy, "total": total}
    return {stage: round(seconds[stage.removesuffix("_s")], 4) for stage in STAGES}


def h200_bound(flops: float) -> dict[str, float]:
    """Return the bound at an H200's measured rate, if this card is an H200."""
    if not (torch.cuda.is_available() and "H200" in torch.cuda.get_device_name()):
        return {}
    return {"bound_at_790_tflops_s": flops / H200_FLOPS_PER_S}


if __name__ == "__main__":
    main()
