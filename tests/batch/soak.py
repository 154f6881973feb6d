"""Run a list on several workers while they are killed and frozen at random, for a long time.

    python tests/batch/soak.py --seconds 1800        (make soak)

Each round starts two or three workers of `fairy batch --cluster shared` on a new list of short and
long clips. Every few seconds one of them is killed or frozen, or all are killed, and replaced. At
the end of the round every clip must be done once, whole, and be the file that one process makes;
no finished job may have been begun again, and at most one segment of a clip for each worker that
was killed or frozen. The last line is one JSON document.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

from fairy.batch.ledger import Ledger
from fairy.media.write import write_video
from tests.jobs.worker import segments_redone, start
from tests.tiny import make_frames

OPTIONS = ["--size", 32, "--steps", 1, "--frame-batch-size", 2, "--shots", "off", "--seed", 4]
LENGTHS = (6, 10, 16, 60)
LEASE_S = 3.0
# A round that takes longer has lost a job
ROUND_S = 600.0


class Round:
    """One list, from its first worker until its last job has ended.

    Attributes:
        jobs: the length of each clip, by its output.
        kinds: what was done to workers, and how often; "kill all" is also a "kill" for each.
    """

    def __init__(self, folder: Path, seed: int, num_jobs: int | None = None) -> None:
        self._folder, self._random = folder, random.Random(seed)
        self._workers: list[BaseProcess] = []
        self._num_started = 0
        self._begun = folder / "begun.txt"
        self._begun.touch()
        self._ledger = Ledger(str(folder / "out" / ".fairy"))
        self.kinds: Counter[str] = Counter()
        self.jobs: dict[str, int] = {}
        self._write_list(num_jobs or self._random.randrange(8, 16))

    def _write_list(self, count: int) -> None:
        lines = []
        for number in range(count):
            length = self._random.choice(LENGTHS)
            clip = self._folder / f"{length}.mp4"
            if not clip.exists():
                write_video(make_frames(length, 32, 48), clip, fps=10)
            self.jobs[f"{number}.mp4"] = length
            job = {"input": str(clip), "instruction": "make it snow", "output": f"{number}.mp4"}
            lines.append(json.dumps(job))
        (self._folder / "jobs.jsonl").write_text("\n".join(lines))

    def run(self, every_s: float) -> None:
        """Disturb the workers now and then until the list has ended."""
        count = self._random.choice((2, 3))
        for _ in self._until_the_end(count):
            time.sleep(self._random.uniform(0.2, 2 * every_s))
            self._disturb()

    def run_with_kills(self, num_kills: int) -> None:
        """Kill a worker at so many random moments, measured by the frames that are begun."""
        total = sum(self.jobs.values())
        moments = sorted(self._random.sample(range(1, total), num_kills))
        for _ in self._until_the_end(3):
            if moments and len(self._begun.read_text().splitlines()) >= moments[0]:
                moments.pop(0)
                self._kill(self._random.choice(self._workers))
            time.sleep(0.01)
        assert not moments, f"the list ended before {len(moments)} kills"

    def _until_the_end(self, count: int) -> Iterator[None]:
        """Yield until the list has ended, each time with so many live workers."""
        until = time.monotonic() + ROUND_S
        while (num_ended := len(self._ledger.ended())) < len(self.jobs):
            if time.monotonic() > until:
                raise AssertionError(f"{num_ended} of {len(self.jobs)} jobs have ended")
            self._workers = [one for one in self._workers if one.is_alive()]
            while len(self._workers) < count:
                self._workers.append(self._start())
            yield
        for worker in self._workers:
            worker.join(60)
            if worker.is_alive():
                worker.kill()

    def _start(self) -> BaseProcess:
        self._num_started += 1
        shared = ["--cluster", "shared", "--lease", LEASE_S, "--max-attempts", 1000]
        words = ["batch", self._folder / "jobs.jsonl", *OPTIONS, "-o", self._folder / "out"]
        printed = self._folder / f"worker-{self._num_started}.txt"
        environment = {"BEGUN": str(self._begun)}
        return start([*words, *shared, "--split-frames", 30], printed, environment=environment)

    def _kill(self, worker: BaseProcess) -> None:
        if worker.is_alive():
            worker.kill()
            worker.join()
            self.kinds["kill"] += 1

    def _disturb(self) -> None:
        kind = self._random.choices(("kill", "freeze", "kill all"), (6, 2, 1))[0]
        chosen = self._workers if kind == "kill all" else [self._random.choice(self._workers)]
        if kind != "freeze":
            self.kinds["kill all"] += kind == "kill all"
            for worker in chosen:
                self._kill(worker)
            return
        (worker,) = chosen
        assert worker.pid is not None
        if worker.is_alive():
            self.kinds["freeze"] += 1
            os.kill(worker.pid, signal.SIGSTOP)
            # It goes on after others have taken its work, and must do no harm
            time.sleep(1.5 * LEASE_S)
            os.kill(worker.pid, signal.SIGCONT)

    @property
    def num_redone(self) -> int:
        """How often a segment, or a part of one, was edited again."""
        return segments_redone(self._begun)

    def check(self, expected: dict[int, str]) -> None:
        """Check that every job is done once, whole and right."""
        status = self._ledger.status()
        assert (status.done, status.failed) == (len(self.jobs), 0), status
        for name, length in self.jobs.items():
            content = (self._folder / "out" / name).read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            assert digest == expected.setdefault(length, digest), f"{name} differs"
        ended = Counter(
            json.loads(line)["output"]
            for path in self._folder.glob("worker-*.txt")
            for line in path.read_text().splitlines()
            if line.startswith('{"line"')
        )
        # A worker may be killed between its record and its line, so fewer lines are right
        assert all(times <= 1 for times in ended.values()), ended
        left = [path.name for path in (self._folder / "out").glob("?*.fairy")]
        assert left == [], left
        # A frozen worker's segment is taken by another, and it finishes that when it continues
        assert self.num_redone <= self.kinds["kill"] + self.kinds["freeze"], self.num_redone


def main() -> None:
    """Run rounds for some time."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--every", type=float, default=5.0, help="mean seconds between two kills")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    until, kinds, expected = time.monotonic() + options.seconds, Counter[str](), dict[int, str]()
    num_rounds = num_jobs = num_redone = 0
    while time.monotonic() < until:
        with tempfile.TemporaryDirectory(prefix="fairy-soak-") as folder:
            one = Round(Path(folder), options.seed + num_rounds)
            one.run(options.every)
            one.check(expected)
            num_redone += one.num_redone
        num_rounds, num_jobs = num_rounds + 1, num_jobs + len(one.jobs)
        kinds += one.kinds
        sys.stdout.write(
            f"round {num_rounds}: {len(one.jobs)} jobs, {dict(one.kinds)}, "
            f"{one.num_redone} segments redone\n"
        )
        sys.stdout.flush()
    counts = {"rounds": num_rounds, "jobs": num_jobs, "lost": 0, "done_twice": 0}
    result = counts | {"segments_redone": num_redone, **kinds}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
