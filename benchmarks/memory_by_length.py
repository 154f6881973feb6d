"""Whether memory grows with a clip's length: peak memory of a short and of a long edit.

    python benchmarks/memory_by_length.py              120 and 960 frames

Each edit runs in a process of its own (`fairy edit --report`), which reports its own peak.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from _record import show

from fairy import write_video
from fairy.training.clips import sample_clip
from fairy.training.scenes import SceneSampler


def render_clip(path: Path, num_frames: int, size: tuple[int, int]) -> None:
    """Write a rendered clip that runs to and fro until it has `num_frames`."""
    clip = sample_clip(SceneSampler(), 40, size, torch.Generator().manual_seed(0))
    frames = (clip.frames * 255).round().byte().permute(0, 2, 3, 1).numpy()
    there_and_back = [*range(40), *range(38, 0, -1)]
    write_video(frames[[there_and_back[i % 78] for i in range(num_frames)]], path, fps=30)


def peak_of_edit(folder: Path, num_frames: int, args: argparse.Namespace) -> dict[str, Any]:
    """Edit a clip of `num_frames` in a new process and return its row."""
    clip, report = folder / f"{num_frames}.mp4", folder / f"{num_frames}.json"
    render_clip(clip, num_frames, tuple(args.size))
    command = [sys.executable, "-m", "fairy", "edit", clip, args.instruction]
    command += ["-o", folder / f"{num_frames}_edited.mp4", "--report", report]
    command += ["--model", args.model, "--steps", args.steps, "--frame-batch-size", args.batch]
    command += ["--size", max(args.size)]
    subprocess.run([str(word) for word in command], check=True)
    done = json.loads(report.read_text())
    return {
        "frames": num_frames,
        "peak_memory_mb": done["peak_memory_bytes"] / 1e6,
        "seconds": done["seconds"]["total"],
    }


def main() -> None:
    """Edit both clips, show both peaks and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--lengths", type=int, nargs="+", default=[120, 960])
    parser.add_argument("--size", type=int, nargs=2, default=(72, 96), metavar=("H", "W"))
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--instruction", default="make it night")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows = [peak_of_edit(Path(name), length, args) for length in args.lengths]
    ratio = rows[-1]["peak_memory_mb"] / rows[0]["peak_memory_mb"]
    show(
        f"peak memory by length; longest / shortest {ratio:.3f}",
        rows,
        ratio=ratio,
        steps=args.steps,
    )


if __name__ == "__main__":
    main()
