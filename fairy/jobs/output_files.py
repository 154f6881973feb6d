"""The ways to write one file of an edit: joined from segments, in one pass, or with frames between.

Shapes: images uint8 (H,W,3). Tests: tests/jobs/test_outputs.py, tests/jobs/test_copying.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fairy.interrupt import Cancel
from fairy.jobs.plan import Segment
from fairy.jobs.workspace import Workspace
from fairy.media.colours import Image
from fairy.media.encoding.copied import CopiedFrames
from fairy.media.encoding.segments import Piece, SegmentFile, SegmentWriter, join_packets
from fairy.media.info import Frame, VideoInfo
from fairy.media.interpolate import FrameDoubler, TimedImage
from fairy.media.write import VideoWriter

ChangeImage = Callable[[Image], Image]
"""Gives an image (H,W,3) of the same size."""


class SegmentedOutput:
    """An output that is encoded in segments, then joined."""

    def __init__(
        self,
        role: str,
        writer: VideoWriter,
        workspace: Workspace,
        mark: ChangeImage,
        copied: CopiedFrames | None = None,
    ) -> None:
        self._role, self._writer, self._workspace, self._mark = role, writer, workspace, mark
        self._copied = copied
        self._segment: SegmentWriter | None = None

    def write(self, segment: Segment, frame: Frame, image: Image) -> None:
        """Encode an image of a segment."""
        if self._segment is None:
            self._path = self._workspace.new_path(self._role, segment.first, segment.end)
            self._segment = SegmentWriter(self._path, self._writer.part_encoder())
        self._segment.write(self._mark(image), frame.pts, frame.time_base, frame.duration)

    def end_segment(self) -> None:
        """Finish the open segment, if any, and seal its file."""
        if self._segment is not None:
            self._segment.close()
            self._workspace.seal(self._path)
            self._segment = None

    def publish(self, spans: list[tuple[int, int]], cancel: Cancel) -> None:
        """Join the segments, given as (first frame, frame after the last), into the output."""
        copied = {} if self._copied is None else self._copied.pieces
        # A clip with fewer frames than its headers say lacks the last segments
        pieces: dict[tuple[int, int], Piece] = {
            span: SegmentFile(part.path, with_lengths=bool(copied))
            for part in self._workspace.parts(self._role)
            if (span := (part.first, part.end)) in spans
        }
        pieces |= copied
        with self._writer as writer:
            for packet in join_packets([pieces[span] for span in sorted(pieces)]):
                writer.copy(packet)
                cancel.check()

    def abandon(self) -> None:
        """Delete the open segment, if any."""
        if self._segment is not None:
            self._segment.abandon()
            self._segment = None


class WholeOutput:
    """An output that cannot be joined from segments."""

    def __init__(self, writer: VideoWriter, mark: ChangeImage) -> None:
        self._writer, self._mark = writer, mark
        self._is_open = False

    def write(self, segment: Segment, frame: Frame, image: Image) -> None:
        """Encode an image."""
        self._open()
        self._writer.write(self._mark(image), frame.pts, frame.time_base, frame.duration)

    def _open(self) -> None:
        if not self._is_open:
            self._writer.__enter__()
            self._is_open = True

    def end_segment(self) -> None:
        """Do nothing: there are no segments."""

    def publish(self, spans: list[tuple[int, int]], cancel: Cancel) -> None:
        """Move the output to its final path."""
        self._is_open = False
        self._writer.__exit__(None, None, None)

    def abandon(self) -> None:
        """Delete the output unless it was published."""
        if self._is_open:
            self._is_open = False
            self._writer.__exit__(RuntimeError, RuntimeError("abandoned"), None)


class InterpolatedOutput(WholeOutput):
    """An output with a further frame half-way between each two of a shot."""

    def __init__(self, writer: VideoWriter, mark: ChangeImage, info: VideoInfo) -> None:
        super().__init__(writer, mark)
        self._doubler = FrameDoubler(info)

    def write(self, segment: Segment, frame: Frame, image: Image) -> None:
        """Encode the images that are complete with this one."""
        self._write(self._doubler.add(frame, image, segment.shot))

    def publish(self, spans: list[tuple[int, int]], cancel: Cancel) -> None:
        """Encode the last images, and move the output to its final path."""
        self._write(self._doubler.end())
        super().publish(spans, cancel)

    def _write(self, images: Iterable[TimedImage]) -> None:
        self._open()
        for one in images:
            self._writer.write(self._mark(one.image), one.pts, one.time_base, one.duration)
