"""A list that several workers share: its jobs, each with an ID, and where its records are.

Tests: tests/batch/test_shared.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fairy.batch.addresses import Listing, is_address
from fairy.batch.answers import JobResult, result_of
from fairy.batch.joblist import Job, read_lines
from fairy.batch.ledger import Ledger, clip_state, job_id
from fairy.batch.runner import files_of_list, make_jobs
from fairy.errors import FairyError, SettingsError, first_line
from fairy.settings import BatchOptions, EditConfig

# Folder of the records, below the root
RECORDS = ".fairy"

OnResult = Callable[[JobResult], None]
OnOpen = Callable[[Ledger, Collection[str]], None]


@dataclass(frozen=True, kw_only=True)
class SharedBatch:
    """What every worker of a list knows.

    Attributes:
        path: the list.
        defaults: settings for what a line leaves out.
        options: how the jobs are shared.
        settings_file: where `defaults` come from, if from a file.
    """

    path: Path
    defaults: EditConfig
    options: BatchOptions
    settings_file: Path | None = None

    @property
    def root(self) -> str:
        """Folder or address of outputs and records; by default beside the list."""
        return self.options.out or beside_list(self.path)

    def ledger(self, *, coordinator: bool = False) -> Ledger:
        """Open the records, for a process that does the work, or for one that hands it out."""
        root = self.root.rstrip("/")
        with named_errors(self.root):
            return Ledger(f"{root}/{RECORDS}", self.options.lease, coordinator=coordinator)


@contextmanager
def named_errors(root: str) -> Iterator[None]:
    """Turn what a client says of an address into one line for the user.

    Raises:
        SettingsError: the records at this address cannot be used.
    """
    try:
        yield
    except FairyError:
        raise
    except Exception as error:
        if not is_address(root):
            raise
        # Each client has errors of its own
        raise SettingsError(f"{root}: cannot be used for records: {first_line(error)}") from error


def beside_list(path: Path) -> str:
    """Return the folder of a list's records if no other is given."""
    return str(path.with_name(f"{path.name}.fairy"))


def open_list(
    batch: SharedBatch, ledger: Ledger, on_result: OnResult
) -> tuple[dict[str, Job], list[JobResult]]:
    """Return the valid jobs by ID, and the results of the others, which are reported."""
    with named_errors(batch.root):
        ledger.claims.check_exclusive()
    refused: list[JobResult] = []
    jobs = jobs_by_id(batch, refused.append)
    for result in refused:
        on_result(result)
    if batch.options.retry_failed:
        ledger.retry(jobs)
    return jobs, refused


def jobs_by_id(batch: SharedBatch, refuse: OnResult) -> dict[str, Job]:
    """Return the valid jobs by ID, in the order in which to run them."""
    read = files_of_list(batch.path, batch.settings_file)
    jobs = make_jobs(read_lines(batch.path), batch.defaults, refuse, batch.options.out, read)
    listing, num_bytes, found = Listing(), dict[str, int](), dict[str, Job]()
    for job in jobs:
        try:
            clip = clip_state(job, listing)
        except OSError as error:
            reason = f"{error.filename}: {error.strerror}"
            refuse(result_of(job, "failed", error=reason, kind="storage"))
            continue
        name = job_id(job, clip)
        # Its size stands for its length
        found[name], num_bytes[name] = job, sum(size for _, size, _ in clip)
    if batch.options.order == "given":
        return found
    return {name: found[name] for name in sorted(found, key=num_bytes.__getitem__, reverse=True)}


def check_list(batch: SharedBatch) -> None:
    """Check that the options fit together.

    Raises:
        SettingsError: the output is an address, but the list is not shared (`cluster`).
    """
    if batch.options.out and is_address(batch.options.out) and not batch.options.cluster:
        raise SettingsError("-o with an address keeps its records there: add --cluster shared")
