"""Run a list on several workers while they are killed and frozen at random, for a long time.

    python tests/batch/soak.py --seconds 1800        (make soak)

Each round starts two or three workers of `fairy batch --cluster shared` on a new list of short and
long clips. Every few seconds one of them is killed or frozen, or all are killed, and replaced. At
the end of the round every clip must be done once, whole, and be the file that one process makes;
no finished job may have been begun again, and at most one segment of a clip for each worker that
was killed or frozen. What to compare with is made before, by one `fairy edit` for each length. The
last line is one JSON document with the counts; the exit code is 1 if anything was wrong.
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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Faults:
    """What is wrong after a round.

    Attributes:
        lost: outputs that have no record of success, or no file.
        done_twice: outputs that several workers reported.
        wrong: files that are not what one undisturbed process makes.
        left_behind: folders of work of outputs that are done.
        redone_in_vain: segments that were edited again, beyond one for each kill or freeze.
    """

    lost: tuple[str, ...] = ()
    done_twice: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    left_behind: tuple[str, ...] = ()
    redone_in_vain: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """How many there are, by kind."""
        return {
            name: value if isinstance(value, int) else len(value)
            for name, value in vars(self).items()
        }


def clip_of(folder: Path, length: int) -> Path:
    """Return the clip of so many frames in a folder, always the same; it is made if missing."""
    clip = folder / f"{length}.mp4"
    if not clip.exists():
        write_video(make_frames(length, 32, 48), clip, fps=10)
    return clip


def expected_digests(folder: Path, lengths: Iterable[int] = LENGTHS) -> dict[int, str]:
    """Return the SHA-256 of what one undisturbed process makes of each clip, by its length."""
    digests = {}
    for length in lengths:
        out = folder / f"{length}-alone.mp4"
        words = ["edit", clip_of(folder, length), "make it snow", "-o", out, *OPTIONS]
        process = start(words, folder / f"{length}-alone.txt")
        process.join()
        assert process.exitcode == 0, (folder / f"{length}-alone.txt").read_text()
        digests[length] = _digest(out)
    return digests


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


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
            clip = clip_of(self._folder, length)
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
        """Yield until the list has ended or takes too long, each time with so many live workers."""
        until = time.monotonic() + ROUND_S
        while len(self._ledger.ended()) < len(self.jobs) and time.monotonic() < until:
            self._workers = [one for one in self._workers if one.is_alive()]
            while len(self._workers) < count:
                self._workers.append(self._start())
            yield
        for worker in self._workers:
            worker.join(60 if time.monotonic() < until else 0)
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

    def faults(self, expected: Mapping[int, str]) -> Faults:
        """Return what is wrong with the list's outcome.

        Args:
            expected: as from `expected_digests`.
        """
        out = self._folder / "out"
        results = self._ledger.results(self._ledger.ended())
        done = {Path(one.output).name for one in results if one.state != "failed"}
        made = [name for name in self.jobs if (out / name).exists()]
        # A worker may be killed between its record and its line, so fewer lines are right
        reported = Counter(
            Path(json.loads(line)["output"]).name
            for path in self._folder.glob("worker-*.txt")
            for line in path.read_text().splitlines()
            if line.startswith('{"line"')
        )
        # A frozen worker's segment is taken by another, and it finishes that when it continues
        allowed = self.kinds["kill"] + self.kinds["freeze"]
        return Faults(
            lost=tuple(name for name in self.jobs if name not in done or name not in made),
            done_twice=tuple(name for name, times in reported.items() if times > 1),
            wrong=tuple(name for name in made if _digest(out / name) != expected[self.jobs[name]]),
            left_behind=tuple(path.name for path in out.glob("?*.fairy")),
            redone_in_vain=max(0, self.num_redone - allowed),
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run rounds for some time; return 1 if anything was wrong, else 0."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--every", type=float, default=5.0, help="mean seconds between two kills")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="fairy-soak-") as folder:
        expected = expected_digests(Path(folder))
    until, kinds, faults = time.monotonic() + options.seconds, Counter[str](), Counter[str]()
    num_rounds = num_jobs = num_redone = 0
    while time.monotonic() < until:
        with tempfile.TemporaryDirectory(prefix="fairy-soak-") as folder:
            one = Round(Path(folder), options.seed + num_rounds)
            one.run(options.every)
            found, redone = one.faults(expected), one.num_redone
        num_rounds, num_jobs = num_rounds + 1, num_jobs + len(one.jobs)
        num_redone += redone
        kinds += one.kinds
        faults.update(found.counts)
        sys.stdout.write(
            f"round {num_rounds}: {len(one.jobs)} jobs, {dict(one.kinds)}, "
            f"{redone} segments redone, {found if found != Faults() else 'nothing wrong'}\n"
        )
        sys.stdout.flush()
    counts = {"rounds": num_rounds, "jobs": num_jobs, **Faults().counts, **faults}
    sys.stdout.write(json.dumps(counts | {"segments_redone": num_redone, **kinds}) + "\n")
    return int(any(faults.values()))


if __name__ == "__main__":
    sys.exit(main())
