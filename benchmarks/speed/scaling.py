"""How much faster is one clip on several workers, and what does Ray cost? One table.

    python benchmarks/speed/scaling.py                    1, 2, 4, ... workers, one for each GPU
    python benchmarks/speed/scaling.py --workers 1 2 --size 96 --steps 1          on a CPU
    python benchmarks/speed/scaling.py --ray 20           the same list with and without Ray

One rendered clip is edited by `fairy edit --workers N` for each N. On a CPU, N workers share its
cores, so one worker has all of them as threads. `edit_s` is the report's time, from the plan to the
joined file with the models' loading; `wall_s` also has Python's start. `efficiency` is the time of
one worker, divided by N times this one's on GPUs, and by this one's on a CPU, whose cores are the
same. With `--ray CLIPS`, a list of so many copies of the clip is run by one plain loop and by one
Ray worker. Compared is the time from the first result to the last, without start-up. Files must be
the same in all rows, or the run is refused.
Tests: tests/benchmarks/speed/test_scaling.py.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.record import show
from examples.rendered_clip import rendered_clip
from fairy.media.write import write_video
from fairy.system import usable_cores

INSTRUCTION = "make it night"


def main() -> None:
    """Measure, print the table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", type=int, nargs="+", help="numbers of workers")
    parser.add_argument("--frames", type=int, default=480)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--ray", type=int, metavar="CLIPS", help="compare Ray with a plain loop")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fairy-scaling-") as folder:
        clip = Path(folder) / "clip.mp4"
        write_video(rendered_clip(options.frames, options.size, options.size), clip, fps=24)
        words = ["--model", options.model, "--size", str(options.size), "--shots", "off"]
        words += ["--steps", str(options.steps)] if options.steps else []
        if options.ray:
            rows = compare_ray(clip, words, options.ray)
        else:
            counts = options.workers or doubling(max(1, torch.cuda.device_count()))
            rows = scale(clip, words, counts)
    show(f"{options.frames} frames, size {options.size}, {options.model}", rows)


def doubling(limit: int) -> list[int]:
    """Return 1, 2, 4, ... up to the limit, and the limit.

    >>> doubling(6)
    [1, 2, 4, 6]
    """
    powers = [2**power for power in range(limit.bit_length()) if 2**power < limit]
    return [*powers, limit]


def scale(clip: Path, words: list[str], counts: list[int]) -> list[dict[str, Any]]:
    """Edit the clip with each number of workers."""
    rows: list[dict[str, Any]] = []
    hashes: set[str] = set()
    on_gpus = torch.cuda.is_available()
    for count in counts:
        out, report = clip.with_name(f"{count}.mp4"), clip.with_name(f"{count}.json")
        more = ["-o", out, "--report", report, "--workers", count]
        began = time.monotonic()
        run(["edit", clip, INSTRUCTION, *words, *more])
        wall_s = time.monotonic() - began
        hashes.add(hashlib.sha256(out.read_bytes()).hexdigest())
        if len(hashes) > 1:
            raise SystemExit(f"{count} workers made another file: no table")
        edit_s = json.loads(report.read_text())["seconds"]["total"]
        first_s = rows[0]["edit_s"] if rows else edit_s
        rows.append(
            {
                "workers": count,
                "threads_each": max(1, usable_cores() // count),
                "edit_s": edit_s,
                "wall_s": round(wall_s, 2),
                "speedup": first_s / edit_s,
                "efficiency": first_s / edit_s / (count / counts[0] if on_gpus else 1),
            }
        )
    return rows


def compare_ray(clip: Path, words: list[str], num_clips: int) -> list[dict[str, Any]]:
    """Run a list of copies of the clip without and with Ray, one worker each."""
    jobs = clip.with_name("jobs.jsonl")
    lines = (
        {"input": str(clip), "instruction": INSTRUCTION, "output": f"{number}.mp4"}
        for number in range(num_clips)
    )
    jobs.write_text("\n".join(map(json.dumps, lines)))
    rows: list[dict[str, Any]] = []
    for name, more in {"plain loop": ["shared"], "Ray": ["ray"]}.items():
        times = run(["batch", jobs, *words, "-o", clip.with_name(more[0]), "--cluster", *more])
        took_s = (times[-1] - times[0]) / (num_clips - 1)
        first_s = rows[0]["seconds_per_clip"] if rows else took_s
        rows.append(
            {
                "way": name,
                "clips": num_clips,
                "seconds_per_clip": took_s,
                "overhead_percent": 100 * (took_s / first_s - 1),
            }
        )
    return rows


def run(words: list[Any]) -> list[float]:
    """Run `fairy` and return when it printed each line, in seconds.

    Raises:
        SystemExit: it failed.
    """
    command = [sys.executable, "-m", "fairy", *map(str, words)]
    # One worker is to have all cores
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        times = [time.monotonic() for _ in process.stdout]
    if process.returncode:
        raise SystemExit(f"fairy {words[0]} failed")
    return times


if __name__ == "__main__":
    main()
