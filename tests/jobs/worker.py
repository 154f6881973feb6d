"""The command line in a process of its own that starts at once, for tests that end it.

`python -m fairy` spends seconds on imports. Here a server process imports everything, loads the
bundled model and forks; so a test can start, kill and start again many times.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import Counter
from collections.abc import Collection, Mapping
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

import fairy.batch.runner
import fairy.jobs.edit
import fairy.jobs.plan
import fairy.jobs.ranks
from fairy.cli.app import app
from fairy.jobs.plan import EditRequest
from fairy.jobs.report import EditReport
from fairy.jobs.segment import Batch, ClipJob
from fairy.media.colours import Image
from fairy.system import end_with_parent

SEGMENT_FRAMES = 5


def start(
    arguments: list[object],
    output: Path,
    cores: Collection[int] | None = None,
    environment: Mapping[str, str] | None = None,
) -> BaseProcess:
    """Run `fairy ARGUMENTS` with short segments; what it prints goes to the file `output`.

    With `cores`, the process may use these processor cores only, with a thread on each;
    `environment` is added to its own, and its SEGMENT_FRAMES is the length of segments; a job for
    the output POISON kills the process.
    Each frame whose edit begins is noted in the file BEGUN.
    """
    process = forking_context().Process(
        target=_run, args=([str(part) for part in arguments], output, cores, environment or {})
    )
    process.start()
    return process


def forking_context() -> ForkServerContext:
    """Return what starts processes in which everything is imported and the model is loaded."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "tests.jobs.preloaded"])
    return context


def _run(
    arguments: list[str],
    output: Path,
    cores: Collection[int] | None,
    environment: Mapping[str, str],
) -> None:
    end_with_parent()
    os.environ.update(environment)
    if cores is not None:
        os.sched_setaffinity(0, cores)
        torch.set_num_threads(len(cores))
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, sys.stdout.fileno())
    os.dup2(file, sys.stderr.fileno())
    signal.signal(signal.SIGINT, signal.default_int_handler)
    fairy.jobs.plan.SEGMENT_FRAMES = int(environment.get("SEGMENT_FRAMES", SEGMENT_FRAMES))
    # Here and not above: only the server and its children are to load the model
    from tests.jobs.preloaded import PIPE

    fairy.jobs.edit.load_editor = fairy.jobs.ranks.load_editor = lambda config: PIPE
    fairy.batch.runner.load_editor = fairy.jobs.edit.load_editor
    if poison := environment.get("POISON"):
        edit = fairy.batch.runner.run_edit

        def edit_or_die(request: EditRequest, **options: Any) -> EditReport:
            if request.out.name == poison:
                os.kill(os.getpid(), signal.SIGKILL)
            return edit(request, **options)

        fairy.batch.runner.run_edit = edit_or_die
    if begun := environment.get("BEGUN"):
        note_frames(Path(begun))
    app(arguments)


def note_frames(path: Path) -> None:
    """Append a line for each frame whose edit begins: the output's workspace and its number."""
    edited = ClipJob._edited

    def noted(job: ClipJob, session: Any, batch: Batch, kept: dict[int, Any]) -> list[Image]:
        name = job._workspace.path.name
        lines = "".join(f"{name} {index}\n" for index, _ in batch if index not in kept)
        with path.open("a") as file:
            # In one write, which no other process can be in the middle of
            file.write(lines)
        return edited(job, session, batch, kept)

    ClipJob._edited = noted  # type: ignore[method-assign]


def segments_redone(path: Path) -> int:
    """Return how often a segment's frames were edited again, of what `note_frames` wrote."""
    again: Counter[tuple[str, int]] = Counter()
    for line, times in Counter(path.read_text().splitlines()).items():
        name, index = line.split()
        segment = name, int(index) // SEGMENT_FRAMES
        again[segment] = max(again[segment], times - 1)
    return again.total()
