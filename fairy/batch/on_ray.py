"""Run a list of edits on a Ray cluster: this process hands out the jobs, plain actors do them.

Each actor has one job at a time, so its death is charged to that job alone. Ray restarts and
retries nothing: this loop counts attempts and deadlines, tells a dead worker from a dead machine,
and hires replacements. What has ended is in the ledger (`fairy.batch.ledger`), so that the same
command continues after this process was killed. Tests: tests/batch/test_hiring.py,
tests/batch/test_on_ray.py.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from fairy import __version__
from fairy.batch.addresses import is_address
from fairy.batch.answers import JobResult, WorkerIdentity, result_of
from fairy.batch.clip_worker import HELP_AGAIN_S, ClipWorker
from fairy.batch.joblist import Job
from fairy.batch.ledger import Ledger
from fairy.batch.outcomes import (
    MAX_DEATHS_IN_A_ROW,
    Breaker,
    NoProgressError,
    Renewal,
    settle,
    worn_out,
)
from fairy.batch.ray_cluster import QUESTIONS, Node, connected, hiring, introduce
from fairy.batch.shared_list import OnOpen, OnResult, SharedBatch, open_list
from fairy.editors.loading import what_is_loaded
from fairy.errors import FairyError, SettingsError, first_line
from fairy.interrupt import Cancel
from fairy.jobs.ranks import is_led
from fairy.settings import EditConfig

logger = logging.getLogger(__name__)

# How long one look for finished calls may take
LOOK_S = 0.5
# When a worker is lost, Ray may learn only seconds later that its machine is
NODE_DEATH_S = 3.0
# The first job waits so long for further workers, to compare all of them before anything is done
COMPARE_S = 10.0
# Each worker is asked so often whether it is there; so many questions without an answer, and it is
# frozen. Its edit goes on in another thread, so no honest work keeps it from answering
ASK_S, MAX_UNANSWERED = 30.0, 10
# Say what the cluster lacks if no worker starts in this time
NO_ROOM_S = 60.0
# When all jobs that are left are claimed elsewhere, try them again after this time
RETRY_S = 5.0


def run_ray_batch(
    batch: SharedBatch,
    *,
    on_result: OnResult,
    on_open: OnOpen = lambda ledger, names: None,
    cancel: Cancel | None = None,
    worker_class: type = ClipWorker,
) -> list[JobResult]:
    """Run a list's jobs on a Ray cluster until all have ended.

    Args:
        batch: the list.
        on_result: called with each result.
        on_open: called once with the records and the jobs by ID.
        cancel: stops the list.
        worker_class: what the actors are: a class with the methods of `ClipWorker`.

    Raises:
        SettingsError: the list cannot be read, the cluster cannot be reached, its workers differ
            in their versions or their model, or they cannot run Fairy.
        NoProgressError: the first jobs all fail, or no worker stays alive.
    """
    cancel, ledger = cancel or Cancel(), batch.ledger(coordinator=True)
    jobs, refused = open_list(batch, ledger, on_result)
    with connected(batch.options), cancel.on_signals(), ledger.claims:
        on_open(ledger, jobs)
        driver = Driver(batch, ledger, jobs, worker_class, on_result, cancel)
        try:
            driver.run()
        finally:
            driver.dismiss_all()
    return refused + ledger.results(jobs)


@dataclass
class Slot:
    """The place of one worker, which is filled again when its worker is lost.

    Attributes:
        actor: the worker; None while there is none.
        call: what it is doing: its first answer, or a job.
        length: a call for the number of frames of its job, made when others could help.
        num_frames: of its job, as soon as that is known.
        name: its job.
        helps: the job of another worker that it helps with.
        help_again_s: when it may help again, after it could not.
        node: its machine, once it has answered.
        refusal: why it cannot load the model that it was introduced with.
        question: a call that asks whether it is there.
        has_answered: whether it ever was there.
        num_unanswered: questions in a row without an answer.
        deaths: workers lost here since a job last ended, not counting losses blamed on a job.
        deadline_s: when its job has taken too long.
    """

    actor: Any = None
    call: Any = None
    length: Any = None
    num_frames: int | None = None
    name: str | None = None
    helps: str | None = None
    help_again_s: float = -math.inf
    node: Node | None = None
    refusal: str | None = None
    question: Any = None
    has_answered: bool = False
    num_unanswered: int = 0
    deaths: int = 0
    deadline_s: float = math.inf

    @property
    def is_idle(self) -> bool:
        """Whether its worker has no work, or has not answered yet."""
        return self.actor is not None and self.name is None and self.helps is None

    def empty(self) -> None:
        """Forget the worker."""
        vars(self).update(vars(Slot(deaths=self.deaths, help_again_s=self.help_again_s)))


@dataclass(frozen=True)
class Loss:
    """A lost worker.

    Attributes:
        slot: its place.
        name: its job.
        helped: whether it helped with the job of another worker.
        node: its machine.
        at_s: when.
        past_deadline: whether its job took too long.
    """

    slot: Slot
    name: str | None
    helped: bool
    node: Node | None
    at_s: float
    past_deadline: bool


def workers_to_hire(num_jobs: int, num_idle: int, num_empty: int) -> int:
    """Return how many workers to hire; if negative, how many idle ones to dismiss.

    Args:
        num_jobs: jobs that wait for a worker.
        num_idle: workers without a job.
        num_empty: places for further workers.

    >>> workers_to_hire(num_jobs=5, num_idle=2, num_empty=8)
    3
    >>> workers_to_hire(num_jobs=0, num_idle=2, num_empty=8)
    -2
    """
    return min(num_jobs - num_idle, num_empty)


class Driver:
    """Hands out the jobs of a list to actors.

    Args:
        batch: the list.
        ledger: its records.
        jobs: its jobs by ID, in the order in which to run them.
        worker_class: what the actors are.
        on_result: called with each result.
        cancel: stops the list.
    """

    def __init__(
        self,
        batch: SharedBatch,
        ledger: Ledger,
        jobs: dict[str, Job],
        worker_class: type,
        on_result: OnResult,
        cancel: Cancel,
    ) -> None:
        self._options, self._ledger, self._jobs = batch.options, ledger, jobs
        self._on_result, self._cancel = on_result, cancel
        ended = ledger.ended()
        self._queue = deque(name for name in jobs if name not in ended)
        self._hire, self._resources = hiring(worker_class, batch.options)
        self._slots = [Slot() for _ in range(batch.options.workers)]
        self._lost: list[Loss] = []
        self._breaker = Breaker(batch.options.stop_after_failures)
        self._renewal = Renewal(ledger)
        self._identity: WorkerIdentity | None = None
        self._first_s: float | None = None
        # Models that no worker can load, by `what_is_loaded`, and why
        self._unloadable: dict[tuple[Any, ...], str] = {}
        # The settings whose model all workers load first, to be compared
        self._common = self._next_config()
        self._refused_s = math.inf
        self._retry_s = -math.inf
        self._ask_s = -math.inf
        self._warn_s = time.monotonic() + NO_ROOM_S

    def run(self) -> None:
        """Hand out jobs until all have ended.

        Raises:
            SettingsError: the workers differ.
            NoProgressError: the first jobs all fail, or no worker stays alive.
        """
        while self._queue or self._lost or any(slot.name for slot in self._slots):
            self._cancel.check()
            self._hire_workers()
            self._collect()
            self._judge_losses()
            self._judge_refusals()
            self._replace_overdue()
            self._replace_frozen()
            self._hand_out()

    def _hire_workers(self) -> None:
        """Fill empty slots as long as there is work for them; dismiss idle workers otherwise.

        Workers that wait for a machine are the demand that a cluster grows by, and one that is not
        needed would keep its machine.
        """
        if self._common is None:
            return
        num_jobs = len(self._queue) + sum(loss.name is not None for loss in self._lost)
        is_unknown = not num_jobs and self._ask_lengths()
        if any(self._is_long(slot) for slot in self._slots):
            # Helpers for a long clip
            num_jobs = len(self._slots)
        may_begin = [slot for slot in self._slots if slot.deaths < MAX_DEATHS_IN_A_ROW]
        empty = [slot for slot in may_begin if slot.actor is None]
        idle = [slot for slot in self._slots if slot.is_idle]
        # Dismissed first are those that have not answered yet
        idle.sort(key=lambda slot: slot.node is None)
        change = workers_to_hire(num_jobs, len(idle), len(empty))
        for slot in empty[: max(change, 0)]:
            self._fill(slot)
        for slot in idle[len(idle) + change :] if change < 0 and not is_unknown else ():
            self._dismiss(slot)
        if not any(slot.actor for slot in self._slots) and not self._lost:
            raise NoProgressError(
                f"each worker was lost {MAX_DEATHS_IN_A_ROW} times in a row: run it with one "
                "worker, or without --cluster, to see why"
            )

    def _ask_lengths(self) -> bool:
        """Ask once how long each clip in work is; return whether an answer is still to come."""
        for slot in self._slots:
            if slot.name is not None and slot.num_frames is None and slot.length is None:
                method = slot.actor.num_frames.options(concurrency_group=QUESTIONS)
                slot.length = method.remote(self._jobs[slot.name])
        return any(slot.length is not None for slot in self._slots)

    def _is_long(self, slot: Slot) -> bool:
        return slot.num_frames is not None and slot.num_frames > self._options.split_frames

    def dismiss_all(self) -> None:
        """End all workers."""
        for slot in self._slots:
            self._dismiss(slot)

    def _fill(self, slot: Slot) -> None:
        """Hire a worker; its first answer shows that it is ready."""
        slot.actor = self._hire()
        self._introduce(slot)

    def _introduce(self, slot: Slot) -> None:
        slot.refusal = None
        slot.call = slot.actor.__ray_call__.remote(introduce, self._common, os.getcwd())

    def _dismiss(self, slot: Slot) -> None:
        if slot.actor is not None:
            with suppress(RayError, ValueError):
                ray.kill(slot.actor)
        slot.empty()

    def _collect(self) -> None:
        """Take the answers that have come, waiting a moment for the first."""
        by_call = {slot.call: slot for slot in self._slots if slot.call is not None}
        by_length = {slot.length: slot for slot in self._slots if slot.length is not None}
        calls = [*by_call, *by_length]
        if not calls:
            time.sleep(LOOK_S)
            return
        ray.wait(calls, num_returns=1, timeout=LOOK_S, fetch_local=False)
        come, _ = ray.wait(calls, num_returns=len(calls), timeout=0, fetch_local=False)
        for call in come:
            if (slot := by_length.get(call)) is not None and slot.length is call:
                length, slot.length = slot.length, None
                slot.num_frames = 0
                with suppress(RayError):
                    slot.num_frames = ray.get(length)
            elif (slot := by_call.get(call)) is not None and slot.call is call:
                self._answered(slot)

    def _answered(self, slot: Slot) -> None:
        call, slot.call = slot.call, None
        try:
            answer = ray.get(call)
        except RayActorError as error:
            # `preempted`: somebody drained the machine before
            self._lose(slot, preempted=bool(getattr(error, "preempted", False)))
            return
        except RayError as error:
            reason = first_line(getattr(error, "cause", error))
            if slot.helps is not None:
                self._end_help(slot, failed=True, reason=reason)
                return
            if slot.name is None and isinstance(getattr(error, "cause", None), FairyError):
                slot.refusal = reason
                self._refused_s = min(self._refused_s, time.monotonic())
                return
            if slot.name is None:
                # The code there is not the one here
                raise SettingsError(f"a worker cannot begin: {reason}") from error
            self._finished(
                slot, result_of(self._jobs[slot.name], "failed", error=reason, kind="bug")
            )
            return
        if isinstance(answer, JobResult):
            self._finished(slot, answer)
        elif slot.helps is not None:
            self._end_help(slot, failed=not answer)
        else:
            node, identity = answer
            self._compare(identity)
            slot.node = Node.of(node)
            self._first_s = self._first_s or time.monotonic()

    def _end_help(self, slot: Slot, *, failed: bool, reason: str | None = None) -> None:
        """Note that a worker helps no more; after a failure it gets no help to do for a while."""
        assert slot.helps is not None
        if reason is not None:
            logger.warning("%s: cannot help: %s", self._jobs[slot.helps].source_name, reason)
        if failed:
            slot.help_again_s = time.monotonic() + HELP_AGAIN_S
        slot.helps = None

    def _compare(self, identity: WorkerIdentity) -> None:
        """Check that a worker is like the others, before it gets a job."""
        if self._identity is None:
            self._identity = identity
            if (version := identity.versions.get("fairy")) != __version__:
                raise SettingsError(
                    f"the workers have Fairy {version}, this machine {__version__}: install the "
                    "same version everywhere"
                )
        if (difference := self._identity.difference(identity)) is not None:
            raise SettingsError(f"the workers differ: {difference}: install the same everywhere")

    def _finished(self, slot: Slot, result: JobResult) -> None:
        name = slot.name
        assert name is not None
        slot.name = slot.length = slot.num_frames = None
        slot.deadline_s = math.inf
        if settle(self._ledger, name, result, self._options.max_attempts):
            slot.deaths = 0
            self._on_result(result)
            self._breaker.count(result)
        else:
            self._queue.append(name)

    def _lose(self, slot: Slot, *, past_deadline: bool = False, preempted: bool = False) -> None:
        """Replace a lost worker; what became of its job is judged a little later."""
        helped = slot.helps is not None
        if helped:
            self._end_help(slot, failed=True, reason="the worker was lost")
        if not preempted:
            now_s = time.monotonic()
            self._lost.append(Loss(slot, slot.name, helped, slot.node, now_s, past_deadline))
        elif slot.name is not None:
            self._requeue(slot.name)
        self._dismiss(slot)

    def _judge_losses(self) -> None:
        """Charge a lost worker to its job, unless its machine was lost."""
        for loss in list(self._lost):
            is_machine = not loss.past_deadline and loss.node is not None and loss.node.is_lost
            if not (
                is_machine or loss.past_deadline or time.monotonic() > loss.at_s + NODE_DEATH_S
            ):
                continue
            self._lost.remove(loss)
            if is_machine and loss.name is not None:
                logger.warning("%s: its machine was lost", self._jobs[loss.name].source_name)
                self._requeue(loss.name)
            elif not is_machine:
                suspected = loss.name is not None and self._ledger.num_deaths(loss.name) > 0
                # Who helps with a long clip that kills its workers must not lose its place by it
                loss.slot.deaths += not (suspected or loss.helped)
                if loss.name is not None:
                    self._charge(loss.name)

    def _judge_refusals(self) -> None:
        """Give up a model that no worker can load, and compare the workers by the next one.

        Raises:
            SettingsError: other workers have loaded it.
        """
        refusals = [slot.refusal for slot in self._slots if slot.refusal is not None]
        if not refusals:
            self._refused_s = math.inf
            return
        if self._identity is not None:
            raise SettingsError(f"the workers differ: one cannot load the model: {refusals[0]}")
        if self._is_starting and time.monotonic() < self._refused_s + COMPARE_S:
            return
        assert self._common is not None
        self._unloadable[what_is_loaded(self._common)] = refusals[0]
        self._common, self._refused_s = self._next_config(), math.inf
        for slot in self._slots:
            if self._common is None:
                self._dismiss(slot)
            elif slot.actor is not None:
                # Those that have not answered yet, too: their answer to the last call is not used
                self._introduce(slot)

    def _next_config(self) -> EditConfig | None:
        """Return the settings of the first job in the queue whose model may load, or None."""
        configs = (self._jobs[name].config for name in self._queue)
        return next((one for one in configs if what_is_loaded(one) not in self._unloadable), None)

    @property
    def _is_starting(self) -> bool:
        return any(slot.call is not None and slot.node is None for slot in self._slots)

    def _requeue(self, name: str) -> None:
        """Put a job first again; it is not to blame."""
        self._ledger.claims.give_back(name)
        self._queue.appendleft(name)

    def _charge(self, name: str) -> None:
        """Put a job last, because a worker has died with it."""
        self._ledger.claims.give_back(name, died=True)
        self._queue.append(name)

    def _replace_overdue(self) -> None:
        for slot in self._slots:
            if slot.name is not None and time.monotonic() > slot.deadline_s:
                source = self._jobs[slot.name].source_name
                logger.warning("%s: takes too long: its worker is replaced", source)
                self._lose(slot, past_deadline=True)

    def _replace_frozen(self) -> None:
        """Replace workers that have not answered for long, with a job or without.

        A worker that has never answered may wait for a machine.
        """
        if time.monotonic() < self._ask_s:
            return
        self._ask_s = time.monotonic() + ASK_S
        asked = [slot.question for slot in self._slots if slot.question is not None]
        come = (
            ray.wait(asked, num_returns=len(asked), timeout=0, fetch_local=False)[0]
            if asked
            else ()
        )
        answered = set(come)
        for slot in self._slots:
            if slot.actor is None:
                continue
            if slot.question is None or slot.question in answered:
                slot.has_answered |= slot.question is not None
                slot.question = slot.actor.__ray_ready__.options(
                    concurrency_group=QUESTIONS
                ).remote()
                slot.num_unanswered = 0
            elif slot.has_answered:
                # Counted in questions, so that nobody is replaced because this process was stopped
                slot.num_unanswered += 1
                if slot.num_unanswered == MAX_UNANSWERED:
                    logger.warning("a worker does not answer: it is replaced")
                    self._lose(slot)

    def _hand_out(self) -> None:
        """Give each idle worker a job."""
        now_s = time.monotonic()
        if self._common is None:
            # No model loads: this sets aside what is left
            self._next_job()
            return
        if self._first_s is None:
            self._warn_if_no_room(now_s)
            return
        if self._is_starting and now_s < self._first_s + COMPARE_S:
            return
        for slot in self._slots:
            if slot.node is None or slot.call is not None:
                continue
            if (name := self._next_job()) is None:
                if now_s >= slot.help_again_s:
                    self._let_help(slot)
                continue
            slot.name = name
            slot.call = slot.actor.edit.remote(self._renewal.of(self._jobs[name]))
            slot.deadline_s = now_s + (self._options.clip_timeout or math.inf)

    def _let_help(self, slot: Slot) -> None:
        """Let an idle worker help with a long clip, if there is one at work."""
        for other in self._slots:
            if other.name is not None and self._is_long(other):
                job = self._jobs[other.name]
                if not is_address(job.out_name) and is_led(job.request, self._options.lease):
                    slot.helps, slot.call = other.name, slot.actor.help.remote(job)
                    return

    def _next_job(self) -> str | None:
        """Claim the next job that no other process has; None if there is none now."""
        for _ in range(len(self._queue) if time.monotonic() >= self._retry_s else 0):
            self._cancel.check()
            name = self._queue.popleft()
            number = self._ledger.claims.take(name)
            if number is None:
                if not self._ledger.has_ended(name):
                    self._queue.append(name)
                continue
            # With number 0, nobody has tried it before, so it cannot have ended
            if number > 0 and self._ledger.has_ended(name):
                self._ledger.claims.give_back(name)
                continue
            if (result := self._result_without_try(name, is_new=number == 0)) is None:
                return name
            settle(self._ledger, name, result, self._options.max_attempts)
            self._on_result(result)
            # If another model loads, the set-up is not the cause
            if self._identity is None or result.kind != "input":
                self._breaker.count(result)
        if self._queue and time.monotonic() >= self._retry_s:
            self._retry_s = time.monotonic() + RETRY_S
        return None

    def _result_without_try(self, name: str, *, is_new: bool) -> JobResult | None:
        """Return the result of a job that is not to be begun, or None."""
        job = self._jobs[name]
        if self._unloadable and (reason := self._unloadable.get(what_is_loaded(job.config))):
            return result_of(job, "failed", error=reason, kind="input")
        return None if is_new else worn_out(self._ledger, name, job, self._options.max_attempts)

    def _warn_if_no_room(self, now_s: float) -> None:
        if now_s > self._warn_s:
            logger.warning("no worker has started yet: each needs %s", self._resources)
            self._warn_s = math.inf
