"""The clips that an edit writes: the result and, if asked for, source and result side by side.

They are written segment by segment into the job's workspace and joined at the end. GIFs and
folders of PNGs are written in one go instead; their edited frames stay in the workspace till then.
Shapes: images uint8 (H,W,3). Tests: tests/jobs/test_outputs.py.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np

from fairy.jobs.plan import EditPlan
from fairy.jobs.workspace import Workspace
from fairy.media.colours import Image
from fairy.media.contact_sheet import side_by_side
from fairy.media.encoding.segments import SegmentWriter, join_packets
from fairy.media.frames import resize
from fairy.media.info import Frame
from fairy.media.threads import WriteBehind
from fairy.media.write import VideoWriter

# A key frame every so often costs little: H.264 sets one after 250 frames of its own accord.
SEGMENT_FRAMES = 240


class ClipOutputs:
    """Writes edited frames as a context manager; the files appear whole, or not at all.

    Args:
        plan: where to write.
        size: (height, width) of the result.
        comment: what the files shall say of how they were made; None for nothing.
        workspace: holds the segments; the first frame to write is its `num_encoded`.
    """

    def __init__(
        self, plan: EditPlan, size: tuple[int, int], comment: str | None, workspace: Workspace
    ) -> None:
        self._plan, self._size, self._comment = plan, size, comment
        self._workspace = workspace
        self._encoder = WriteBehind(self._encode)
        writers = {"result": self._writer("result", plan.out, size)}
        if plan.compare is not None:
            blank = np.zeros((plan.info.height, plan.info.width, 3), np.uint8)
            height, width, _ = self._pair(blank, resize(blank, size)).shape
            writers["compare"] = self._writer("compare", plan.compare, (height, width))
        in_segments = all(writer.in_segments for writer in writers.values())
        for writer in writers.values():
            if writer.in_segments:
                writer.try_encoder()
        self._outputs = {
            role: SegmentedOutput(role, writer, workspace) if in_segments else WholeOutput(writer)
            for role, writer in writers.items()
        }
        self._segment_frames = SEGMENT_FRAMES if in_segments else plan.info.num_frames
        self._first = self._next = workspace.num_encoded

    def __enter__(self) -> ClipOutputs:
        """Start to encode."""
        self._encoder.__enter__()
        return self

    def write(self, frame: Frame, image: Image) -> None:
        """Write the edited `image` (H,W,3), of any size, at the time of its source `frame`.

        A thread encodes it; what goes wrong there is raised here, at a later frame or at the end.
        """
        self._encoder.put((frame, image))

    @property
    def busy_s(self) -> float:
        """Seconds that the thread has spent encoding."""
        return self._encoder.busy_s

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Publish the files; when the block was left by an exception, keep finished segments."""
        try:
            self._encoder.__exit__(kind, error, trace)
            if kind is None:
                self._end_segment()
                for output in self._outputs.values():
                    output.publish()
        finally:
            for output in self._outputs.values():
                output.abandon()

    def _encode(self, pair: tuple[Frame, Image]) -> None:
        frame, image = pair[0], resize(pair[1], self._size)
        end = min(self._first + self._segment_frames, self._plan.info.num_frames)
        self._outputs["result"].write(frame, image, self._first, end)
        if "compare" in self._outputs:
            beside = self._pair(frame.image, image)
            self._outputs["compare"].write(frame, beside, self._first, end)
        self._next += 1
        if self._next == end:
            self._end_segment()
            self._workspace.drop_frames(self._workspace.num_encoded)
            self._first = end

    def _end_segment(self) -> None:
        for output in self._outputs.values():
            output.end_segment()

    def _pair(self, source: Image, edited: Image) -> Image:
        return side_by_side(source, edited, ("source", self._plan.instruction))

    def _writer(self, role: str, path: Path, size: tuple[int, int]) -> VideoWriter:
        return VideoWriter(
            path,
            info=self._plan.info,
            height=size[0],
            width=size[1],
            overwrite=self._plan.overwrite or self._workspace.wrote(path),
            media=self._plan.media,
            comment=self._comment,
            part=self._workspace.part_of(role, path),
            when_whole=self._workspace.remember,
        )


class SegmentedOutput:
    """A video that is written in segments."""

    def __init__(self, role: str, writer: VideoWriter, workspace: Workspace) -> None:
        self._role, self._writer, self._workspace = role, writer, workspace
        self._segment: SegmentWriter | None = None

    def write(self, frame: Frame, image: Image, first: int, end: int) -> None:
        """Add an image to the segment of frames `first` to `end` - 1."""
        if self._segment is None:
            path = self._workspace.segment_path(self._role, first, end)
            self._segment = SegmentWriter(path, self._writer.part_encoder())
        self._segment.write(image, frame.pts, frame.time_base, frame.duration)

    def end_segment(self) -> None:
        """Put the segment on the disk, if one is begun."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def publish(self) -> None:
        """Join all segments to the output."""
        with self._writer as writer:
            for packet in join_packets(self._workspace.segments(self._role)):
                writer.copy(packet)

    def abandon(self) -> None:
        """Drop the segment that is not finished, if any."""
        if self._segment is not None:
            self._segment.abandon()


class WholeOutput:
    """An output that cannot be joined from segments."""

    def __init__(self, writer: VideoWriter) -> None:
        self._writer = writer
        self._is_open = False

    def write(self, frame: Frame, image: Image, first: int, end: int) -> None:
        """Add an image."""
        if not self._is_open:
            self._writer.__enter__()
            self._is_open = True
        self._writer.write(image, frame.pts, frame.time_base, frame.duration)

    def end_segment(self) -> None:
        """Do nothing: there are no segments."""

    def publish(self) -> None:
        """Put the output in its place."""
        self._is_open = False
        self._writer.__exit__(None, None, None)

    def abandon(self) -> None:
        """Remove what was begun, if it was not published."""
        if self._is_open:
            self._is_open = False
            self._writer.__exit__(RuntimeError, RuntimeError("abandoned"), None)
