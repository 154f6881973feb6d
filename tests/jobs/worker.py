"""The command line in a process of its own that starts at once, for tests that end it.

`python -m fairy` spends seconds on imports. Here a server process imports everything, loads the
bundled model and forks; so a test can start, kill and start again many times.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Collection, Mapping
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import fairy.jobs.batch
import fairy.jobs.edit
import fairy.jobs.plan
import fairy.jobs.team
from fairy.cli.app import app
from fairy.jobs.plan import EditRequest
from fairy.jobs.report import EditReport
from fairy.system import end_with_parent

SEGMENT_FRAMES = 5


def start(
    arguments: list[object],
    output: Path,
    cores: Collection[int] | None = None,
    environment: Mapping[str, str] | None = None,
) -> BaseProcess:
    """Run `fairy ARGUMENTS` with short segments; what it prints goes to the file `output`.

    With `cores`, the process may use these processor cores only; `environment` is added to its own,
    and its SEGMENT_FRAMES is the length of segments; a job for the output POISON kills the process.
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
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, sys.stdout.fileno())
    os.dup2(file, sys.stderr.fileno())
    signal.signal(signal.SIGINT, signal.default_int_handler)
    fairy.jobs.plan.SEGMENT_FRAMES = int(environment.get("SEGMENT_FRAMES", SEGMENT_FRAMES))
    # Here and not above: only the server and its children are to load the model
    from tests.jobs.preloaded import PIPE

    fairy.jobs.edit.load_editor = fairy.jobs.team.load_editor = lambda config: PIPE
    fairy.jobs.batch.load_editor = fairy.jobs.edit.load_editor
    if poison := environment.get("POISON"):
        edit = fairy.jobs.batch.run_edit

        def edit_or_die(request: EditRequest, **options: Any) -> EditReport:
            if request.out.name == poison:
                os.kill(os.getpid(), signal.SIGKILL)
            return edit(request, **options)

        fairy.jobs.batch.run_edit = edit_or_die
    app(arguments)
