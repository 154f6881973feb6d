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
`--rounds N` the rows take turns N times, each round in the other order than the one before, so that
a machine that slows down favours neither. Ratios are of the same round: their median, least and
greatest, for Ray the mean and its 95 % interval over rounds. A machine that others slow down now
and then is told from Ray by `quiet_percent`: the same for the lower quartile of a list's seconds
from result to result. `cores_of_others` is what other programs used meanwhile (Ray's workers are
not told from them, so its row has none). Files must be the same in all rows, or the run is refused.
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
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import psutil
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.record import show
from examples.rendered_clip import rendered_clip
from fairy.evaluation.statistics import estimate_mean
from fairy.media.write import write_video
from fairy.system import usable_cores

INSTRUCTION = "make it night"

Way = TypeVar("Way")


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
    show(title, rows, rounds=options.rounds)


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
    others: dict[int, list[float]] = {count: [] for count in counts}
    hashes: set[str] = set()
    for number in range(rounds):
        for count in in_turn(counts, number):
            out, report = clip.with_name(f"{count}.mp4"), clip.with_name(f"{count}.json")
            more = ["-o", out, "--report", report, "--workers", count, "--overwrite"]
            began = Busy.now()
            run(["edit", clip, INSTRUCTION, *words, *more])
            walls[count].append(time.monotonic() - began.at_s)
            others[count].append(cores_of_others(began))
            hashes.add(hash_of(out))
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
                "cores_of_others": statistics.median(others[count]),
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
    quiet: dict[str, list[float]] = {"shared": [], "ray": []}
    others: list[float] = []
    hashes: set[str] = set()
    for number in range(rounds):
        for cluster in in_turn(list(took), number):
            began = Busy.now()
            out = clip.with_name(f"{cluster}-{number}")
            times = run(["batch", jobs, *words, "-o", out, "--cluster", cluster])
            each = [later - earlier for earlier, later in pairwise(times)]
            took[cluster].append(statistics.mean(each))
            quiet[cluster].append(statistics.quantiles(each, n=4)[0])
            hashes.update(hash_of(file) for file in out.glob("*.mp4"))
            if len(hashes) > 1:
                raise SystemExit(f"--cluster {cluster} made other files: no table")
            if cluster == "shared":
                others.append(cores_of_others(began))
    rows: list[dict[str, Any]] = []
    for cluster, name in {"shared": "plain loop", "ray": "Ray"}.items():
        rows.append(
            {
                "way": name,
                "clips": num_clips,
                "seconds_per_clip": statistics.median(took[cluster]),
                **overhead("overhead", took["shared"], took[cluster]),
                **overhead("quiet", quiet["shared"], quiet[cluster]),
                "cores_of_others": statistics.median(others) if cluster == "shared" else None,
            }
        )
    return rows


def overhead(name: str, plain: list[float], other: list[float]) -> dict[str, float | None]:
    """Return the mean over rounds of how much longer another way takes, with its interval."""
    percent = estimate_mean([100 * (b / a - 1) for a, b in zip(plain, other, strict=True)])
    return {
        f"{name}_percent": percent.mean, f"{name}_low": percent.low, f"{name}_high": percent.high
    }  # fmt: skip


def hash_of(file: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def in_turn(ways: list[Way], number: int) -> list[Way]:
    """Return the order of a round: as given, then the other way round.

    >>> in_turn(["a", "b"], 1)
    ['b', 'a']
    """
    return ways if number % 2 == 0 else ways[::-1]


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
