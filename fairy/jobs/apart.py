"""Check, before any work is done, that no output would replace an input or another output.

Tests: tests/jobs/test_apart.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from itertools import combinations
from pathlib import Path
from types import MappingProxyType

from fairy.errors import SettingsError
from fairy.media.decoding.stdin import STDIN
from fairy.media.names import Identify, identities, is_inside, is_same, real


def check_apart(
    inputs: Mapping[str, Path], outputs: Mapping[str, Path], identify: Identify = identities
) -> None:
    """Check that no output is, contains, or is inside an input or another output.

    Args:
        inputs: files and folders to read, by their role in messages.
        outputs: files and folders to write, by their role in messages.
        identify: how to tell files apart.

    Raises:
        SettingsError: an output would replace something; the message says what, and what to do.
    """
    for role, path in outputs.items():
        if path == STDIN:
            raise SettingsError(f"-: {role} cannot go to standard output: name a file")
        if path.name in ("", ".."):
            raise SettingsError(f"{path}: {role} needs a name of its own, as in {path / 'out'}")
        for taken, other in inputs.items():
            if other != STDIN:
                _check_pair(role, path, taken, other, identify)
                _check_links(role, path, taken, other, identify)
    for (first, one), (second, other) in combinations(outputs.items(), 2):
        _check_pair(second, other, first, one, identify)


def clashes(
    jobs: Mapping[int, tuple[Mapping[str, Path], Mapping[str, Path]]],
    read: Mapping[str, Path] = MappingProxyType({}),
) -> dict[int, str]:
    """Return, by line, why a job cannot be in the same list as another; a list has no fixed order.

    Args:
        jobs: by line, (inputs, outputs) as for `check_apart`.
        read: files that are read for all jobs, such as the list, by their role in messages.
    """
    # Many jobs share their folders, and nothing is written meanwhile
    identify = cache(identities)
    writers: dict[object, int] = {}
    found: dict[int, str] = {}
    for line, (_, outputs) in jobs.items():
        for path in outputs.values():
            for known in identify(path):
                first = writers.setdefault(known, line)
                if first != line:
                    found.setdefault(line, f"{path}: line {first} writes it; give it another name")
        try:
            check_apart(read, outputs, identify)
        except SettingsError as error:
            found.setdefault(line, str(error))
    readers: dict[object, int] = {}
    for line, (inputs, outputs) in jobs.items():
        for path in outputs.values():
            for first in _others(path, writers, line, identify):
                found.setdefault(line, f"{path}: line {first} writes a folder that this is in")
        for path in inputs.values():
            readers |= dict.fromkeys(identify(path), line)
            for writer in _others(path, writers, line, identify):
                found[line] = _APART.format(path=path, first=writer, then=line)
                found[writer] = found[line]
    for line, (_, outputs) in jobs.items():
        for path in outputs.values():
            for reader in _others(path, readers, line, identify):
                found[line] = _APART.format(path=path, first=line, then=reader)
                found[reader] = found[line]
    return found


_APART = (
    "{path}: line {first} writes what line {then} reads: put them into two lists, and run one "
    "after the other"
)


def _others(path: Path, lines: Mapping[object, int], own: int, identify: Identify) -> set[int]:
    """Return the other lines that name `path` or a folder that contains it."""
    known = set().union(*map(identify, (path, *real(path).parents)))
    return {lines[one] for one in known & lines.keys()} - {own}


def _check_pair(role: str, path: Path, taken: str, other: Path, identify: Identify) -> None:
    if is_same(path, other, identify):
        raise SettingsError(f"{path}: {role} would replace {taken}; give it another name")
    if is_inside(other, path, identify):
        raise SettingsError(f"{path}: {taken} is in this folder; write {role} to another place")
    if is_inside(path, other, identify):
        raise SettingsError(
            f"{path}: {role} would be in {taken}, the folder {other}; write it to another place"
        )


def _check_links(role: str, path: Path, taken: str, folder: Path, identify: Identify) -> None:
    """Check that an output is not a link to one of the files in a folder."""
    # Unlike `Path.exists`, false of names that are too long
    if not os.path.exists(path) or not folder.is_dir():
        return
    if any(is_same(path, file, identify) for file in folder.iterdir()):
        raise SettingsError(f"{path}: {role} would replace a file of {taken}; name it otherwise")
