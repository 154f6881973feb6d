"""Edit one clip with several processes: each takes free segments, and one joins them all.

The processes send nothing to each other. The leader makes the plan, holds the workspace's lock and
publishes the outputs. All processes edit segments and store them in the workspace. Claims
(`fairy.jobs.claims`) record who has which segment, so if one process is killed another takes over
its segments. Each process edits the anchors of its shots itself, which costs less than sending
their keys and values. `fairy.jobs.ranks` starts the processes.
Tests: tests/jobs/test_team.py.
"""

from __future__ import annotations

import logging
import math
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess

import torch

from fairy.interrupt import Cancel, Progress, Stage, report_stage
from fairy.jobs.claims import LEASE_S, Claims, Owner
from fairy.jobs.outputs import ClipOutputs, KeptFrames
from fairy.jobs.plan import EditPlan, Segment
from fairy.jobs.segment import ClipJob
from fairy.jobs.workspace import Workspace
from fairy.settings import EditConfig
from fairy.system import usable_cores

logger = logging.getLogger(__name__)

POLL_S = 0.2
# How long to wait for another rank to appear; all ranks start at the same time
ARRIVAL_S = 60.0
# How finely a clip is shared if nobody knows how many will help
OPEN_RANKS = 8
# Claims of a leader, and of one that has checked everything; `Rank.leader` follows
LEADER, READY = "leader-", "ready-"


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

    def share_cores(self) -> None:
        """Let torch use this process's share of the machine's cores."""
        torch.set_num_threads(max(1, usable_cores() // self.local_count))

    def config(self, config: EditConfig) -> EditConfig:
        """Return the settings with this process's GPU, if any."""
        kind = config.device.partition(":")[0]
        if kind == "cpu" or not torch.cuda.is_available():
            return config
        number = self.local_number % torch.cuda.device_count()
        return replace(config, device=f"cuda:{number}")

    @property
    def leader(self) -> str:
        """A name of this process as the run's leader.

        It differs for each process, so that a leader need not wait until the claim of a lost one
        has ended.
        """
        return f"{self.run}-{Owner.me().name}"

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
        lease_s: as in `Claims`, for the segments.
    """

    def __init__(
        self,
        rank: Rank,
        workers: Sequence[BaseProcess] = (),
        cancel: Cancel | None = None,
        *,
        is_open: bool = False,
        lease_s: float = LEASE_S,
    ) -> None:
        self._rank, self._workers, self._cancel = rank, workers, cancel or Cancel()
        self._is_open, self._lease_s = is_open, lease_s
        self._reported_s = -math.inf

    @contextmanager
    def announced(self, workspace: Workspace) -> Iterator[None]:
        """Claim the leadership, so that the other ranks see a leader."""
        workspace.claims.mkdir(exist_ok=True)
        with Claims(workspace.claims, self._lease_s) as self._claims:
            self._claims.take(f"{LEADER}{self._rank.leader}")
            yield

    def progress(
        self, workspace: Workspace, report: Progress | None, num_copied: int = 0
    ) -> Progress:
        """Return a callback that reports the frames of all processes, at most once a second.

        The first report after `edit` is made in any case. `num_copied` frames need no work.
        """
        return _OfAll(self, workspace, report, num_copied)

    def edit(
        self, plan: EditPlan, job: ClipJob, outputs: ClipOutputs, workspace: Workspace
    ) -> None:
        """Edit the clip together with the other processes until no segment is missing."""
        claims = self._claims
        claims.take(f"{READY}{self._rank.leader}")
        work(claims, self._rank, plan, job, parts(outputs, plan, workspace), self._cancel)
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
    num_copied: int

    def __call__(self, done: int, total: int, /) -> None:
        """Report the frames of all, if that is due."""
        if self.report is not None and self.team.is_due():
            self.report(self.workspace.num_done + self.num_copied, total)

    def stage(self, name: Stage, /) -> None:
        """Pass on the stage."""
        report_stage(self.report, name)


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


def parts(outputs: ClipOutputs, plan: EditPlan, workspace: Workspace) -> ClipOutputs | KeptFrames:
    """Return where edited frames go: encoded segments, or frames that the leader encodes."""
    return outputs if outputs.in_segments else KeptFrames(plan, workspace)
