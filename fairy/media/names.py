"""Compare file names (do two refer to the same file?), and derive names that are not too long.

One file can have many names: links, relative paths, or other spellings on a file system that
ignores case. Tests: tests/media/test_names.py.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Callable, Set
from contextlib import suppress
from pathlib import Path

from fairy.errors import MediaError

# Most file systems allow 255 bytes; some, such as eCryptfs, allow fewer
MAX_NAME_BYTES = 255
# Files that file managers create in folders on their own
_LEFT_BY_OTHERS = {".ds_store", "thumbs.db", "desktop.ini", ".directory"}


def real(path: Path) -> Path:
    """Return the absolute path with links resolved; the file need not exist.

    Raises:
        MediaError: no file can have this name, or the current folder was deleted.
    """
    try:
        return Path(os.path.realpath(path))
    except ValueError as error:
        raise MediaError(f"{str(path)!r}: not a name of a file: {error}") from error
    except FileNotFoundError as error:
        raise MediaError(f"{path}: the current folder was deleted: change to another") from error


def identities(path: Path) -> Set[object]:
    """Return keys that all names of a file or folder share; it need not exist."""
    found = real(path)
    known: set[object] = {found}
    with suppress(OSError):
        stat = found.stat()
        known.add((stat.st_dev, stat.st_ino))
    if _ignores_case(found.parent):
        known.add(unicodedata.normalize("NFC", str(found)).casefold())
    return known


Identify = Callable[[Path], Set[object]]
"""`identities`, or what remembers its answers: it looks at a folder several times."""


def is_same(one: Path, other: Path, identify: Identify = identities) -> bool:
    """Return whether two names refer to the same file or folder, or would if it existed."""
    return not identify(one).isdisjoint(identify(other))


def is_inside(inner: Path, outer: Path, identify: Identify = identities) -> bool:
    """Return whether `inner` is, or would be, in the folder `outer` or one of its subfolders."""
    return any(is_same(parent, outer, identify) for parent in real(inner).parents)


def beside(path: Path, ending: str, *, hidden: bool = False) -> Path:
    """Return a path in the same folder: the name plus `ending`, with a leading dot if `hidden`.

    A name that is too long for the file system is shortened and gets a hash.

    >>> beside(Path("clips/out.mp4"), ".part", hidden=True).as_posix()
    'clips/.out.mp4.part'
    """
    name = f"{'.' * hidden}{path.name}{ending}"
    if len(os.fsencode(name)) > MAX_NAME_BYTES:
        hashed = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]
        kept = MAX_NAME_BYTES - len(os.fsencode(f".-{hashed}{ending}"))
        start = os.fsencode(path.name)[:kept].decode(errors="ignore")
        name = f"{'.' * hidden}{start}-{hashed}{ending}"
    return path.with_name(name)


def nearest_folder(path: Path) -> Path:
    """Return the innermost folder above `path` that exists; those below it are made on writing."""
    return next(folder for folder in path.parents if os.path.exists(folder))


def missing_folders(path: Path) -> list[Path]:
    """Return the folders above `path` that do not exist, the innermost first."""
    return [folder for folder in path.parents if not os.path.exists(folder)]


def make_folder_of(path: Path) -> None:
    """Make the folder that `path` is in, and those above it.

    Raises:
        MediaError: that is not possible.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(
            f"{path}: the folder {path.parent} cannot be made: {error.strerror}"
        ) from error


def is_left_by_others(path: Path) -> bool:
    """Return whether a file manager created the file, such as `.DS_Store` or `._clip.png`."""
    return path.name.lower() in _LEFT_BY_OTHERS or path.name.startswith("._")


def _ignores_case(folder: Path) -> bool:
    """Return whether the folder's file system treats `A` and `a` as the same name."""
    for named in (folder, *folder.parents):
        swapped = named.name.swapcase()
        if swapped != named.name:
            with suppress(OSError):
                return named.samefile(named.with_name(swapped))
            return False
    return False
