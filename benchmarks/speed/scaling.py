"""How much faster is one clip on several workers, and what does Ray cost? One table.

    python benchmarks/speed/scaling.py                    1, 2, 4, ... workers, one for each GPU
    python benchmarks/speed/scaling.py --workers 1 2 --size 96 --steps 1          on a CPU
    python benchmarks/speed/scaling.py --ray 20           the same list with and without Ray

One rendered clip is edited by `fairy edit --workers N` for each N. On a CPU, N workers share its
cores, so one worker has all of them as threads. `edit_s` is the report's time, from the plan to the
joined file with the models' loading; `wall_s` also has Python's start. `efficiency` is the time of
one worker, divided by N times this one's on GPUs, and by this one's on a CPU, whose cores are the
same. `--rounds N` edits with each number N times, in turn, each round in the other order than the
one before, so that a machine that slows down favours none; ratios are of the same round: their
median, least and greatest. `cores_of_others` is what other programs used meanwhile. Files must be
the same in all rows, or the run is refused.

With `--ray CLIPS`, two commands have a list of so many copies of the clip: a plain loop, and Ray
with one worker. They take turns clip by clip, and the one whose turn it is not is frozen with all
its processes. So what slows the machine down for seconds slows both. Compared is each clip with its
neighbour, after the first; the interval (95 %) is over the clips of all rounds.
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
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
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
    if options.ray and options.ray < 3:
        parser.error(f"--ray {options.ray}: give 3 clips or more")
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
    def now(cls, *running: Frozen) -> Busy:
        """Read them; commands that are running are this program's too."""
        total, own = psutil.cpu_times(), os.times()
        busy = (getattr(total, name, 0.0) for name in ("user", "nice", "system", "steal"))
        own_s = sum(own[:4]) + sum(command.cpu_s for command in running)
        return cls(time.monotonic(), sum(busy), own_s)


def cores_of_others(since: Busy, *running: Frozen) -> float:
    """Return how many processor cores other programs used since then, on average."""
    now = Busy.now(*running)
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
    """Run a list of copies of the clip without and with Ray, clip by clip in turn."""
    jobs = clip.with_name("jobs.jsonl")
    lines = (
        {"input": str(clip), "instruction": INSTRUCTION, "output": f"{number}.mp4"}
        for number in range(num_clips)
    )
    jobs.write_text("\n".join(map(json.dumps, lines)))
    took: dict[str, list[float]] = {"shared": [], "ray": []}
    others: list[float] = []
    hashes: set[str] = set()
    for number in range(rounds):
        outs = {cluster: clip.with_name(f"{cluster}-{number}") for cluster in took}
        with ExitStack() as stack:
            commands = {
                cluster: stack.enter_context(
                    Frozen(["batch", jobs, *words, "-o", out, "--cluster", cluster])
                )
                for cluster, out in outs.items()
            }
            for command in commands.values():
                command.seconds_to_line()
            began = Busy.now(*commands.values())
            for turn in range(1, num_clips):
                if turn == num_clips - 1:
                    # After its last clip, a command's processes end
                    others.append(cores_of_others(began, *commands.values()))
                for cluster in in_turn(list(took), turn):
                    took[cluster].append(commands[cluster].seconds_to_line())
        for cluster, out in outs.items():
            hashes.update(hash_of(file) for file in out.glob("*.mp4"))
            if len(hashes) > 1:
                raise SystemExit(f"--cluster {cluster} made other files: no table")
    rows: list[dict[str, Any]] = []
    for cluster, name in {"shared": "plain loop", "ray": "Ray"}.items():
        pairs = zip(took["shared"], took[cluster], strict=True)
        overhead = estimate_mean([100 * (this / plain - 1) for plain, this in pairs])
        rows.append(
            {
                "way": name,
                "clips": len(took[cluster]),
                "seconds_per_clip": statistics.median(took[cluster]),
                "overhead_percent": overhead.mean,
                "overhead_low": overhead.low,
                "overhead_high": overhead.high,
                "cores_of_others": statistics.median(others),
            }
        )
    return rows


class Frozen:
    """A `fairy` command that runs only until its next line; a context manager that lets it end.

    Args:
        words: its arguments.

    Raises:
        SystemExit: it fails.
    """

    def __init__(self, words: list[Any]) -> None:
        self._name = f"fairy {words[0]}"
        self._process = started(words)
        # What it did after its last line, before it was frozen
        self._ahead_s = 0.0
        act(self._processes(), psutil.Process.suspend)

    def __enter__(self) -> Frozen:
        """Return the frozen command."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Let it run to its end, or end it if something else failed."""
        act(self._processes(), psutil.Process.resume if kind is None else psutil.Process.kill)
        self._process.communicate()
        if kind is None and self._process.returncode:
            raise SystemExit(f"{self._name} failed")

    def seconds_to_line(self) -> float:
        """Let it run until it prints a line; return how long it ran for that line, in seconds."""
        processes = self._processes()
        began_s = time.monotonic()
        act(processes, psutil.Process.resume)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        came_s = time.monotonic()
        act(self._processes(), psutil.Process.suspend)
        took_s = self._ahead_s + came_s - began_s
        self._ahead_s = time.monotonic() - came_s
        if not line:
            raise SystemExit(f"{self._name} ended early")
        return took_s

    @property
    def cpu_s(self) -> float:
        """Processor seconds of its processes so far."""
        return sum(sum(one.cpu_times()[:2]) for one in self._processes())

    def _processes(self) -> list[psutil.Process]:
        try:
            process = psutil.Process(self._process.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def act(processes: list[psutil.Process], what: Callable[[psutil.Process], None]) -> None:
    """Do the same with all processes that have not ended."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            what(process)


def hash_of(file: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def in_turn(ways: list[Way], number: int) -> list[Way]:
    """Return the order of a round: as given, then the other way round.

    >>> in_turn(["a", "b"], 1)
    ['b', 'a']
    """
    return ways if number % 2 == 0 else ways[::-1]


def run(words: list[Any]) -> None:
    """Run `fairy`.

    Raises:
        SystemExit: it failed.
    """
    with started(words) as process:
        process.communicate()
    if process.returncode:
        raise SystemExit(f"fairy {words[0]} failed")


def started(words: list[Any]) -> subprocess.Popen[str]:
    """Start `fairy` with these arguments; one worker is to have all cores."""
    command = [sys.executable, "-m", "fairy", *map(str, words)]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


if __name__ == "__main__":
    main()
