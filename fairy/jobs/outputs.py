"""Write an edit's clips: the result and, if requested, source and result side by side.

Segments are encoded into the job's workspace and joined at the end without re-encoding. GIFs and
PNGs cannot be joined, nor clips with added in-between frames: they are written in one pass over the
clip, and until then their edited frames stay in the workspace. Shapes: images uint8 (H,W,3).
Tests: tests/jobs/test_outputs.py.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np

from fairy.control.changes import Box, Weight, composite, is_nothing, resized
from fairy.interrupt import Cancel
from fairy.jobs.credentials import signature
from fairy.jobs.output_files import (
    ChangeImage,
    InterpolatedOutput,
    SegmentedOutput,
    WholeOutput,
)
from fairy.jobs.plan import EditPlan, Segment
from fairy.jobs.workspace import Workspace
from fairy.media.colours import Image
from fairy.media.contact_sheet import side_by_side
from fairy.media.enlarge import enlarge
from fairy.media.frames import resize
from fairy.media.info import Frame
from fairy.media.interpolate import doubled
from fairy.media.threads import WriteBehind
from fairy.media.upscale import Upscaler, upscaled
from fairy.media.write import VideoWriter

OnFrame = Callable[[int, Image], None]
"""Called with a frame's number in the clip and its image (H,W,3)."""


class SegmentOutputs(AbstractContextManager["SegmentOutputs"], Protocol):
    """Receives the edited frames of segments; leaving it finishes what was written."""

    needs_source: bool

    def missing(self) -> list[Segment]:
        """Return the segments to edit and write, in order."""

    def write(
        self, segment: Segment, index: int, frame: Frame, image: Image, weight: Weight = 1.0
    ) -> None:
        """Take the edited `image` (H,W,3) of frame `index`; `weight` is how much may change."""


class KeptFrames:
    """Leaves edited frames in the workspace; one process later writes them in one pass."""

    needs_source = False

    def __init__(self, plan: EditPlan, workspace: Workspace) -> None:
        self._plan, self._workspace = plan, workspace

    def missing(self) -> list[Segment]:
        """Return the segments with frames that are not edited yet."""
        kept = [range(part.first, part.end) for part in self._workspace.parts("frames")]
        done = {index for frames in kept for index in frames}
        return [one for one in self._plan.segments if not done.issuperset(one.indices)]

    def write(
        self, segment: Segment, index: int, frame: Frame, image: Image, weight: Weight = 1.0
    ) -> None:
        """Do nothing: the job keeps every batch in the workspace."""

    def __enter__(self) -> KeptFrames:
        """Begin."""
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing: all frames are on disk."""


class ClipOutputs:
    """Encodes segments in a thread while it is entered; `join` then writes the final files.

    Args:
        plan: the edit.
        size: (height, width) of the finished frames, before `upscaler` enlarges them.
        comment: how the files were made, for their metadata; None for no comment.
        workspace: folder of the segments.
        upscaler: enlarges the finished frames, if asked for.
        on_frame: called with each frame's number and the frame, from the encoding thread.
        mark: hides a watermark in an image; the last step before it is encoded.

    Attributes:
        size: (height, width) of the result.
        needs_source: whether an output uses the source's frames.
        in_segments: whether segments are encoded separately and then joined.
    """

    def __init__(
        self,
        plan: EditPlan,
        size: tuple[int, int],
        comment: str | None,
        workspace: Workspace,
        upscaler: Upscaler | None = None,
        on_frame: OnFrame | None = None,
        mark: ChangeImage | None = None,
    ) -> None:
        self._plan, self._finished_size, self._comment = plan, size, comment
        self._workspace, self._upscaler = workspace, upscaler
        self._on_frame = on_frame or (lambda index, image: None)
        self.size = size if upscaler is None else upscaled(size, upscaler.factor)
        self._sign, mark = signature(plan), mark or (lambda image: image)
        self._encoder, self._encoded_s = WriteBehind(self._encode), 0.0
        writers = {"result": self._writer("result", self.size)}
        config, in_compare = plan.request.config, plan.request.compare is not None
        self._enlarger = config.enlarge
        self._crop = plan.changes.crop
        guided = config.keep_size and config.enlarge == "guided"
        self.needs_source = in_compare or guided or not plan.changes.everything
        if in_compare:
            blank = np.zeros((plan.info.height, plan.info.width, 3), np.uint8)
            height, width, _ = self._pair(blank, resize(blank, size)).shape
            writers["compare"] = self._writer("compare", (height, width))
        joinable = all(writer.in_segments for writer in writers.values())
        self.in_segments = joinable and config.interpolate is None
        for writer in writers.values():
            if writer.in_segments:
                writer.try_encoder()
        self._writers = tuple(writers.values())
        self._outputs: dict[str, SegmentedOutput | WholeOutput] = {
            role: SegmentedOutput(role, writer, workspace, mark, plan.copied)
            if self.in_segments
            else WholeOutput(writer, mark)
            for role, writer in writers.items()
        }
        if config.interpolate is not None:
            self._outputs["result"] = InterpolatedOutput(writers["result"], mark, plan.info)

    def try_tracks(self) -> None:
        """Copy and transcode the clip's sound and subtitles to nowhere, so that errors come first.

        Raises:
            MediaError: a track cannot be written.
        """
        for writer in self._writers:
            writer.try_tracks()

    def missing(self) -> list[Segment]:
        """Return the segments to edit and write, in order.

        Outputs that cannot be joined need all segments; finished frames come from the workspace.
        """
        segments = list(self._plan.segments)
        if not self.in_segments:
            return segments
        encoded = [
            {(part.first, part.end) for part in self._workspace.parts(role)}
            for role in self._outputs
        ]
        done = set.intersection(*encoded)
        return [one for one in segments if (one.first, one.end) not in done]

    def __enter__(self) -> ClipOutputs:
        """Start the encoding thread."""
        self._encoded_s += self._encoder.busy_s
        self._encoder = WriteBehind(self._encode)
        self._encoder.__enter__()
        return self

    def write(
        self, segment: Segment, index: int, frame: Frame, image: Image, weight: Weight = 1.0
    ) -> None:
        """Write the edited `image` (H,W,3), of any size, for frame `index` of a segment.

        Call this for a segment's frames in order, one segment after another. `weight` is how much
        of the frame may change. A thread encodes the frames; its errors are raised by a later call
        or at the end.
        """
        self._encoder.put((segment, index, frame, image, weight))

    @property
    def busy_s(self) -> float:
        """Seconds that the thread has spent encoding."""
        return self._encoded_s + self._encoder.busy_s

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish writing; after an exception, keep only complete segments."""
        try:
            self._encoder.__exit__(kind, error, trace)
            if kind is None:
                # Still open if the clip has fewer frames than its headers say
                self._end_segment()
        except BaseException:
            self._abandon()
            raise
        if kind is not None:
            self._abandon()

    def join(self, cancel: Cancel | None = None) -> None:
        """Join the segments of every output and move it to its final path.

        `cancel` stops this, and is checked after each packet.
        """
        spans = [(one.first, one.end) for one in self._plan.segments]
        try:
            for output in self._outputs.values():
                output.publish(spans, cancel or Cancel())
        finally:
            self._abandon()

    def _encode(self, item: tuple[Segment, int, Frame, Image, Weight]) -> None:
        segment, index, frame, edited, weight = item
        image = finished(
            frame.image,
            edited,
            weight,
            self._finished_size,
            method=self._enlarger,
            crop=self._crop,
            by_hand=self._plan.keyframes.picture(index),
        )
        if self._upscaler is not None:
            image = self._upscaler(image)
        self._outputs["result"].write(segment, frame, image)
        self._on_frame(index, image)
        if "compare" in self._outputs:
            self._outputs["compare"].write(segment, frame, self._pair(frame.image, image))
        if index == segment.end - 1:
            self._end_segment()
            if self.in_segments:
                self._workspace.drop_kept(segment.indices)

    def _end_segment(self) -> None:
        for output in self._outputs.values():
            output.end_segment()

    def _abandon(self) -> None:
        for output in self._outputs.values():
            output.abandon()

    def _pair(self, source: Image, edited: Image) -> Image:
        return side_by_side(source, edited, ("source", self._plan.request.instruction))

    def _writer(self, role: str, size: tuple[int, int]) -> VideoWriter:
        request = self._plan.request
        path = request.out if role == "result" else request.compare
        assert path is not None
        interpolated = role == "result" and request.config.interpolate is not None

        def when_whole(part: Path) -> None:
            self._sign(part, path)
            self._workspace.remember(part)

        return VideoWriter(
            path,
            info=doubled(self._plan.info) if interpolated else self._plan.info,
            height=size[0],
            width=size[1],
            overwrite=request.overwrite or self._workspace.wrote(path),
            media=request.config,
            comment=self._comment,
            part=self._workspace.part_of(role, path),
            when_whole=when_whole,
            copied=self._plan.copied,
        )


def finished(
    source: Image,
    edited: Image,
    weight: Weight,
    size: tuple[int, int],
    *,
    method: str,
    crop: Box | None = None,
    by_hand: Image | None = None,
) -> Image:
    """Return the output frame: the edit at full size, and the source where nothing may change.

    Args:
        source: uint8 (H,W,3); of any size if it is not used.
        edited: uint8 (h,w,3), at the model's size; of any size if `weight` is 0.
        weight: how much of the frame may change.
        size: (height, width) of the result.
        method: how to enlarge.
        crop: the part of the frame that was edited.
        by_hand: the whole frame as a person edited it; used instead of `edited`.
    """
    if is_nothing(weight):
        return resize(source, size)
    if by_hand is not None:
        image = resize(by_hand, size)
    elif crop is None:
        image = enlarge(source, edited, size, method=method)
    else:
        image, part = source.copy(), source[crop.slices]
        image[crop.slices] = enlarge(part, edited, part.shape[:2], method=method)
    if isinstance(weight, float) and weight == 1:
        return image
    return composite(resize(source, size), image, resized(weight, size))
