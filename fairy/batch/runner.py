"""Many edits in one command: the model is loaded once, and a failed job does not stop the others.

Jobs with the same clip run one after another and share its latents. They also share its decoding,
unless an output needs the source's pictures (guided enlarging, `compare`) and they are too many.
A job whose output exists is skipped, so the same command again does only what is missing.
Tests: tests/batch/test_runner.py.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

from fairy.batch.addresses import fetched, is_address
from fairy.batch.answers import FailureKind, JobResult, result_of
from fairy.batch.joblist import Job, make_job, read_lines
from fairy.control.changes import crop_of
from fairy.editors.base import Editor
from fairy.editors.loading import load_editor, what_is_loaded
from fairy.errors import FairyError, WorkspaceInUseError
from fairy.interrupt import Cancel
from fairy.jobs.apart import clashes
from fairy.jobs.edit import run_edit
from fairy.jobs.plan import check_outputs, request_inputs, request_outputs
from fairy.jobs.segment import model_size
from fairy.jobs.shared_latents import SharedClip
from fairy.jobs.workspace import Workspace
from fairy.media.folder import is_result
from fairy.media.names import is_same, real
from fairy.media.read import probe, read_frames
from fairy.settings import EditConfig

if TYPE_CHECKING:
    from fairy.jobs.team import Team

logger = logging.getLogger(__name__)

# Uncompressed pictures of a clip up to this size are kept in a temporary file for several jobs:
# a minute of 720p at 24 frames/s takes 4 GB
PICTURE_BYTES = 4 * 10**9

_SHARED_ONLY = "an output at an address needs records of what is done: add --cluster shared"

# A full disk, a quota, a broken disk: the job's clip and settings have no part in it
STORAGE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE)


def run_batch(
    path: Path | str,
    defaults: EditConfig | None = None,
    *,
    into: str | None = None,
    settings_file: Path | None = None,
    on_result: Callable[[JobResult], None] = lambda result: None,
    cancel: Cancel | None = None,
) -> list[JobResult]:
    """Run every job of the list at `path`.

    Args:
        path: a .csv or .jsonl file (`fairy.batch.joblist`).
        defaults: settings that a line leaves out.
        into: folder below which relative outputs are, made if it is missing; the working folder
            when None.
        settings_file: where `defaults` come from, if from a file: no job may replace it.
        on_result: called with each job's result as soon as it is known.
        cancel: stops the running job and the list, after keeping frames in progress.

    Raises:
        SettingsError: the list cannot be read.
    """
    results: list[JobResult] = []

    def add(result: JobResult) -> None:
        results.append(result)
        on_result(result)

    read = files_of_list(Path(path), settings_file)
    jobs = make_jobs(read_lines(Path(path)), defaults or EditConfig(), add, into, read)
    for job in jobs:
        if is_address(job.out_name):
            add(result_of(job, "failed", error=f"{job.out_name}: {_SHARED_ONLY}", kind="input"))
        elif into is not None:
            job.out.parent.mkdir(parents=True, exist_ok=True)
    jobs = [job for job in jobs if not is_address(job.out_name)]
    runner = Runner(add, cancel)
    for group in _groups(jobs):
        runner.run(group)
    return results


class Runner:
    """Runs groups of jobs; the model of the last group stays loaded."""

    def __init__(
        self,
        add: Callable[[JobResult], None],
        cancel: Cancel | None,
        team_of: Callable[[Job], Team | None] = lambda job: None,
        watch: Callable[[Job], AbstractContextManager[None]] = lambda job: nullcontext(),
    ) -> None:
        self._add, self._cancel, self._team_of, self._watch = add, cancel, team_of, watch
        self._editor: Editor | None = None
        self._loaded: tuple[object, ...] | None = None
        # The clip, or its copy on this machine
        self._source: Path | None = None

    def run(self, group: Sequence[Job]) -> None:
        """Run jobs of one clip and one model."""
        missing = [job for job in group if self._is_missing(job)]
        with ExitStack() as stack:
            self._source = None
            shared: SharedClip | None = None
            for job in missing:
                with self._reported(job):
                    began = time.perf_counter()
                    if self._source is None:
                        self._source = stack.enter_context(fetched(job.source_name))
                    local = replace(job, source=self._source)
                    if len(missing) > 1 and shared is None:
                        shared = stack.enter_context(self._share(local))
                    num_frames = self._edit(local, shared)
                    seconds = round(time.perf_counter() - began, 3)
                    self._add(result_of(job, "done", num_frames=num_frames, seconds=seconds))

    @contextmanager
    def _reported(self, job: Job) -> Iterator[None]:
        """Report a failing job, even if the cause is a bug, so it does not stop the others."""
        began = time.perf_counter()
        try:
            yield
        except Exception as error:
            seconds = round(time.perf_counter() - began, 3)
            reason, kind = self._as_given(job, _reason(job, error)), failure_kind(error)
            self._add(result_of(job, "failed", seconds=seconds, error=reason, kind=kind))

    def _as_given(self, job: Job, text: str) -> str:
        """Return a message with addresses instead of the temporary files that stand for them."""
        for path, name in ((self._source, job.source_name), (job.out, job.out_name)):
            if path is not None and is_address(name):
                text = text.replace(str(path), name)
        return text

    def _edit(self, job: Job, shared: SharedClip | None) -> int:
        # Fails before a model is loaded
        check_outputs(job.request)
        editor = self.model(job.config)
        with self._watch(job):
            done = run_edit(
                job.request,
                editor=editor,
                cancel=self._cancel,
                shared=shared,
                team=self._team_of(job),
            )
        return done.num_frames_out

    def _share(self, job: Job) -> SharedClip:
        info, editor = probe(job.source, job.config), self.model(job.config)
        size = model_size(info, job.config, editor)
        return SharedClip(
            read_frames(job.source, job.config),
            editor,
            size,
            crop=crop_of(job.config, (info.height, info.width)),
            keep_pictures=info.num_frames * info.height * info.width * 3 <= PICTURE_BYTES,
        )

    def model(self, config: EditConfig) -> Editor:
        """Return the model of these settings, which stays loaded until another one is needed."""
        wanted = what_is_loaded(config)
        if self._editor is None or wanted != self._loaded:
            self._editor = None
            self._editor, self._loaded = load_editor(config), wanted
        return self._editor

    def _is_missing(self, job: Job) -> bool:
        """Return whether to run a job; report it if it is done or cannot be run."""
        is_missing = False
        with self._reported(job):
            # A job that stopped while publishing is not done, and one that would replace its own
            # clip fails with the reason
            is_missing = (
                job.run.overwrite
                or not is_result(job.out)
                or Workspace(job.out, job.run.work_dir).path.exists()
                or is_same(job.out, job.source)
            )
            if not is_missing:
                self._add(result_of(job, "kept"))
        return is_missing


def make_jobs(
    lines: Sequence[tuple[int, dict[str, object]]],
    defaults: EditConfig,
    add: Callable[[JobResult], None],
    into: str | None = None,
    read: Mapping[str, Path] = MappingProxyType({}),
) -> list[Job]:
    """Return the jobs that can be run, and report those that cannot.

    Args:
        lines: the entries of each job with its line.
        defaults: settings that a line leaves out.
        add: takes the result of a job that cannot be run.
        into: folder or address below which relative outputs are.
        read: files that no job may replace, such as the list, by their role in messages.
    """
    jobs: dict[int, Job] = {}
    files: dict[int, tuple[dict[str, Path], dict[str, Path]]] = {}
    named = dict(lines)
    for line, entries in lines:
        try:
            job = make_job(line, entries, defaults, into)
            inputs, outputs = request_inputs(job.request), request_outputs(job.request)
            for name in (*inputs.values(), *outputs.values()):
                # Raises if it is not a name
                real(name)
        except FairyError as error:
            add(_not_made(line, entries, str(error)))
        else:
            jobs[line], files[line] = job, (inputs, outputs)
    for line, reason in clashes(files, read).items():
        del jobs[line]
        add(_not_made(line, named[line], reason))
    return list(jobs.values())


def files_of_list(path: Path, settings_file: Path | None) -> dict[str, Path]:
    """Return what is read for all jobs of the list at `path`, by its role in messages."""
    files = {"the list of jobs": path, "--settings": settings_file}
    return {role: file for role, file in files.items() if file is not None}


def _not_made(line: int, entries: Mapping[str, object], reason: str) -> JobResult:
    names = (str(entries.get(name) or "") for name in ("input", "instruction", "output"))
    source, instruction, out = names
    return JobResult(
        line=line,
        input=source,
        instruction=instruction,
        output=out,
        state="failed",
        error=reason,
        kind="input",
    )


def _reason(job: Job, error: Exception) -> str:
    """Return in one line why a job failed; log other errors than the user's in full."""
    if isinstance(error, FairyError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or job.out}: {error.strerror or error}"
    logger.error("%s: line %d", job.source_name, job.line, exc_info=error)
    return f"{type(error).__name__}: {error}"


def failure_kind(error: Exception) -> FailureKind:
    """Return what an error that ended a job is about."""
    cause = error.__cause__ if isinstance(error, FairyError) else error
    if isinstance(error, WorkspaceInUseError):
        return "busy"
    if isinstance(cause, OSError) and cause.errno in STORAGE_ERRORS:
        return "storage"
    if isinstance(error, FairyError):
        return "input"
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return "memory"
    if isinstance(error, RuntimeError) and "CUDA error" in str(error):
        return "device"
    return "storage" if isinstance(error, ConnectionError | TimeoutError) else "bug"


def _groups(jobs: Sequence[Job]) -> list[list[Job]]:
    """Return the jobs grouped by model, then by clip and how it is read, in list order."""
    models: dict[object, dict[object, list[Job]]] = {}
    for job in jobs:
        clip = (real(job.source), job.config.size, job.config.video_stream)
        config = job.config
        stretch = (config.start_s, config.end_s, config.max_frames)
        seen = (config.region, config.keep_size, config.mask_grow, config.mask_feather)
        read = (*clip, config.strict, *stretch, seen if config.region else None)
        models.setdefault(what_is_loaded(job.config), {}).setdefault(read, []).append(job)
    return [group for clips in models.values() for group in clips.values()]
