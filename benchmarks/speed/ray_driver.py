"""How much of a processor core does it take to hand out jobs on Ray?

    python benchmarks/speed/ray_driver.py                 3,000 jobs, 150 results a second
    python benchmarks/speed/ray_driver.py --folder /dev/shm        with records in memory

The workers are stand-ins that wait instead of editing, so that together they return that many
results a second, as 1,000 GPUs do with clips of 6.7 s. Everything else is as in `fairy batch
--cluster ray`: claims, records, deadlines. Counted is the processor time of this process, with
Ray's threads in it, after the first tenth of the results, and how much of that the system took: to
create the two small files of each job, a disk may need more than all else. Ray's own daemons are
not counted.
Tests: tests/benchmarks/speed/test_ray_driver.py.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, TypeAlias

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.record import show
from fairy.batch.answers import JobResult, WorkerIdentity, result_of
from fairy.batch.joblist import Job
from fairy.batch.on_ray import run_ray_batch
from fairy.batch.shared_list import SharedBatch
from fairy.settings import BatchOptions, EditConfig
from fairy.system import versions

Seconds: TypeAlias = tuple[float, float, float]
"""On the wall clock, and of the processor: in the program and in the system."""


class StandIn:
    """A worker that waits for the time that `split_frames` says, in milliseconds."""

    def __init__(
        self, threads: int, split_frames: int, clip_timeout: float | None, lease_s: float
    ) -> None:
        self._wait_s = split_frames / 1000

    def identity(self, config: EditConfig) -> WorkerIdentity:
        """Return the same for all."""
        return WorkerIdentity("here", versions(), "stand-in")

    def num_frames(self, job: Job) -> int:
        """Return nothing that others could help with."""
        return 0

    def edit(self, job: Job) -> JobResult:
        """Wait."""
        time.sleep(self._wait_s)
        return result_of(job, "done", num_frames=1, seconds=self._wait_s)


def main() -> None:
    """Measure, print the table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=3000)
    parser.add_argument("--rate", type=float, default=150.0, help="results a second")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="where the records are, instead of /tmp")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fairy-driver-", dir=options.folder) as folder:
        row = measure(Path(folder), options.jobs, options.rate, options.workers)
    show(f"{options.jobs} jobs on {options.workers} workers", [row])


def measure(folder: Path, num_jobs: int, rate: float, num_workers: int) -> dict[str, Any]:
    """Run a list of so many jobs; return what this process needed."""
    clip, jobs = folder / "clip.mp4", folder / "jobs.jsonl"
    clip.touch()
    names = (f"{number}.mp4" for number in range(num_jobs))
    lines = ({"input": str(clip), "instruction": "make it night", "output": n} for n in names)
    jobs.write_text("\n".join(map(json.dumps, lines)))
    options = BatchOptions(
        cluster="ray",
        out=str(folder / "out"),
        workers=num_workers,
        cpus_per_worker=0.1,
        gpus_per_worker=0,
        order="given",
        split_frames=max(1, round(1000 * num_workers / rate)),
    )
    batch = SharedBatch(path=jobs, defaults=EditConfig(), options=options)
    times: list[Seconds] = []

    def note(result: JobResult) -> None:
        used = os.times()
        times.append((time.monotonic(), used.user, used.system))

    run_ray_batch(batch, on_result=note, worker_class=StandIn)
    return row_of(times, rate)


def row_of(times: list[Seconds], rate: float) -> dict[str, Any]:
    """Return the row, from the times at which each result came."""
    times = times[len(times) // 10 :]
    wall_s, user_s, system_s = (
        last - first for first, last in zip(times[0], times[-1], strict=True)
    )
    cpu_s = user_s + system_s
    num_results = len(times) - 1
    return {
        "results": num_results,
        "results_per_s": num_results / wall_s,
        "cpu_ms_per_result": 1000 * cpu_s / num_results,
        "of_it_system_ms": 1000 * system_s / num_results,
        "core_percent": 100 * cpu_s / wall_s,
        f"core_percent_at_{rate:g}_per_s": 100 * cpu_s / num_results * rate,
    }


if __name__ == "__main__":
    main()
