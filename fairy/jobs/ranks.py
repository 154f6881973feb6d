"""Start, or join, the processes that edit one clip together, and end them.

They are ranks of torchrun, local workers of `--workers N`, or workers of a list that help with a
long clip. What they do then is in `fairy.jobs.team`. Tests: tests/jobs/test_team.py.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil
import torch

from fairy.editors.base import Editor
from fairy.editors.loading import load_editor
from fairy.errors import FairyError, JobInterrupted, MediaError, WorkspaceInUseError
from fairy.interrupt import Cancel, Progress
from fairy.jobs.claims import LEASE_S, Claims
from fairy.jobs.edit import make_outputs, run_edit
from fairy.jobs.plan import EditRequest, plan_edit
from fairy.jobs.report import EditReport
from fairy.jobs.segment import ClipJob, model_size
from fairy.jobs.team import ARRIVAL_S, LEADER, POLL_S, READY, Rank, Team, parts, work
from fairy.system import end_with_parent

logger = logging.getLogger(__name__)

# How long a worker may take to finish its batch after it was asked to stop
STOP_S = 60.0


def edit_with_others(
    request: EditRequest, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> EditReport | None:
    """Edit a clip as a torchrun rank, with local workers, or alone.

    Returns:
        The report, or None if another rank reports.

    Raises:
        FairyError, JobInterrupted: as `run_edit`.
    """
    if (rank := Rank.of_torchrun()) is not None:
        return edit_as_rank(request, rank, progress=progress, cancel=cancel)
    if request.workers > 1:
        return edit_with_workers(request, progress=progress, cancel=cancel)
    return run_edit(request, progress=progress, cancel=cancel)


def edit_with_workers(
    request: EditRequest, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> EditReport:
    """Edit a clip with several processes on this machine: this one and the workers it starts.

    Raises:
        FairyError, JobInterrupted: as `run_edit`.
    """
    num_workers = request.workers
    run = f"workers_{os.getpid()}_{time.monotonic_ns()}"
    ranks = [Rank(i, num_workers, i, num_workers, run) for i in range(num_workers)]
    before = torch.get_num_threads()
    ranks[0].share_cores()
    config = ranks[0].config(request.config)
    # Raise errors in the request before any process starts
    plan_edit(request)
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_help, args=(request, rank), daemon=True) for rank in ranks[1:]
    ]
    for worker in workers:
        worker.start()
    try:
        return run_edit(
            replace(request, config=config),
            progress=progress,
            cancel=cancel,
            team=Team(ranks[0], workers, cancel),
        )
    finally:
        torch.set_num_threads(before)
        end_all(workers)


def edit_as_rank(
    request: EditRequest,
    rank: Rank,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> EditReport | None:
    """Edit a clip as one of torchrun's ranks; return None if another rank reports.

    If ranks of an earlier torchrun are still at work, these ranks help them.

    Raises:
        FairyError, JobInterrupted: as `run_edit`; MediaError if the leader's folder is not
            visible here.
    """
    rank.share_cores()
    request = replace(request, config=rank.config(request.config))
    if rank.number == 0:
        while True:
            try:
                return run_edit(
                    request, progress=progress, cancel=cancel, team=Team(rank, (), cancel)
                )
            except WorkspaceInUseError:
                if not _help_others(request, rank, cancel or Cancel()):
                    return None
    help_edit(request, rank, cancel or Cancel())
    return None


def help_edit(
    request: EditRequest,
    rank: Rank,
    cancel: Cancel,
    *,
    editor: Editor | None = None,
    lease_s: float = LEASE_S,
) -> None:
    """Edit segments of a clip that another process leads, until none is missing.

    Args:
        request: the edit.
        rank: this process.
        cancel: stops this process.
        editor: a loaded model to use instead of the one in the settings.
        lease_s: as in `Claims`, for the segments.

    Raises:
        MediaError: no leader appears.
        SettingsError: the leader runs a different edit.
    """
    workspace = request.workspace
    if not _wait_for_leader(request, rank, cancel, lease_s):
        return
    editor = editor or load_editor(request.config)
    try:
        # The leader deletes the folder once it has published the outputs
        with suppress(FileNotFoundError), Claims(workspace.claims, lease_s) as claims:
            claims.take(f"rank-{rank.number}-{rank.run}")
            if not _wait_until_ready(claims, cancel):
                return
            # The leader has already checked the outputs
            plan = plan_edit(replace(request, overwrite=True))
            size = model_size(plan.info, request.config, editor)
            manifest = replace(plan.manifest(), editor=editor.identity(), size=size)
            with workspace.joined(manifest), ClipJob(plan, editor, workspace, cancel=cancel) as job:
                outputs = make_outputs(plan, job.size, workspace)
                work(claims, rank, plan, job, parts(outputs, plan, workspace), cancel)
    finally:
        workspace.leave()


def _wait_for_leader(request: EditRequest, rank: Rank, cancel: Cancel, lease_s: float) -> bool:
    """Wait for a leader; return False if one has finished since this process began."""
    workspace = request.workspace
    until = time.monotonic() + ARRIVAL_S
    while time.monotonic() < until:
        if _leaders(Claims(workspace.claims, lease_s), rank):
            return True
        if not workspace.path.exists() and _is_new(request.out):
            return False
        cancel.check()
        time.sleep(POLL_S)
    raise MediaError(
        f"rank {rank.number} does not see {workspace.path}: give --work-dir a folder that all "
        "machines share"
    )


def _is_new(out: Path) -> bool:
    """Return whether an output was written since this process began."""
    return out.exists() and out.stat().st_mtime >= psutil.Process().create_time()


def _leaders(claims: Claims, rank: Rank) -> list[str]:
    """Return the claims of leaders at work: any on this machine, elsewhere only this run's."""
    return [
        name
        for name, attempt in claims.all().items()
        if name.startswith(LEADER)
        and not claims.is_free(attempt)
        and attempt.owner is not None
        and (attempt.owner.is_here or name.startswith(f"{LEADER}{rank.run}-"))
    ]


def is_led(request: EditRequest, lease_s: float = LEASE_S) -> bool:
    """Return whether a worker of a list leads an edit that others may help with."""
    claims = request.workspace.claims
    return claims.is_dir() and bool(_leaders(Claims(claims, lease_s), Rank.of_open_team()))


def _wait_until_ready(claims: Claims, cancel: Cancel) -> bool:
    """Wait until the leader has checked everything; return False if it ends before that."""
    while True:
        here = claims.all()
        held = {name for name, attempt in here.items() if not claims.is_free(attempt)}
        leaders = {name.removeprefix(LEADER) for name in held if name.startswith(LEADER)}
        if any(f"{READY}{leader}" in held for leader in leaders):
            return True
        if not leaders:
            return False
        cancel.check()
        time.sleep(POLL_S)


def _help_others(request: EditRequest, rank: Rank, cancel: Cancel) -> bool:
    """Help ranks of an earlier run; return whether this rank must lead after they end."""
    if not _leaders(Claims(request.workspace.claims), rank):
        raise WorkspaceInUseError(
            f"{request.out}: another process is writing it: wait for it or give another name"
        )
    help_edit(request, rank, cancel)
    while request.workspace.is_locked:
        cancel.check()
        time.sleep(POLL_S)
    return request.workspace.manifest() is not None


def _help(request: EditRequest, rank: Rank) -> None:
    """Help the process that started this one, and end when it ends."""
    end_with_parent()
    logging.getLogger("fairy").setLevel(logging.ERROR)
    try:
        with Cancel().on_signals() as cancel:
            rank.share_cores()
            help_edit(replace(request, config=rank.config(request.config)), rank, cancel)
    except JobInterrupted:
        pass
    except FairyError as error:
        logger.error("worker %d: %s", rank.number, error)


def end_all(workers: Sequence[BaseProcess]) -> None:
    """Stop running workers: terminate them, then kill those that are left after STOP_S."""
    ends: list[Callable[[BaseProcess], None]] = [BaseProcess.terminate, BaseProcess.kill]
    for end in ends:
        for worker in workers:
            if worker.is_alive():
                end(worker)
        for worker in workers:
            worker.join(STOP_S)
