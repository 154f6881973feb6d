"""How much faster is one clip on several workers, and what does Ray cost? One table.

    python benchmarks/speed/scaling.py                    1, 2, 4, ... workers, one for each GPU
    python benchmarks/speed/scaling.py --workers 1 2 --size 96 --steps 1          on a CPU
    python benchmarks/speed/scaling.py --ray 20           the same list with and without Ray

One rendered clip is edited by `fairy edit --workers N` for each N. On a CPU, N workers share its
cores, so one worker has all of them as threads. `edit_s` is the report's time, from the plan to the
joined file with the models' loading; `wall_s` also has Python's start. `efficiency` is the time of
one worker, divided by N times this one's on GPUs, and by this one's on a CPU, whose cores are the
same. With `--ray CLIPS`, a list of so many copies of the clip is run by one plain loop and by one
Ray worker. Compared is the time from the first result to the last, without start-up. With
`--rounds N` the rows take turns N times; ratios are of the same round, their median, least and
greatest. `cores_of_others` is what other programs used meanwhile. Files must be the same in all
rows, or the run is refused.
Tests: tests/benchmarks/speed/test_scaling.py.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
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
    parser.add_argument("--rounds", type=int, default=1, help="how often, in turn")
    options = parser.parse_args()
    began = Busy.now()
    with tempfile.TemporaryDirectory(prefix="fairy-scaling-") as folder:
        clip = Path(folder) / "clip.mp4"
        write_video(rendered_clip(options.frames, options.size, options.size), clip, fps=24)
        words = ["--model", options.model, "--size", str(options.size), "--shots", "off"]
        words += ["--steps", str(options.steps)] if options.steps else []
        if options.ray:
            rows = compare_ray(clip, words, options.ray, options.rounds)
        else:
            counts = options.workers or doubling(max(1, torch.cuda.device_count()))
            rows = scale(clip, words, counts, options.rounds)
    title = f"{options.frames} frames, size {options.size}, {options.model}"
    others = cores_of_others(began)
    show(title, rows, rounds=options.rounds, cores_of_others=others)


@dataclass(frozen=True)
class Busy:
    """Processor seconds of all programs, and of this one and its ended children, at a time."""

    at_s: float
    all_s: float
    own_s: float

    @classmethod
    def now(cls) -> Busy:
        """Read them."""
        total, own = psutil.cpu_times(), os.times()
        busy = (getattr(total, name, 0.0) for name in ("user", "nice", "system", "steal"))
        return cls(time.monotonic(), sum(busy), sum(own[:4]))


def cores_of_others(since: Busy) -> float:
    """Return how many processor cores other programs used since then, on average."""
    now = Busy.now()
    others_s = (now.all_s - since.all_s) - (now.own_s - since.own_s)
    return round(others_s / (now.at_s - since.at_s), 2)


def doubling(limit: int) -> list[int]:
    """Return 1, 2, 4, ... up to the limit, and the limit.

    >>> doubling(6)
    [1, 2, 4, 6]
    """
    powers = [2**power for power in range(limit.bit_length()) if 2**power < limit]
    return [*powers, limit]


def scale(clip: Path, words: list[str], counts: list[int], rounds: int) -> list[dict[str, Any]]:
    """Edit the clip with each number of workers, in turn, so many times."""
    edits: dict[int, list[float]] = {count: [] for count in counts}
    walls: dict[int, list[float]] = {count: [] for count in counts}
    hashes: set[str] = set()
    for _ in range(rounds):
        for count in counts:
            out, report = clip.with_name(f"{count}.mp4"), clip.with_name(f"{count}.json")
            more = ["-o", out, "--report", report, "--workers", count, "--overwrite"]
            began = time.monotonic()
            run(["edit", clip, INSTRUCTION, *words, *more])
            walls[count].append(time.monotonic() - began)
            hashes.add(hashlib.sha256(out.read_bytes()).hexdigest())
            if len(hashes) > 1:
                raise SystemExit(f"{count} workers made another file: no table")
            edits[count].append(json.loads(report.read_text())["seconds"]["total"])
    rows: list[dict[str, Any]] = []
    for count in counts:
        ratios = [one / many for one, many in zip(edits[counts[0]], edits[count], strict=True)]
        cores = count / counts[0] if torch.cuda.is_available() else 1
        rows.append(
            {
                "workers": count,
                "threads_each": max(1, usable_cores() // count),
                "edit_s": statistics.median(edits[count]),
                "wall_s": round(statistics.median(walls[count]), 2),
                "speedup": statistics.median(ratios),
                "speedup_min": min(ratios),
                "speedup_max": max(ratios),
                "efficiency": statistics.median(ratios) / cores,
            }
        )
    return rows


def compare_ray(clip: Path, words: list[str], num_clips: int, rounds: int) -> list[dict[str, Any]]:
    """Run a list of copies of the clip without and with Ray, in turn, one worker each."""
    jobs = clip.with_name("jobs.jsonl")
    lines = (
        {"input": str(clip), "instruction": INSTRUCTION, "output": f"{number}.mp4"}
        for number in range(num_clips)
    )
    jobs.write_text("\n".join(map(json.dumps, lines)))
    took: dict[str, list[float]] = {"shared": [], "ray": []}
    for number in range(rounds):
        for cluster, seconds in took.items():
            out = clip.with_name(f"{cluster}-{number}")
            times = run(["batch", jobs, *words, "-o", out, "--cluster", cluster])
            seconds.append((times[-1] - times[0]) / (num_clips - 1))
    rows: list[dict[str, Any]] = []
    for cluster, name in {"shared": "plain loop", "ray": "Ray"}.items():
        pairs = zip(took["shared"], took[cluster], strict=True)
        overheads = [100 * (this / plain - 1) for plain, this in pairs]
        rows.append(
            {
                "way": name,
                "clips": num_clips,
                "seconds_per_clip": statistics.median(took[cluster]),
                "overhead_percent": statistics.median(overheads),
                "overhead_min": min(overheads),
                "overhead_max": max(overheads),
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
