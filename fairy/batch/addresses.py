"""Clips and results at addresses such as s3://bucket/clip.mp4, on any file system fsspec knows.

An edit reads its clip often, and object stores can neither seek in what is written nor rename. So a
clip is fetched before its edit, and a result uploaded after it. A server that is busy is asked
again. Tests: tests/batch/test_addresses.py.
"""

from __future__ import annotations

import errno
import logging
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem

from fairy.errors import MediaError, first_line
from fairy.jobs.claims import Owner, file_system, may_live
from fairy.jobs.retries import FINAL, TRIES, with_retries

logger = logging.getLogger(__name__)

# Longer names are shortened; the longest that are made of them have to be legal everywhere
MAX_NAME_BYTES = 100
# What tells one version of a file from another, best first, as the clients name it
VERSIONS = (
    "ETag", "etag", "md5Hash", "mtime", "LastModified", "Last-Modified", "last_modified", "created",
)  # fmt: skip
# What HTTP servers say of a file that is not there, or not for us; other failures may pass
NOT_THERE = (401, 403, 404, 410)
# A web server that says nothing for so long does not answer
SILENT_S = 60.0
# Protocols whose listings are pages for people
UNLISTED = ("http://", "https://")

# Name of its process (`Owner.name`), and what `tempfile` adds
_TEMPORARY = re.compile(r"fairy-([0-9a-f]{8}-\d+-\d+)-\w+")

FileState = tuple[str, int, int | str]
"""Name of a file, size in bytes, and what tells versions apart: a time, or what a server says."""


def is_address(name: str | Path) -> bool:
    """Return whether a name is an address rather than a local path."""
    return "://" in str(name)


def without_file_scheme(name: str) -> str:
    """Return the path in file:///path, so that it is known for the file that it is.

    >>> without_file_scheme("file:///clips/a b.mp4"), without_file_scheme("s3://bucket/a.mp4")
    ('/clips/a b.mp4', 's3://bucket/a.mp4')
    """
    return file_system(name)[1] if name.startswith(("file://", "local://")) else name


@contextmanager
def fetched(name: str) -> Iterator[Path]:
    """Yield the local path of a clip: itself, or a temporary copy of what is at an address.

    Raises:
        MediaError, ConnectionError: as `with_retries`.
    """
    if not is_address(name):
        yield Path(name)
        return
    with temporary_folder() as folder:
        local = folder / local_name(name)
        with_retries(lambda: _fetch(name, local), name, "cannot be fetched")
        yield local


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a folder that is deleted afterwards; if this process is killed, by the next one here.

    Its name holds this process's, and so tells whether it is still in use.
    """
    _delete_abandoned(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=f"fairy-{Owner.me().name}-") as folder:
        yield Path(folder)


def _delete_abandoned(parent: Path) -> None:
    """Delete the temporary folders of this machine's processes that have ended."""
    for path in parent.glob("fairy-*"):
        match = _TEMPORARY.fullmatch(path.name)
        if match is not None and not may_live(match[1]):
            # Another worker may delete it, too
            shutil.rmtree(path, ignore_errors=True)


def local_name(address: str) -> str:
    """Return a name for a local copy of what is at an address, with the suffix of its path.

    >>> local_name("https://host/clips/a.mp4?token=b"), local_name("s3://bucket/..%2F..")
    ('a.mp4', 'clip')
    """
    if address.startswith(UNLISTED):
        return _legal(unquote(urlsplit(address).path))
    # Elsewhere a "?" may also be part of the name
    path = address.partition("?")[0]
    return _legal(unquote(path if Path(path).suffix else address))


def _legal(path: str) -> str:
    """Return the last part of a server's path, made a name that a file in a folder here can have.

    A long one keeps its end: there are the suffix, and the number of a picture.
    """
    name = Path(path.replace("\0", "")).name.encode(errors="replace")
    legal = name[-MAX_NAME_BYTES:].decode(errors="ignore")
    return "clip" if legal in ("", ".", "..") else legal


def _client(address: str) -> tuple[AbstractFileSystem, str]:
    """Return an address's file system and the path in it; long clips may take long to come."""
    if not address.startswith(UNLISTED):
        return file_system(address)
    import aiohttp

    # Its own limit is five minutes for a whole file
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=SILENT_S, sock_read=SILENT_S)
    fs, path = url_to_fs(address, use_listings_cache=False, client_kwargs={"timeout": timeout})
    return fs, str(path)


def _fetch(address: str, local: Path) -> None:
    """Copy a file, or the files of a folder."""
    fs, path = _client(address)
    entry = _info(fs, path)
    if entry["type"] == "file":
        _get(fs, path, entry.get("size"), local)
        return
    local.mkdir(exist_ok=True)
    for name, size, _ in _in_folder(fs, path):
        _get(fs, name, size, local / _legal(name))


def _get(fs: AbstractFileSystem, path: str, size: int | None, local: Path) -> None:
    """Copy a file; `size` is what the server says, 0 or None if it does not.

    Raises:
        OSError: it is not what came. A connection that is closed too early may be no error.
    """
    fs.get_file(path, str(local))
    came = local.stat().st_size
    if size and came != size:
        raise OSError(errno.EIO, f"{came} of {size} bytes came")


def upload(local: Path, address: str) -> None:
    """Copy a file, or the files of a folder, to an address; what has these names is replaced.

    Raises:
        MediaError, ConnectionError: as `with_retries`.
    """
    if local.is_file():
        with_retries(lambda: _put(local, address), address, "cannot be written")
        return
    # One by one: a whole folder would be put into what an earlier try has made of it
    for file in sorted(path for path in local.rglob("*") if path.is_file()):
        name = f"{address.rstrip('/')}/{file.relative_to(local).as_posix()}"
        with_retries(partial(_put, file, name), name, "cannot be written")


def _put(local: Path, address: str) -> None:
    fs, path = file_system(address)
    if isinstance(fs, LocalFileSystem):
        fs.makedirs(path.rpartition("/")[0], exist_ok=True)
    fs.put_file(str(local), path)


class Listing:
    """Which version of a clip is at an address; a folder is listed once, not for each clip in it.

    All workers of a list see the same, so they give a job the same ID.
    """

    def __init__(self) -> None:
        self._folders: dict[str, dict[str, Mapping[str, Any]]] = {}
        self._silent: dict[str, str] = {}
        # How often a server has failed to list a folder; after `TRIES` it is asked for files only
        self._failures: Counter[str] = Counter()

    def files(self, address: str) -> list[FileState]:
        """Return the file, or the images of a folder; nothing if there is no clip.

        Raises:
            ConnectionError: the server does not answer; it is not asked again for other clips.
        """
        if (reason := self._silent.get(_server(address))) is not None:
            raise ConnectionError(errno.EIO, reason, address)
        try:
            fs, entry = with_retries(lambda: self._entry(address), address, "cannot be looked up")
        except MediaError:
            # The job says so when it is run
            return []
        except ConnectionError as error:
            self._silent[_server(address)] = str(error.strerror)
            raise
        if entry["type"] == "file":
            return [_state(entry)]
        try:
            return with_retries(lambda: _in_folder(fs, entry["name"]), address, "cannot be listed")
        except MediaError:
            return []

    def _entry(self, address: str) -> tuple[AbstractFileSystem, Mapping[str, Any]]:
        """Return an address's file system, and what the server says about the file or folder."""
        fs, path = _client(address)
        entry = self._listed(fs, address, path.rpartition("/")[0]).get(path)
        if entry is None or (entry["type"] == "file" and not _state(entry)[2]):
            # Servers without listings, or whose listings have only names
            entry = _info(fs, path)
        return fs, entry

    def _listed(
        self, fs: AbstractFileSystem, address: str, folder: str
    ) -> Mapping[str, Mapping[str, Any]]:
        """Return the entries of an address's folder by path; none if it cannot be listed."""
        server = _server(address)
        if address.startswith(UNLISTED) or self._failures[server] >= TRIES:
            return {}
        if folder not in self._folders:
            try:
                entries = fs.ls(folder, detail=True)
            except FINAL:
                entries = []
            except Exception as error:
                # Each client has errors of its own. This one may pass until the next clip
                self._failures[server] += 1
                logger.warning("%s: cannot be listed: %s", folder, first_line(error))
                return {}
            self._folders[folder] = {str(entry["name"]): entry for entry in entries}
        return self._folders[folder]


def _server(address: str) -> str:
    return "/".join(address.split("/")[:3])


def _info(fs: AbstractFileSystem, path: str) -> Mapping[str, Any]:
    """Return what a server says about a file or folder."""
    try:
        return cast("Mapping[str, Any]", fs.info(path))
    except FileNotFoundError as error:
        # fsspec's client for HTTP says this of all failures, and the true one is its cause
        cause = error.__cause__
        if cause is None or getattr(cause, "status", None) in NOT_THERE:
            raise
        raise cause from error


def _in_folder(fs: AbstractFileSystem, folder: str) -> list[FileState]:
    entries = fs.ls(folder, detail=True)
    return sorted(_state(entry) for entry in entries if entry["type"] == "file")


def _state(entry: Mapping[str, Any]) -> FileState:
    version = next((str(entry[name]) for name in VERSIONS if entry.get(name)), "")
    return str(entry["name"]), entry.get("size") or 0, version.strip('"')
