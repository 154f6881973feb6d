r"""Does memory grow with a clip's length? Peak memory of a short and of a long edit.

    python benchmarks/memory/memory_by_length.py              120 and 960 frames
    python benchmarks/memory/memory_by_length.py --lengths 120 10000 --size 16x16 \
        --steps 1 --batch 32

Each edit runs in its own process (`fairy edit --report`), which reports its own peak.
Tests: tests/benchmarks/memory/test_memory_by_length.py.
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
from benchmarks.lib.record import keep, show


def peak_of_edit(folder: Path, num_frames: int, args: argparse.Namespace) -> dict[str, Any]:
    """Edit a clip of `num_frames` in a new process and return its row."""
    clip = folder / f"{num_frames}.mp4"
    write_rendered_clip(clip, num_frames, args.size)
    options = ["--model", args.model, "--steps", args.steps, "--frame-batch-size", args.batch]
    options += ["--size", max(args.size), "--device", "cpu"]
    done = report_of_edit(clip, args.instruction, *options)
    return {
        "model": args.model,
        "size": size_words(args.size),
        "num_frames": num_frames,
        "steps": args.steps,
        "F": args.batch,
        "peak_mb": done["peak_memory_bytes"] / 1e6,
        "total_s": done["seconds"]["total"],
    }


def main(words: list[str] | None = None) -> None:
    """Edit clips of all lengths, and show the peaks and their ratio."""
    args = parser().parse_args(words)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for length in args.lengths:
            rows.append(peak_of_edit(Path(name), length, args))
            keep(args.out, "memory", rows[-1])
    ratio = rows[-1]["peak_mb"] / rows[0]["peak_mb"]
    show(f"Peak memory by length; longest / shortest {ratio:.3f}", rows, ratio=ratio)


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument("--model", default="mini")
    made.add_argument("--lengths", type=int, nargs="+", default=[120, 960])
    made.add_argument("--size", type=parse_size, default=(72, 96), metavar="WxH")
    made.add_argument("--steps", type=int, default=2)
    made.add_argument("--batch", type=int, default=8)
    made.add_argument("--instruction", default="make it night")
    made.add_argument("--out", type=Path, help="file of JSON lines, added to")
    return made


if __name__ == "__main__":
    main()
