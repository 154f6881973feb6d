"""Access a clip's pictures by number; seeking skips the ones that are not requested.

Seeking must not change a picture, so the cursor seeks only if `FrameIndex` knows every picture and
every key frame. If anything then differs from the index (another packet, damage, or interlaced
pictures, which the filter mixes with their neighbours), the cursor stops seeking and decodes the
clip from the start, which is always correct. Tests: tests/media/decoding/test_cursor.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from fairy.media.decoding.clock import AnyPacket
from fairy.media.decoding.container import open_video
from fairy.media.decoding.cropping import Cropping
from fairy.media.decoding.decode import Picture, Pictures, readable_packets
from fairy.media.decoding.deinterlace import deinterlaced
from fairy.media.decoding.index import Entry, FrameIndex, frame_index


class PictureCursor:
    """Context manager that moves forward through the pictures of a clip.

    Args:
        path: the file.
        stream_index: index of the video stream; None for the best.
        strict: raise MediaError when a picture cannot be decoded.

    Attributes:
        time_base: seconds per tick of `Picture.pts`; set once the file is open.
        cropping: the part of the pictures that is shown; set once the file is open.
    """

    time_base: Fraction
    cropping: Cropping

    def __init__(
        self, path: Path, stream_index: int | None = None, *, strict: bool = False
    ) -> None:
        self._path, self._stream_index, self._strict = path, stream_index, strict
        self._file = ExitStack()
        self._may_seek = True

    def __enter__(self) -> PictureCursor:
        """Open the file.

        Raises:
            MediaError: it cannot be opened, or has no such stream.
        """
        self._decode_from_start()
        self.cropping = Cropping.of(self._container, self._stream)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._file.close()

    def at(self, number: int) -> Picture | None:
        """Return picture `number`, or None past the end; each call needs a larger number."""
        if self._may_seek and number > self._next_number:
            self._approach(number)
        while True:
            try:
                picture = next(self._pictures, None)
            except _InexactError:
                self._may_seek = False
                self._decode_from_start()
                continue
            if picture is None:
                return None
            self._next_number += 1
            if self._next_number > number:
                return picture

    def log_damage(self) -> None:
        """Log warnings for lost or late pictures among those decoded so far."""
        self._decoding.log_damage()

    def _decode_from_start(self) -> None:
        self._file.close()
        self._container, self._stream = self._file.enter_context(
            open_video(self._path, self._stream_index)
        )
        assert self._stream.time_base is not None
        self.time_base = self._stream.time_base
        self._next_number = 0
        packets = readable_packets(self._container, self._stream)
        self._decoding = Pictures(self._stream, packets, strict=self._strict)
        self._pictures = deinterlaced(self._decoding)

    def _approach(self, number: int) -> None:
        """Seek to the last key frame before picture `number`, if that skips any picture."""
        index = frame_index(self._path, self._stream_index)
        entry = None if index is None else index.entry_before(number)
        if index is None or entry is None or entry.number <= self._next_number:
            return
        packets = _packets_from(self._container, self._stream, entry)
        first = next(packets, None)
        if first is None or first.pts != entry.pts:
            self._may_seek = False
            self._decode_from_start()
            return
        self._next_number = entry.number
        self._decoding = Pictures(self._stream, chain([first], packets), start=entry.pts)
        self._pictures = _checked(self._decoding, index, entry.number)


class _InexactError(Exception):
    """A picture may differ from the one that decoding from the start gives."""


def _packets_from(
    container: InputContainer, stream: VideoStream, entry: Entry
) -> Iterator[AnyPacket]:
    """Seek to an entry and yield the packets from there; none if the file is not seekable."""
    try:
        container.seek(entry.pts, stream=stream)
    except av.error.FFmpegError:
        return
    yield from readable_packets(container, stream)


def _checked(pictures: Pictures, index: FrameIndex, number: int) -> Iterator[Picture]:
    """Yield the pictures from `number` on; raise _InexactError if one differs from the index."""
    for picture in pictures:
        if (
            number >= len(index.times)
            or picture.pts != index.times[number][0]
            or picture.stands_in
            or picture.frame.interlaced_frame
            or pictures.is_damaged
        ):
            raise _InexactError
        yield picture
        number += 1
    if number < len(index.times):
        raise _InexactError
