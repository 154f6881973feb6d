"""Let any number of processes, on any machines, claim pieces of work through a shared folder.

The attempts at the work NAME are the files `NAME.0`, `NAME.1`, ...; the newest one counts. A
process claims work by creating the next file exclusively, so only one of several can get it. This
is allowed once the newest attempt was given back or its owner is gone. An owner is gone if its
process has ended (known only on its own machine), or if it has not touched its file for
`lease_s`. If the owner was only slow, nothing but time is lost, because both processes make the
same result.
Tests: tests/jobs/test_claims.py.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, tzinfo
from functools import cache
from pathlib import Path
from uuid import uuid4

import fsspec
import psutil
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem

from fairy.errors import SettingsError, first_line
from fairy.jobs.retries import retried

logger = logging.getLogger(__name__)

LEASE_S = 600.0
# How long a file may stay empty: its owner is about to fill it, or was killed before it could
EMPTY_S = 10.0
CLOCK = "clock"
MACHINE_ID = Path("/etc/machine-id")
PID_NAMESPACE = Path("/proc/self/ns/pid")


@dataclass(frozen=True)
class Owner:
    """A process.

    Attributes:
        host: its machine and, on Linux, the namespace of its process ID.
        pid: its process ID.
        started: when it started: on Linux in clock ticks since the machine's start, elsewhere in
            seconds since 1970.
    """

    host: str
    pid: int
    started: float

    @classmethod
    def me(cls) -> Owner:
        """Return this process."""
        return _process(os.getpid())

    @property
    def name(self) -> str:
        """For file names: host, process ID and start, as in "0a1b2c3d-4711-1796000000"."""
        return f"{zlib.crc32(self.host.encode()):08x}-{self.pid}-{self.started:.0f}"

    @property
    def is_here(self) -> bool:
        """Whether it runs, or ran, on this machine, where this process would see it."""
        return self.host == Owner.me().host

    @property
    def has_ended(self) -> bool:
        """Whether it is known to have ended; always False for processes on other machines."""
        if not self.is_here:
            return False
        try:
            # A new process may have reused its ID. A zombie does no work
            same = abs(_started(self.pid) - self.started) < 2
            return not same or psutil.Process(self.pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True


@cache
def _process(pid: int) -> Owner:
    return Owner(_host(), pid, _started(pid))


def _host() -> str:
    """Return a name of this machine, as "node-7.0123456789abcdef" on Linux.

    The hash tells machines and containers with one host name apart: a process ID means something
    on one machine only, and within one namespace. It outlasts a restart of the machine, so that
    what was at work before is known to have ended.
    """
    marks: list[str] = []
    with suppress(OSError):
        marks.append(MACHINE_ID.read_text().strip())
    with suppress(OSError):
        marks.append(str(PID_NAMESPACE.stat().st_ino))
    digest = hashlib.sha256(" ".join(marks).encode()).hexdigest()[:16]
    return f"{socket.gethostname()}.{digest}" if marks else socket.gethostname()


def _started(pid: int) -> float:
    """Return when a process started, as in `Owner`; raise psutil.NoSuchProcess if it is gone."""
    try:
        # psutil's time moves with the machine's clock. A name in () may contain spaces and ")"
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return float(psutil.Process(pid).create_time())
    # Field 22 of all, counted from 1; the first two are before the ")"
    return float(fields[19])


def may_live(name: str) -> bool:
    """Return whether the process with this `Owner.name` may still run.

    Always True for processes on other machines.
    """
    host, pid, started = name.split("-")
    me = Owner.me()
    if host != me.name.partition("-")[0]:
        return True
    return not Owner(me.host, int(pid), float(started)).has_ended


@dataclass(frozen=True)
class Attempt:
    """One claim.

    Attributes:
        number: from 0.
        path: its file.
        owner: None while the file cannot be read yet.
        given_back: whether the owner released it.
        died: whether the owner reported that the process doing the work has died.
        by_coordinator: whether other processes do the work, so the owner's end is no failure of it.
        reopens: whether it is no attempt, but lets others try again what had ended (`reopen`).
    """

    number: int
    path: str
    owner: Owner | None
    given_back: bool = False
    died: bool = False
    by_coordinator: bool = False
    reopens: bool = False


class Claims:
    """The claims in one existing folder; a context manager that gives back its open claims.

    Args:
        root: a folder, or a URL that fsspec supports. The file system must support exclusive
            creation: local disks, NFS 3 and later, S3 (`If-None-Match`).
        lease_s: how long a claim lasts if its owner stops touching the file.
        coordinator: whether other processes do the work that is claimed here.
    """

    def __init__(
        self, root: Path | str, lease_s: float = LEASE_S, *, coordinator: bool = False
    ) -> None:
        self._fs, self._root = file_system(root)
        self._is_local = isinstance(self._fs, LocalFileSystem)
        self._lease_s, self._coordinator = lease_s, coordinator
        self._mine: dict[str, str] = {}
        self._guard = threading.Lock()
        self._stop = threading.Event()
        self._beat: threading.Thread | None = None
        # Time zone of the file system's times, and how far they are ahead of this machine's
        self._zone: tzinfo | None = None
        self._ahead: timedelta | None = None

    def __enter__(self) -> Claims:
        """Start without claims."""
        return self

    def __exit__(self, *error: object) -> None:
        """Give back all open claims and stop the heartbeat thread."""
        self._stop.set()
        for name in list(self._mine):
            self.give_back(name)
        if self._beat is not None:
            self._beat.join()

    def take(self, name: str) -> int | None:
        """Claim a piece of work; return the attempt's number, or None if another process has it."""
        newest = self.newest(name)
        if newest is not None and not self.is_free(newest):
            return None
        number = 0 if newest is None else newest.number + 1
        path = f"{self._root}/{name}.{number}"
        try:
            self._create(path, self._record())
        except FileExistsError:
            return None
        with self._guard:
            self._mine[name] = path
        self._start_beat()
        return number

    def check_exclusive(self) -> None:
        """Check that the file system refuses to create a file that exists.

        Raises:
            SettingsError: it does not, so two workers could get the same work.
        """
        path = f"{self._root}/probe-{Owner.me().name}"
        # fsspec's own method looks and then writes, which is not exclusive
        is_exclusive = self._is_local or not _is_generic(self._fs)
        try:
            if is_exclusive:
                self._create(path, self._record())
                self._create(path, self._record())
                is_exclusive = False
        except FileExistsError:
            pass
        finally:
            with suppress(FileNotFoundError):
                retried(lambda: self._fs.rm_file(path))
        if not is_exclusive:
            names = self._fs.protocol
            name = names if isinstance(names, str) else names[0]
            raise SettingsError(
                f"{name}:// cannot create files exclusively, so workers cannot share a list "
                "there: use a shared folder or an object store such as s3://"
            )

    def _create(self, path: str, content: bytes) -> None:
        """Create a file, or raise FileExistsError; of several processes one succeeds."""
        try:
            retried(lambda: self._create_once(path, content))
        except FileExistsError:
            # The answer to the first request may have been lost; no two records are the same
            if self._content(path) != content:
                raise

    def _create_once(self, path: str, content: bytes) -> None:
        if self._is_local:
            _create_here(path, content)
            return
        try:
            self._fs.pipe_file(path, content, mode="create")
        except FileExistsError:
            raise
        except OSError as error:
            # S3 answers "conflict" while two processes create the same object
            if self._fs.exists(path):
                raise FileExistsError(path) from error
            raise

    def _content(self, path: str) -> bytes | None:
        """Return the content of a file; None if there is none."""
        with suppress(FileNotFoundError):
            return bytes(retried(lambda: self._fs.cat_file(path)))
        return None

    def give_back(self, name: str, *, died: bool = False) -> None:
        """Release a claim so that others can take the work; `died` counts it as failed."""
        # Once it is not in `_mine`, the heartbeat does not write it any more
        with self._guard:
            path = self._mine.pop(name, None)
        if path is not None:
            record = self._record(given_back=True, died=died)
            # The folder is deleted when all work is done
            with suppress(FileNotFoundError):
                retried(lambda: self._fs.pipe_file(path, record))

    def keep(self, name: str) -> None:
        """Keep a claim permanently, because the work is done."""
        with self._guard:
            self._mine.pop(name, None)

    def number(self, name: str) -> int | None:
        """Return the number of this process's claim on a piece of work, if it has one."""
        with self._guard:
            path = self._mine.get(name)
        return None if path is None else int(path.rpartition(".")[2])

    def reopen(self, name: str, number: int) -> None:
        """Let work be claimed again whose attempt `number` was kept.

        Any number of processes may do this at any time, and one of them does it. Nothing happens
        if the work was claimed again since then and that claim is live.
        """
        number = min(number, len(self.attempts(name)) - 1)
        while attempts := self.attempts(name):
            later = attempts[number + 1 :]
            if any(one.reopens for one in later):
                return
            if later and not self.is_free(later[-1]):
                if later[-1].owner is not None:
                    return
                # It is being written; if its process was killed, it is free in a moment
                time.sleep(EMPTY_S / 50)
                continue
            path = f"{self._root}/{name}.{len(attempts)}"
            with suppress(FileExistsError):
                self._create(path, self._record(given_back=True, reopens=True))

    def newest(self, name: str) -> Attempt | None:
        """Return the newest attempt at a piece of work."""
        return max(self.attempts(name), key=lambda attempt: attempt.number, default=None)

    def attempts(self, name: str) -> list[Attempt]:
        """Return all attempts at a piece of work, oldest first."""
        found: list[Attempt] = []
        while exists(self._fs, path := f"{self._root}/{name}.{len(found)}"):
            found.append(self._read(len(found), path))
        return found

    def names(self) -> set[str]:
        """Return the work that was ever claimed, by one listing."""
        return {name for name, _, _ in self._numbered()}

    def all(self) -> dict[str, Attempt]:
        """Return the newest attempt of every piece of work, by its name."""
        found: dict[str, tuple[int, str]] = {}
        for name, number, path in self._numbered():
            if number >= found.get(name, (0, ""))[0]:
                found[name] = number, path
        return {name: self._read(number, path) for name, (number, path) in found.items()}

    def is_free(self, attempt: Attempt) -> bool:
        """Return whether the work of an attempt can be claimed again."""
        if attempt.given_back:
            return True
        if attempt.owner is None:
            return self._age_s(attempt.path) > EMPTY_S
        # A process that is alive but stopped touching its file is frozen
        return attempt.owner.has_ended or self._age_s(attempt.path) > self._lease_s

    def _numbered(self) -> Iterator[tuple[str, int, str]]:
        """Yield (work, number, path) of every attempt, by one listing."""
        try:
            paths = retried(lambda: self._fs.ls(self._root, detail=False))
        except FileNotFoundError:
            return
        for path in paths:
            name, _, number = path.rsplit("/", 1)[-1].rpartition(".")
            if name and number.isdecimal():
                yield name, int(number), path

    def _read(self, number: int, path: str) -> Attempt:
        try:
            record = json.loads(self._content(path) or b"")
            owner = Owner(record["host"], record["pid"], record["started"])
        except (ValueError, KeyError, TypeError):
            return Attempt(number, path, None)
        names = ("given_back", "died", "by_coordinator", "reopens")
        states = (bool(record.get(name)) for name in names)
        return Attempt(number, path, owner, *states)

    def _age_s(self, path: str) -> float:
        """Return the seconds since a file was touched, measured by the file system's clock."""
        try:
            age = self._now() - retried(lambda: self._fs.modified(path))
        except FileNotFoundError:
            return 0.0
        return float(age.total_seconds())

    def _now(self) -> datetime:
        """Return the file system's time; a new file tells once how far this machine's differs."""
        if self._ahead is None:
            touched = retried(self._touch_clock)
            self._zone, self._ahead = touched.tzinfo, touched - datetime.now(touched.tzinfo)
        return datetime.now(self._zone) + self._ahead

    def _touch_clock(self) -> datetime:
        """Return the time that the file system gives a new file."""
        path = f"{self._root}/{CLOCK}-{Owner.me().name}"
        self._fs.pipe_file(path, b"")
        touched: datetime = self._fs.modified(path)
        with suppress(FileNotFoundError):
            self._fs.rm_file(path)
        return touched

    def _record(self, **states: bool) -> bytes:
        """Return a new record of this process; states that are left out are False."""
        states |= {"by_coordinator": True} if self._coordinator else {}
        record = asdict(Owner.me()) | {"record": uuid4().hex, "given_back": False} | states
        return json.dumps(record).encode()

    def _start_beat(self) -> None:
        if self._beat is None:
            self._beat = threading.Thread(target=self._touch, daemon=True, name="claims")
            self._beat.start()

    def _touch(self) -> None:
        """Touch this process's files four times per lease until stopped."""
        failing = False
        while not self._stop.wait(self._lease_s / 4):
            with self._guard:
                mine = dict(self._mine)
            errors = [error for one in mine.items() if (error := self._touch_one(*one)) is not None]
            if errors and not failing:
                logger.warning(
                    "%s: a claim cannot be renewed: %s", self._root, first_line(errors[0])
                )
            failing = bool(errors)

    def _touch_one(self, name: str, path: str) -> Exception | None:
        """Touch a file unless it was given back in the meantime; return the error if that fails."""
        try:
            # The folder is deleted when all work is done
            if not self._is_local and not self._fs.exists(path):
                return None
            with self._guard:
                if self._mine.get(name) != path:
                    return None
                if self._is_local:
                    os.utime(path)
                else:
                    self._fs.pipe_file(path, self._record())
        except FileNotFoundError:
            pass
        except Exception as error:
            # Each client has errors of its own, and the thread's end would look like this process's
            return error
        return None


def file_system(root: Path | str) -> tuple[AbstractFileSystem, str]:
    """Return the file system of a folder or URL, and the path in it; listings are never cached."""
    fs, path = fsspec.core.url_to_fs(str(root), use_listings_cache=False)
    return fs, str(path)


def exists(fs: AbstractFileSystem, path: str) -> bool:
    """Return whether a file exists; unlike fsspec's own, a request that fails is not a no."""
    try:
        retried(lambda: fs.info(path))
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _create_here(path: str, content: bytes) -> None:
    """Create a local file; if it cannot be written, leave none."""
    with open(path, "xb") as file:
        try:
            file.write(content)
            file.flush()
        except OSError:
            # For instance the disk is full. An empty claim would look like a worker that died
            with suppress(OSError):
                os.unlink(path)
            raise


def _is_generic(fs: AbstractFileSystem) -> bool:
    method = getattr(fs.pipe_file, "__func__", None)
    return method is AbstractFileSystem.pipe_file
