"""A Ray cluster, as a list needs it: connecting to it, hiring workers there, its machines.

Tests: tests/batch/test_on_ray.py.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import AuthenticationError, RayError

from fairy.batch.answers import WorkerIdentity
from fairy.batch.clip_worker import ClipWorker
from fairy.errors import SettingsError, first_line
from fairy.settings import BatchOptions, EditConfig

# How long to wait for an answer of a machine
CONNECT_S = 2.0
# The thread that answers
QUESTIONS = "questions"


@contextmanager
def connected(options: BatchOptions) -> Iterator[None]:
    """Connect to the cluster, or start Ray on this machine; does nothing if that is done.

    Raises:
        SettingsError: the cluster cannot be reached.
    """
    if ray.is_initialized():
        yield
        return
    address = options.address or os.environ.get("RAY_ADDRESS")
    own = {} if address else {"include_dashboard": False}
    try:
        ray.init(address or "local", log_to_driver=False, logging_level="error", **own)
    except AuthenticationError as error:
        raise SettingsError(
            f"the Ray cluster {address} requires a token: run `ray get-auth-token` on its head "
            "node and set RAY_AUTH_TOKEN here"
        ) from error
    except (ConnectionError, RuntimeError, RayError) as error:
        raise SettingsError(
            f"the Ray cluster {address or 'on this machine'} cannot be reached: {first_line(error)}"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


@dataclass(frozen=True)
class Node:
    """A machine of the cluster: its ID, and where Ray's process there listens, if we can reach it.

    Ray itself may need many seconds to learn that a machine is lost.
    """

    id: str
    address: tuple[str, int] | None = None

    @classmethod
    def of(cls, name: str) -> Node:
        """Return the machine with this ID."""
        one = next((one for one in ray.nodes() if one["NodeID"] == name), None)
        if one is None:
            return cls(name)
        address = one["NodeManagerAddress"], one["NodeManagerPort"]
        return cls(name, address if _answers(address) else None)

    @property
    def is_lost(self) -> bool:
        """Whether it has left the cluster, or does not answer any more."""
        if self.address is not None and not _answers(self.address):
            return True
        return not any(one["NodeID"] == self.id and one["Alive"] for one in ray.nodes())


def _answers(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=CONNECT_S).close()
    except OSError:
        return False
    return True


def hiring(worker_class: type, options: BatchOptions) -> tuple[Any, str]:
    """Return a function that hires an actor, and in words what each takes of the cluster."""
    cluster = ray.cluster_resources()
    num_gpus = options.gpus_per_worker
    if num_gpus is None:
        num_gpus = float(cluster.get("GPU", 0) > 0)
    num_cpus = options.cpus_per_worker
    if num_cpus is None:
        share = int(cluster.get("CPU", 1)) // options.workers
        num_cpus = 1.0 if num_gpus else float(max(1, share))
    actor = ray.remote(
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        max_restarts=0,
        max_task_retries=0,
        concurrency_groups={QUESTIONS: 1},
    )(worker_class)
    threads = None if num_gpus else max(1, int(num_cpus))
    words = f"{num_cpus:g} CPUs" + (f" and {num_gpus:g} GPUs" if num_gpus else "")
    limits = {
        "split_frames": options.split_frames,
        "clip_timeout": options.clip_timeout,
        "lease_s": options.lease,
    }
    return lambda: actor.remote(threads=threads, **limits), words


def introduce(worker: ClipWorker, config: EditConfig, folder: str) -> tuple[str, WorkerIdentity]:
    """Return the machine that a worker is on, as Ray names it, and what the worker is.

    The worker goes to the folder in which the list was started, where relative paths begin; they
    cannot be found if its machine has no such folder.
    """
    with suppress(OSError):
        os.chdir(folder)
    return ray.get_runtime_context().get_node_id(), worker.identity(config)
