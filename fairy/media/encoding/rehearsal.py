"""Copy and transcode a clip's other tracks to nowhere, before any frame is edited.

What cannot be written, such as sound that changes its format in the middle in a way that the
encoder refuses, ends an edit before the work and not after it; what is lost is said then.
Tests: tests/media/encoding/test_rehearsal.py.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import av

from fairy.media.encoding import other_streams, tracks
from fairy.media.encoding.codecs import Container
from fairy.media.info import VideoInfo


def rehearse(info: VideoInfo, kind: Container) -> None:
    """Write all tracks of a clip but its pictures as a file of `kind`, and keep nothing."""
    with av.open(_Nowhere(), "w", format=kind.muxer) as file:
        carried = other_streams.CarriedStreams(info, file, kind)
        try:
            if file.streams:
                file.start_encoding()
                for packet in carried.until(None):
                    file.mux(packet)
        finally:
            carried.close()


class _Nowhere:
    """A file that keeps only its size."""

    def __init__(self) -> None:
        self._place = self._size = 0

    def write(self, data: bytes) -> int:
        self._place += len(data)
        self._size = max(self._size, self._place)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = start + offset
        return self._place

    def tell(self) -> int:
        return self._place


class Said(logging.Filter):
    """Lets each warning about tracks through once: the rehearsal gives those of the writing."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = set[str]()
        self._thread = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is new, or of another thread's clip."""
        if record.thread != self._thread:
            return True
        line = record.getMessage()
        is_new = line not in self._lines
        self._lines.add(line)
        return is_new

    @contextmanager
    def once(self) -> Iterator[None]:
        """Filter the warnings of this thread inside the `with` block."""
        self._thread = threading.get_ident()
        loggers = (other_streams.logger, tracks.logger)
        for logger in loggers:
            logger.addFilter(self)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeFilter(self)
