"""Names of files: whether two mean the same file, and names beside a file that are not too long.

One file can have many names: by a link, a relative path, or other letters where the file system
does not tell them apart. Tests: tests/media/test_names.py.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from contextlib import suppress
from pathlib import Path

from fairy.errors import MediaError

# Most file systems allow 255 bytes; some, such as eCryptfs, allow less than that
MAX_NAME_BYTES = 255
# What file managers leave in folders without being asked
_LEFT_BY_OTHERS = {".ds_store", "thumbs.db", "desktop.ini", ".directory"}


def real(path: Path) -> Path:
    """Return the absolute path without links, also of a file that does not exist.

    Raises:
        MediaError: no file can have this name.
    """
    try:
        return Path(os.path.realpath(path))
    except ValueError as error:
        raise MediaError(f"{str(path)!r}: not a name of a file: {error}") from error
    except FileNotFoundError as error:
        raise MediaError(f"{path}: the current folder was deleted: change to another") from error


def identities(path: Path) -> set[object]:
    """Return what a file or folder has in common with all its other names, if it exists or not."""
    found = real(path)
    known: set[object] = {found}
    with suppress(OSError):
        stat = found.stat()
        known.add((stat.st_dev, stat.st_ino))
    if _ignores_case(found.parent):
        known.add(unicodedata.normalize("NFC", str(found)).casefold())
    return known


def is_same(one: Path, other: Path) -> bool:
    """Return whether two names are, or would be, of the same file or folder."""
    return not identities(one).isdisjoint(identities(other))


def is_inside(inner: Path, outer: Path) -> bool:
    """Return whether `inner` is, or would be, in the folder `outer` or in one below it."""
    return any(is_same(parent, outer) for parent in real(inner).parents)


def beside(path: Path, ending: str, *, hidden: bool = False) -> Path:
    """Return a name beside `path`: its own with an `ending`, and a dot in front if `hidden`.

    A long name is cut and gets a hash, so that the file system takes it.

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


def is_left_by_others(path: Path) -> bool:
    """Return whether a file was left by a file manager, such as `.DS_Store` or `._clip.png`."""
    return path.name.lower() in _LEFT_BY_OTHERS or path.name.startswith("._")


def _ignores_case(folder: Path) -> bool:
    """Return whether a file system takes `A` and `a` for one name."""
    for named in (folder, *folder.parents):
        swapped = named.name.swapcase()
        if swapped != named.name:
            with suppress(OSError):
                return named.samefile(named.with_name(swapped))
            return False
    return False
