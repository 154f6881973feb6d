"""Compare the memory that edits used with the prediction of `fairy doctor --plan`.

    python benchmarks/memory/memory_peaks.py                on the CPU: resident size of the process
    python benchmarks/memory/memory_peaks.py --device cuda --model timbrooks/instruct-pix2pix \
        --sizes 512x384 512x512 --frames 4 16        on CUDA: allocations, and what a cache in
                                                           the host's memory costs in time

Each edit runs in its own process (`fairy edit --report`), which reports its own peak.
Tests: tests/benchmarks/memory/test_memory_peaks.py.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.clips import parse_size, size_words, write_rendered_clip
from benchmarks.lib.edits import report_of_edit
from benchmarks.lib.record import show
from fairy.doctor.memory_plan import TAKEN_BYTES, plan_memory
from fairy.settings import EditConfig


def row_of_edit(
    clip: Path, size: tuple[int, int], num_frames: int, cache_far: bool, args: argparse.Namespace
) -> dict[str, Any]:
    """Edit the clip of size (height, width); return the predicted and the measured memory."""
    options = ["--size", max(size), "--frame-batch-size", num_frames, "--device", args.device]
    options += ["--model", args.model, "--steps", args.steps, "--num-anchors", args.num_anchors]
    options += ["--anchor-cache-device", "cpu"] if cache_far else []
    done = report_of_edit(clip, args.instruction, *options)
    config = EditConfig(
        model=args.model, size=max(size), num_anchors=args.num_anchors,
        num_inference_steps=args.steps, frame_batch_size=num_frames,
    )  # fmt: skip
    plan = plan_memory(size, config, args.device)
    memory = plan.far if cache_far else plan.near
    said = plan.weights + memory.peak(num_frames)
    came = done["peak_device_memory_bytes"]
    if args.device == "cpu":
        said, came = said + TAKEN_BYTES["cpu"], done["peak_memory_bytes"]
    return {
        "size": size_words(size),
        "frames at a time": num_frames,
        "cache": "host" if cache_far else "device",
        "said_mb": said / 1e6,
        "came_mb": came / 1e6,
        "ratio": said / came,
        "frames_s": done["seconds"]["edit"],
    }


def main(words: list[str] | None = None) -> None:
    """Edit at every size with every number of frames at a time; show prediction and result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--sizes", type=parse_size, nargs="+", default=[(120, 160), (240, 320)], metavar="WxH"
    )
    parser.add_argument("--frames", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--num-anchors", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--instruction", default="make it night")
    args = parser.parse_args(words)
    rows = []
    for size in args.sizes:
        with tempfile.TemporaryDirectory() as folder:
            clip = Path(folder) / "clip.mp4"
            write_rendered_clip(clip, args.num_anchors + 2 * max(args.frames), size)
            for num_frames in args.frames:
                for cache_far in (False, True)[: 1 + (args.device != "cpu")]:
                    rows.append(row_of_edit(clip, size, num_frames, cache_far, args))
    show("peak memory, predicted and measured", rows, model=args.model, steps=args.steps)


if __name__ == "__main__":
    main()
