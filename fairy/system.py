"""Facts about this process and its machine: versions, processor, commit, peak memory.

Tests: tests/test_system.py.
"""

from __future__ import annotations

import errno
import importlib.metadata
import json
import logging
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any

import fairy

VERSIONED = ("torch", "diffusers", "transformers", "av", "numpy", "triton")
CPU_INFO = Path("/proc/cpuinfo")
FAST_BF16_FLAGS = {"amx_bf16", "avx512_bf16"}
GIB = 2**30
# What file systems of networks and of users (NFS, FUSE) answer where they cannot do something
NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)

logger = logging.getLogger(__name__)


def versions() -> dict[str, str]:
    """Return the versions of Fairy, Python, the platform and the libraries that are installed."""
    found = {"fairy": fairy.__version__, "python": platform.python_version()}
    found["platform"] = platform.platform()
    for name in VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """Return the processor's name and the number of cores, as in "AMD EPYC x 2"."""
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} x {len(names)}" if names else platform.processor() or "unknown"


def cpu_flags(cpu_info: Path | None = None) -> set[str]:
    """Return the names of the processor's instruction sets (Linux; elsewhere unknown: none)."""
    path = cpu_info or CPU_INFO
    lines = path.read_text().splitlines() if path.exists() else []
    return set(next((line for line in lines if line.startswith("flags")), "").split())


def has_fast_bf16(cpu_info: Path | None = None) -> bool:
    """Whether the processor has instructions for bf16 products (Linux; elsewhere unknown: no)."""
    return bool(FAST_BF16_FLAGS & cpu_flags(cpu_info))


def commit() -> str | None:
    """Return the commit of this code's checkout; None if it is not in one.

    FAIRY_COMMIT overrides it, for a copy without git.
    """
    if named := os.environ.get("FAIRY_COMMIT"):
        return named
    root = Path(fairy.__file__).parents[1]
    if not (root / ".git").exists():
        return None
    command = ["git", "describe", "--always", "--dirty"]
    answer = subprocess.run(command, cwd=root, capture_output=True, text=True)
    return answer.stdout.strip() or None


def machine() -> dict[str, str | int]:
    """Return the processor, torch's threads, the device and, in a checkout, the commit."""
    import torch

    where: dict[str, str | int] = {"processor": processor(), "threads": torch.get_num_threads()}
    where["device"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    if (named := commit()) is not None:
        where["commit"] = named
    return where


def parse_json(text: str, **options: Any) -> Any:
    """Do what `json.loads` does; text that is nested too deeply is no JSON for it, either.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    try:
        return json.loads(text, **options)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def usable_cores() -> int:
    """Return how many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def own_priority() -> Iterator[None]:
    """Give the thread back its scheduling: SVT-AV1 makes its caller a real-time thread, as root."""
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            os.sched_setscheduler(0, policy, parameters)


def end_with_parent() -> None:
    """End this process, which multiprocessing started, as soon as its parent has ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent").start()


def peak_memory_bytes() -> int:
    """Return this process's largest resident size so far, in bytes."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts kilobytes, macOS bytes.
    return peak if sys.platform == "darwin" else peak * 1024


def write_through(file: IO[bytes] | IO[str]) -> None:
    """Put what was written to `file` on the disk, as far as its file system can be told to."""
    file.flush()
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise
        _say_no_fsync(Path(file.name).parent)


def can_lock(folder: Path) -> bool:
    """Return whether files in `folder` can be locked, by one that nobody else knows."""
    try:
        import fcntl
    except ImportError:
        # Windows, where all can
        return True
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


@cache
def _say_no_fsync(folder: Path) -> None:
    logger.warning(
        "%s: this file system does not say when files are on the disk: a power cut may cost frames",
        folder,
    )
