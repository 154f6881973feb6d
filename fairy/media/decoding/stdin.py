"""Save a clip from standard input to a temporary file, because it is read more than once.

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
    """Yield `source`; for "-", yield a temporary file with the contents of standard input.

    Raises:
        MediaError: standard input is empty.
    """
    if source != STDIN:
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="fairy-") as folder:
        path = Path(folder, "stdin")
        with path.open("wb") as file:
            # None if standard input was closed, for example with `<&-`
            if sys.stdin is not None:
                shutil.copyfileobj(sys.stdin.buffer, file)
        if path.stat().st_size == 0:
            raise MediaError("-: nothing came on standard input: pipe a clip into the command")
        yield path
