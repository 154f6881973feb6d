"""Deinterlace pictures with FFmpeg's bwdif, one output picture per input picture.

Pictures that are not marked as interlaced pass through unchanged.
Tests: tests/media/decoding/test_deinterlace.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Generic, Protocol, TypeVar

import av


class HasFrame(Protocol):
    """Any object with a decoded frame."""

    frame: av.VideoFrame


P = TypeVar("P", bound=HasFrame)


def deinterlaced(pictures: Iterable[P]) -> Iterator[P]:
    """Yield `pictures` in order, replacing each interlaced frame with a deinterlaced one."""
    field_filter: _Bwdif[P] | None = None
    for picture in pictures:
        if field_filter is not None and not field_filter.fits(picture.frame):
            yield from field_filter.finish()
            field_filter = None
        if field_filter is None and picture.frame.interlaced_frame:
            field_filter = _Bwdif(picture.frame)
        if field_filter is None:
            yield picture
        else:
            yield from field_filter.push(picture)
    if field_filter is not None:
        yield from field_filter.finish()


class _Bwdif(Generic[P]):
    """The bwdif filter for frames of one size and format; its output lags one frame behind."""

    def __init__(self, like: av.VideoFrame) -> None:
        self._kind = _kind(like)
        self._waiting: deque[P] = deque()
        self._num_in = 0
        self._graph = av.filter.Graph()
        source = self._graph.add_buffer(
            width=like.width, height=like.height, format=like.format, time_base=Fraction(1, 1000)
        )
        bwdif = self._graph.add("bwdif", "mode=send_frame:deint=interlaced")
        sink = self._graph.add("buffersink")
        source.link_to(bwdif)
        bwdif.link_to(sink)
        self._graph.configure()

    def fits(self, frame: av.VideoFrame) -> bool:
        return _kind(frame) == self._kind

    def push(self, picture: P) -> Iterator[P]:
        self._waiting.append(picture)
        frame = picture.frame
        before = frame.pts, frame.time_base
        # The filter needs increasing times; the picture keeps the clip's own.
        frame.pts, frame.time_base = self._num_in, Fraction(1, 1000)
        self._num_in += 1
        self._graph.push(frame)
        frame.pts, frame.time_base = before
        yield from self._pull()

    def finish(self) -> Iterator[P]:
        self._graph.push(None)
        yield from self._pull()

    def _pull(self) -> Iterator[P]:
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(frame, av.VideoFrame)
            picture = self._waiting.popleft()
            picture.frame = frame
            yield picture


def _kind(frame: av.VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name
