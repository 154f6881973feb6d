"""Edit one clip with several processes: each takes free segments, and one joins them all.

The processes send nothing to each other. The leader makes the plan, holds the workspace's lock and
publishes the outputs. All processes edit segments and store them in the workspace. Claims
(`fairy.jobs.claims`) record who has which segment, so if one process is killed another takes over
its segments. Each process edits the anchors of its shots itself, which costs less than sending
their keys and values.
Tests: tests/jobs/test_team.py.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from fairy.editors.base import Editor
from fairy.editors.loading import load_editor
from fairy.errors import FairyError, JobInterrupted, MediaError, WorkspaceInUseError
from fairy.interrupt import Cancel, Progress, Stage, report_stage
from fairy.jobs.claims import Claims, Owner
from fairy.jobs.edit import make_outputs, run_edit
from fairy.jobs.outputs import ClipOutputs, KeptFrames
from fairy.jobs.plan import EditPlan, EditRequest, Segment, plan_edit
from fairy.jobs.report import EditReport
from fairy.jobs.segment import ClipJob, model_size
from fairy.jobs.workspace import Workspace
from fairy.settings import EditConfig
from fairy.system import end_with_parent, usable_cores

logger = logging.getLogger(__name__)

POLL_S = 0.2
# How long to wait for another rank to appear; all ranks start at the same time
ARRIVAL_S = 60.0
# How long a worker may take to finish its batch after it was asked to stop
STOP_S = 60.0
# How finely a clip is shared if nobody knows how many will help
OPEN_RANKS = 8


@dataclass(frozen=True)
class Rank:
    """One of the processes that edit one clip.

    Attributes:
        number: counted from 0; 0 is the leader.
        count: number of ranks.
        local_number: number among the ranks on this machine.
        local_count: number of ranks on this machine.
        run: a name shared by the ranks of this run and by no other run.
    """

    number: int
    count: int
    local_number: int
    local_count: int
    run: str

    @classmethod
    def of_torchrun(cls) -> Rank | None:
        """Return this process's rank, or None unless torchrun started two or more."""
        numbers = [os.environ.get(name, "") for name in _TORCHRUN]
        if not all(number.isdecimal() for number in numbers) or int(numbers[1]) < 2:
            return None
        words = (os.environ.get(name, "0") for name in _RUN)
        number, count, local_number, local_count = map(int, numbers)
        run = re.sub(r"\W", "_", "_".join(words))
        return cls(number, count, local_number, local_count, run)

    def config(self, config: EditConfig) -> EditConfig:
        """Return the settings with this process's GPU, if any; set its share of CPU threads."""
        torch.set_num_threads(max(1, usable_cores() // self.local_count))
        kind = config.device.partition(":")[0]
        if kind == "cpu" or not torch.cuda.is_available():
            return config
        number = self.local_number % torch.cuda.device_count()
        return replace(config, device=f"cuda:{number}")

    @classmethod
    def of_open_team(cls, number: int | None = None) -> Rank:
        """Return a rank among any number of workers of a list; 0 leads, others have any number."""
        if number is None:
            number = 1 + os.getpid() % (OPEN_RANKS - 1)
        return cls(number, OPEN_RANKS, 0, 1, "batch")


_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
_RUN = ("TORCHELASTIC_RUN_ID", "MASTER_PORT", "TORCHELASTIC_RESTART_COUNT")


class Team:
    """The leader's side: `run_edit` calls it to edit a clip with all processes.

    Args:
        rank: the leader's rank.
        workers: the processes that the leader started; empty if torchrun started the ranks.
        cancel: stops the leader.
        is_open: whether others may help, but nobody has to come.
    """

    def __init__(
        self,
        rank: Rank,
        workers: Sequence[BaseProcess] = (),
        cancel: Cancel | None = None,
        *,
        is_open: bool = False,
    ) -> None:
        self._rank, self._workers, self._cancel = rank, workers, cancel or Cancel()
        self._is_open = is_open
        self._reported_s = -math.inf

    @contextmanager
    def announced(self, workspace: Workspace) -> Iterator[None]:
        """Claim the leadership, so that the other ranks see a leader."""
        workspace.claims.mkdir(exist_ok=True)
        with Claims(workspace.claims) as self._claims:
            self._claims.take(f"leader-{self._rank.run}")
            yield

    def progress(self, workspace: Workspace, report: Progress | None) -> Progress:
        """Return a callback that reports the frames of all processes, at most once a second.

        The first report after `edit` is made in any case.
        """
        return _OfAll(self, workspace, report)

    def edit(
        self, plan: EditPlan, job: ClipJob, outputs: ClipOutputs, workspace: Workspace
    ) -> None:
        """Edit the clip together with the other processes until no segment is missing."""
        claims = self._claims
        claims.take(f"ready-{self._rank.run}")
        work(claims, self._rank, plan, job, _parts(outputs, plan, workspace), self._cancel)
        for worker in self._workers:
            worker.join()
        if not self._workers and not self._is_open:
            self._wait_for_ranks(claims)
        self.report_at_once()

    def is_due(self) -> bool:
        """Return whether a second has passed since this last returned True."""
        now_s = time.monotonic()
        is_due = now_s - self._reported_s >= 1
        if is_due:
            self._reported_s = now_s
        return is_due

    def report_at_once(self) -> None:
        """Let the next report be made, however short ago the last one was."""
        self._reported_s = -math.inf

    def _wait_for_ranks(self, claims: Claims) -> None:
        """Wait until all ranks have come and gone: a late rank must see that the work is done."""
        names = {f"rank-{number}-{self._rank.run}" for number in range(1, self._rank.count)}
        until = time.monotonic() + ARRIVAL_S
        while time.monotonic() < until:
            here = claims.all()
            if names <= here.keys() and all(claims.is_free(here[name]) for name in names):
                return
            self._cancel.check()
            time.sleep(POLL_S)
        logger.warning("not all of the %d ranks came; the clip is done without", self._rank.count)


@dataclass(frozen=True)
class _OfAll:
    """A `StagedProgress` that passes on the frames of all processes and the leader's stages."""

    team: Team
    workspace: Workspace
    report: Progress | None

    def __call__(self, done: int, total: int, /) -> None:
        """Report the frames of all, if that is due."""
        if self.report is not None and self.team.is_due():
            self.report(self.workspace.num_done, total)

    def stage(self, name: Stage, /) -> None:
        """Pass on the stage."""
        report_stage(self.report, name)


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
    request: EditRequest, rank: Rank, cancel: Cancel, *, editor: Editor | None = None
) -> None:
    """Edit segments of a clip that another process leads, until none is missing.

    Args:
        request: the edit.
        rank: this process.
        cancel: stops this process.
        editor: a loaded model to use instead of the one in the settings.

    Raises:
        MediaError: no leader appears.
        SettingsError: the leader runs a different edit.
    """
    workspace = request.workspace
    if not _wait_for_leader(request, rank, cancel):
        return
    editor = editor or load_editor(request.config)
    # The leader deletes the folder once it has published the outputs
    with suppress(FileNotFoundError), Claims(workspace.claims) as claims:
        claims.take(f"rank-{rank.number}-{rank.run}")
        if not _wait_until_ready(claims, cancel):
            return
        # The leader has already checked the outputs
        plan = plan_edit(replace(request, overwrite=True))
        size = model_size(plan.info, request.config, editor)
        manifest = replace(plan.manifest(), editor=editor.identity(), size=size)
        with workspace.joined(manifest), ClipJob(plan, editor, workspace, cancel=cancel) as job:
            outputs = make_outputs(plan, job.size, workspace)
            work(claims, rank, plan, job, _parts(outputs, plan, workspace), cancel)


def work(
    claims: Claims,
    rank: Rank,
    plan: EditPlan,
    job: ClipJob,
    outputs: ClipOutputs | KeptFrames,
    cancel: Cancel,
) -> None:
    """Claim and edit free segments until none is missing."""
    # If a clip has fewer frames than its headers say, its last segments stay empty
    empty: set[Segment] = set()
    while missing := [one for one in outputs.missing() if one not in empty]:
        cancel.check()
        taken = take_some(claims, rank, plan.segments, missing)
        if not taken:
            time.sleep(POLL_S)
            continue
        with outputs:
            job.edit(taken, outputs)
        left = outputs.missing()
        empty |= {one for one in taken if one in left}
        for one in taken:
            if one in left:
                claims.give_back(name_of(one))
            else:
                claims.keep(name_of(one))


def take_some(
    claims: Claims, rank: Rank, segments: Sequence[Segment], missing: Sequence[Segment]
) -> list[Segment]:
    """Claim consecutive segments: a share of the free ones, so fewer as the work shrinks.

    Each rank begins in its own part of the clip, so that few shots are edited by several ranks.
    """
    held = claims.all()
    free = [
        one
        for one in missing
        if (attempt := held.get(name_of(one))) is None or claims.is_free(attempt)
    ]
    if not free:
        return []
    own_start = segments[rank.number * len(segments) // rank.count].first
    first = next((one for one in free if one.first >= own_start), free[0])
    taken: list[Segment] = []
    for one in free[free.index(first) :][: math.ceil(len(free) / (2 * rank.count))]:
        if taken and taken[-1].end != one.first:
            break
        if claims.take(name_of(one)) is None:
            break
        taken.append(one)
    return taken


def name_of(segment: Segment) -> str:
    """Return the name of a segment's claim."""
    return f"{segment.first:08d}-{segment.end:08d}"


def _parts(outputs: ClipOutputs, plan: EditPlan, workspace: Workspace) -> ClipOutputs | KeptFrames:
    return outputs if outputs.in_segments else KeptFrames(plan, workspace)


def _wait_for_leader(request: EditRequest, rank: Rank, cancel: Cancel) -> bool:
    """Wait for a leader; return False if one has finished since this process began."""
    workspace = request.workspace
    until = time.monotonic() + ARRIVAL_S
    while time.monotonic() < until:
        if _leaders(Claims(workspace.claims), rank):
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
    return out.exists() and out.stat().st_mtime >= Owner.me().started


def _leaders(claims: Claims, rank: Rank) -> list[str]:
    """Return the claims of leaders at work: any on this machine, elsewhere only this run's."""
    return [
        name
        for name, attempt in claims.all().items()
        if name.startswith("leader-")
        and not claims.is_free(attempt)
        and attempt.owner is not None
        and (attempt.owner.is_here or name == f"leader-{rank.run}")
    ]


def is_led(request: EditRequest) -> bool:
    """Return whether a worker of a list leads an edit that others may help with."""
    claims = request.workspace.claims
    return claims.is_dir() and bool(_leaders(Claims(claims), Rank.of_open_team()))


def _wait_until_ready(claims: Claims, cancel: Cancel) -> bool:
    """Wait until the leader has checked everything; return False if it ends before that."""
    while True:
        here = claims.all()
        held = [name for name, attempt in here.items() if not claims.is_free(attempt)]
        if any(name.startswith("ready-") for name in held):
            return True
        if not any(name.startswith("leader-") for name in held):
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
