"""A clip from standard input, kept in a temporary file: it is read more than once.

Tests: tests/media/decoding/test_stdin.py.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fairy.errors import MediaError

STDIN = Path("-")


@contextmanager
def clip_from(source: Path) -> Iterator[Path]:
    """Yield `source`, or for "-" a file with what comes on standard input, gone afterwards.

    Raises:
        MediaError: nothing comes.
    """
    if source != STDIN:
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="fairy-") as folder:
        path = Path(folder, "stdin")
        with path.open("wb") as file:
            # There is none where it was closed, as by `<&-`
            if sys.stdin is not None:
                shutil.copyfileobj(sys.stdin.buffer, file)
        if path.stat().st_size == 0:
            raise MediaError("-: nothing came on standard input: pipe a clip into the command")
        yield path
