"""Clips and results at addresses such as s3://bucket/clip.mp4, on any file system fsspec knows.

An edit reads its clip often, and object stores can neither seek in what is written nor rename. So a
clip is fetched before its edit, and a result uploaded after it. A server that is busy is asked
again. Tests: tests/jobs/test_addresses.py.
"""

from __future__ import annotations

import errno
import logging
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import fsspec
from fsspec.spec import AbstractFileSystem

from fairy.errors import MediaError, first_line

logger = logging.getLogger(__name__)

# How often a server is asked, and the longest wait before the second time; it doubles each time
TRIES = 5
FIRST_WAIT_S = 0.5
# Asking again would not help: no such file, no right to it, no client for the address
FINAL = (FileNotFoundError, PermissionError, ImportError, ValueError)
# What tells one version of a file from another, best first, as the clients name it
VERSIONS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")

T = TypeVar("T")
FileState = tuple[str, int, int | str]
"""Name of a file, size in bytes, and what tells versions apart: a time, or what a server says."""


def is_address(name: str | Path) -> bool:
    """Return whether a name is an address rather than a local path."""
    return "://" in str(name)


def file_system(root: Path | str) -> tuple[AbstractFileSystem, str]:
    """Return the file system of a folder or URL, and the path in it; listings are never cached."""
    fs, path = fsspec.core.url_to_fs(str(root), use_listings_cache=False)
    return fs, str(path)


@contextmanager
def fetched(name: str) -> Iterator[Path]:
    """Yield the local path of a clip: itself, or a temporary copy of what is at an address.

    Raises:
        MediaError: there is no such clip, it may not be read, or nothing here can read the address.
        ConnectionError: the server does not give it.
    """
    if not is_address(name):
        yield Path(name)
        return
    with tempfile.TemporaryDirectory(prefix="fairy-") as folder:
        local = Path(folder, unquote(Path(urlsplit(name).path).name) or "clip")
        try:
            with_retries(lambda: _fetch(name, local))
        except FINAL as error:
            missing = isinstance(error, FileNotFoundError)
            reason = "no such file" if missing else f"cannot be read: {first_line(error)}"
            raise MediaError(f"{name}: {reason}") from error
        except Exception as error:
            raise _server_error(name, f"cannot be fetched: {first_line(error)}") from error
        yield local


def _fetch(address: str, local: Path) -> None:
    """Copy a file, or the files of a folder."""
    fs, path = file_system(address)
    if fs.info(path)["type"] == "file":
        fs.get_file(path, str(local))
        return
    local.mkdir(exist_ok=True)
    for name, _, _ in _in_folder(fs, path):
        fs.get_file(name, str(local / name.rpartition("/")[-1]))


def upload(local: Path, address: str) -> None:
    """Copy a file or a folder to an address.

    Raises:
        ConnectionError: the server does not take it.
    """
    fs, path = file_system(address)
    try:
        with_retries(lambda: fs.put(str(local), path, recursive=local.is_dir()))
    except Exception as error:
        raise _server_error(address, f"cannot be written: {first_line(error)}") from error


def _server_error(address: str, reason: str) -> ConnectionError:
    return ConnectionError(errno.EIO, reason, address)


def with_retries(call: Callable[[], T]) -> T:
    """Call something that needs a server; try again if it fails, later and later."""
    for number in range(1, TRIES):
        try:
            return call()
        except FINAL:
            raise
        except Exception as error:
            logger.warning("%s: trying again", first_line(error))
            time.sleep(FIRST_WAIT_S * 2 ** (number - 1) * random.uniform(0.5, 1))
    return call()


class Listing:
    """Which version of a clip is at an address; a folder is listed once, not for each clip in it.

    All workers of a list see the same, so they give a job the same ID.
    """

    def __init__(self) -> None:
        self._folders: dict[str, dict[str, Mapping[str, Any]]] = {}
        self._silent: dict[str, str] = {}

    def files(self, address: str) -> list[FileState]:
        """Return the file, or the images of a folder; nothing if there is no clip.

        Raises:
            ConnectionError: the server does not answer; it is not asked again for other clips.
        """
        server = "/".join(address.split("/")[:3])
        if (reason := self._silent.get(server)) is not None:
            raise _server_error(address, reason)
        try:
            return with_retries(lambda: self._files(address))
        except FINAL:
            # The job says so when it is run
            return []
        except Exception as error:
            self._silent[server] = f"cannot be looked up: {first_line(error)}"
            raise _server_error(address, self._silent[server]) from error

    def _files(self, address: str) -> list[FileState]:
        fs, path = file_system(address)
        folder = path.rpartition("/")[0]
        if folder not in self._folders:
            self._folders[folder] = _entries(fs, folder)
        entry = self._folders[folder].get(path)
        if entry is None or (entry["type"] == "file" and not _state(entry)[2]):
            # Servers without listings, or whose listings have only names
            entry = fs.info(path)
        return _in_folder(fs, path) if entry["type"] == "directory" else [_state(entry)]


def _entries(fs: AbstractFileSystem, folder: str) -> dict[str, Mapping[str, Any]]:
    """Return the entries of a folder by path; none if it cannot be listed."""
    try:
        return {str(entry["name"]): entry for entry in fs.ls(folder, detail=True)}
    except FINAL:
        return {}


def _in_folder(fs: AbstractFileSystem, folder: str) -> list[FileState]:
    entries = fs.ls(folder, detail=True)
    return sorted(_state(entry) for entry in entries if entry["type"] == "file")


def _state(entry: Mapping[str, Any]) -> FileState:
    version = next((str(entry[name]) for name in VERSIONS if entry.get(name)), "")
    return str(entry["name"]), entry.get("size") or 0, version.strip('"')
