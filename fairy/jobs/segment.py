"""Edit a clip segment by segment: read a batch, edit it, keep it, write it.

Threads decode and encode frames (H,W,3) while the model runs (`fairy.media.threads`); the clip is
never in memory as a whole. Tests: tests/jobs/test_segment.py, tests/jobs/test_shots.py.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby, islice

import numpy as np
import torch
from torch import Tensor

from fairy.control.changes import Weight, crop_of, is_nothing
from fairy.editors.base import Anchor, EditInput, Editor, EditSession, UsedSettings
from fairy.editors.blend import BlendedSession
from fairy.editors.chain import begin_all
from fairy.editors.images import Frame as Picture
from fairy.editors.timing import Stopwatch
from fairy.interrupt import Cancel, Progress, report_picture, report_stage
from fairy.jobs.outputs import SegmentOutputs
from fairy.jobs.plan import EditPlan, Segment
from fairy.jobs.shared_latents import SharedClip
from fairy.jobs.workspace import Workspace
from fairy.media.colours import Image
from fairy.media.frames import fit_size
from fairy.media.info import Frame, VideoInfo
from fairy.media.read import frames_at, read_frames
from fairy.media.shots import Shot
from fairy.media.threads import ReadAhead
from fairy.models.instructions import read_instruction
from fairy.settings import EditConfig

Batch = list[tuple[int, tuple[Frame, Weight]]]
"""Frames with their numbers in the clip, and how much of each may change."""

# Frames read together where none of a shot is edited
UNEDITED_BATCH = 8


class ClipJob:
    """The edit of one planned clip with one loaded editor; `close` it for `used` and the times.

    Args:
        plan: the edit.
        editor: the model.
        workspace: for finished frames and segments.
        watch: counts the seconds of "read", "anchors" and "edit".
        progress: called with (frames done, frames of the clip).
        cancel: stops the edit when set; frames in progress are finished and kept.
        shared: the clip's latents, if other edits need them too.

    Attributes:
        size: (height, width) at which the model works.
        used: what the settings came to so far; None before the first session has ended.
        model_seconds: of the sessions that ended, by stage.
        decoding_s: seconds that decoding took, beside the edit.
    """

    def __init__(
        self,
        plan: EditPlan,
        editor: Editor,
        workspace: Workspace,
        *,
        watch: Stopwatch | None = None,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
        shared: SharedClip | None = None,
    ) -> None:
        self._plan, self._editor, self._workspace = plan, editor, workspace
        self._config = plan.request.config
        self._watch, self._cancel = watch or Stopwatch(), cancel or Cancel()
        self._progress, self._shared = progress or (lambda done, total: None), shared
        self._num_done = workspace.num_done + plan.num_copied
        self._is_compiled = False
        request = plan.request
        self._instructions = {
            one.text: read_instruction(one.text, editor.defaults, force=request.force, quiet=True)
            for one in plan.stretches
            if one.text
        }
        self.size = model_size(plan.info, self._config, editor)
        self.used: UsedSettings | None = None
        self.model_seconds: Counter[str] = Counter()
        self.decoding_s = 0.0
        self._shot: Shot | None = None
        self._session: EditSession | None = None
        self._open = ExitStack()

    def __enter__(self) -> ClipJob:
        """Begin without a session."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the session of the last shot."""
        self.close()

    def edit(self, segments: Sequence[Segment], outputs: SegmentOutputs) -> None:
        """Edit `segments`, any of the plan's in the order of the clip, and hand them to `outputs`.

        The session of the last shot stays open for segments that follow. If there is none yet and
        no frame to edit, the clip's last anchors are edited, for `used`.
        """
        self._progress(self._num_done, self._plan.info.num_frames)
        shots = by_shot(segments)
        # The first shot may be the one whose session is open
        is_open = bool(shots) and shots[0][0].shot == self._shot
        fresh = shots[is_open:]
        anchors = self.sources([index for of_shot in fresh for index in of_shot[0].anchors])
        with ReadAhead(self._frames(segments, outputs)) as frames:
            for of_shot in shots:
                session = self._session_of(of_shot[0], anchors)
                for segment in of_shot:
                    self.edit_segment(session, segment, frames, outputs)
        self.decoding_s += frames.busy_s
        if self._session is None and self.used is None:
            last = [one for one in self._plan.segments if one.anchors][-1]
            self._session_of(last, self.sources(last.anchors))

    def close(self) -> None:
        """End the session that is open, and add up what it used."""
        if self._session is not None:
            self._note(self._session)
        self._shot = self._session = None
        self._open.close()

    def _session_of(self, segment: Segment, anchors: Iterator[Picture]) -> EditSession | None:
        """Return the session of a segment's shot: the open one, or a new one.

        None where nothing of the shot changes.
        """
        if not segment.anchors:
            return None
        if self._session is None or segment.shot != self._shot:
            self.close()
            self._session = self._open.enter_context(self.begin(segment, anchors))
            self._shot = segment.shot
        return self._session

    def edit_segment(
        self,
        session: EditSession | None,
        segment: Segment,
        frames: Iterator[tuple[Frame, Weight]],
        outputs: SegmentOutputs,
    ) -> None:
        """Edit and write one segment, whose frames are the next in `frames`."""
        kept = self._workspace.kept(segment.indices)
        numbered = zip(segment.indices, frames, strict=False)
        report_stage(self._progress, "compiling" if self._compiles(session) else "frames")
        while batch := self._read(numbered, session.batch_size if session else UNEDITED_BATCH):
            images = self._edited(session, batch, kept)
            for (index, (frame, weight)), image in zip(batch, images, strict=True):
                outputs.write(segment, index, frame, image, weight)
                report_picture(self._progress, index, image)
                self._num_done += index not in kept
                self._progress(self._num_done, self._plan.info.num_frames)
            if self._compiles(session):
                self._is_compiled = True
                report_stage(self._progress, "frames")

    def _compiles(self, session: EditSession | None) -> bool:
        """Return whether the next batch to edit has to wait until the model is compiled."""
        return session is not None and self._config.compile and not self._is_compiled

    def begin(
        self, segment: Segment, sources: Iterator[Picture], *, keep_anchors: bool = False
    ) -> EditSession:
        """Edit the anchors of a segment's shot, or read the kept ones; return the session.

        Args:
            segment: any segment of the shot.
            sources: an iterator whose next items are the anchors' pictures.
            keep_anchors: keep the anchors in the workspace for later sessions.
        """
        session = self._begin(segment, sources, keep_anchors=keep_anchors)
        before = self._plan.before(segment)
        if before is None or not self._plan.stretch_of(segment).text:
            return session

        def begin_before() -> EditSession:
            return self._begin(before, self.sources(before.anchors), keep_anchors=keep_anchors)

        return BlendedSession(session, begin_before, self._plan.blended)

    def _begin(
        self, segment: Segment, sources: Iterator[Picture], *, keep_anchors: bool
    ) -> EditSession:
        """Return the session of a segment's shot, without what it is blended with."""
        with self._watch("read"):
            pictures = list(islice(sources, len(segment.anchors)))
            weights = self._plan.changes.weights(segment.anchors)
            anchors = [
                Anchor(index, picture, self._by_hand(index), self.mask(weight))
                for index, picture, weight in zip(segment.anchors, pictures, weights, strict=True)
            ]
        store = self._workspace.anchors(segment.shot[0])
        fresh = self._workspace.new_path("anchors", segment.shot[0])
        stretch, config = self._plan.text_of(segment), self._config
        if stretch.strength is not None:
            config = replace(config, strength=stretch.strength)
        report_stage(self._progress, "anchors")
        with self._watch("anchors"):
            session = begin_all(
                self._editor,
                self._instructions[stretch.text],
                anchors,
                config,
                size=self.size,
                anchor_store=store or (fresh if keep_anchors else None),
            )
        if fresh.exists():
            self._workspace.seal(fresh)
        return session

    def sources(self, indices: Sequence[int]) -> Iterator[Picture]:
        """Return what the editor takes for the frames at `indices`, which grow, one by one."""
        if self._shared is not None:
            return map(self._shared.latents, indices)
        frames = frames_at(self._plan.request.source, indices, self._config)
        return (self.cropped(frame.image) for frame in frames)

    def _by_hand(self, index: int) -> Image | None:
        """Return what the model sees of a person's picture of frame `index`, if there is one."""
        picture = self._plan.keyframes.picture(index)
        return None if picture is None else self.cropped(picture)

    def cropped(self, image: Image) -> Image:
        """Return the part of a frame uint8 (H,W,3) that the model sees."""
        crop = self._plan.changes.crop
        return image if crop is None else np.ascontiguousarray(image[crop.slices])

    def mask(self, weight: Weight) -> Tensor | None:
        """Return the mask that the model sees, of a frame's weight; None for the whole frame."""
        if isinstance(weight, float) or self._config.mask_strength == 0:
            return None
        crop = self._plan.changes.crop
        return torch.from_numpy(weight if crop is None else weight[crop.slices].copy())

    def _frames(
        self, segments: Sequence[Segment], outputs: SegmentOutputs
    ) -> Iterator[tuple[Frame, Weight]]:
        """Yield the frames of `segments` with their weights; pictures if anything needs them."""
        for first, end in runs(segments):
            # The number of damaged frames is reported when reading past the clip's last frame
            stop = sys.maxsize if end == self._plan.info.num_frames else end
            if self._shared is None or (outputs.needs_source and not self._shared.has_pictures):
                path = self._plan.request.source
                frames = read_frames(path, self._config, start=first, stop=stop)
            else:
                frames = self._shared.frames(first, stop)
            # The frames first: they report at their end
            yield from zip(frames, self._plan.changes.weights(range(first, end)), strict=False)

    def _read(self, numbered: Iterator[tuple[int, tuple[Frame, Weight]]], count: int) -> Batch:
        with self._watch("read"):
            return list(islice(numbered, count))

    def _edited(
        self, session: EditSession | None, batch: Batch, kept: dict[int, Image]
    ) -> list[Image]:
        """Return the edited frames of a batch, after keeping them in the workspace.

        Frames in which nothing changes are not edited: theirs are blank and never looked at.
        """
        blank = np.zeros((*self.size, 3), np.uint8)
        todo = [
            EditInput(index, self._source(index, frame), self.mask(weight))
            for index, (frame, weight) in batch
            if index not in kept and not is_nothing(weight)
        ]
        if all(index in kept for index, _ in batch):
            return [kept[index] for index, _ in batch]
        with self._cancel.held(), self._watch("edit"):
            edited = session.edit(todo) if session is not None and todo else ()
            done = kept | dict(zip((one.index for one in todo), edited, strict=True))
            images = [done.get(index, blank) for index, _ in batch]
            self._workspace.keep(batch[0][0], np.stack(images))
        self._cancel.check()
        return images

    def _source(self, index: int, frame: Frame) -> Picture:
        return self.cropped(frame.image) if self._shared is None else self._shared.latents(index)

    def _note(self, session: EditSession) -> None:
        """Add a finished session to `used` (the smallest batch) and `model_seconds`."""
        used, before = session.used, self.used
        smallest = min(used.frame_batch_size, before.frame_batch_size) if before else None
        self.used = replace(
            used,
            anchor_indices=self._plan.anchor_indices,
            frame_batch_size=smallest or used.frame_batch_size,
        )
        self.model_seconds.update(session.timing)


def model_size(info: VideoInfo, config: EditConfig, editor: Editor) -> tuple[int, int]:
    """Return the (height, width) at which the editor works on a clip."""
    size, crop = editor.defaults.fill(config).size, crop_of(config, (info.height, info.width))
    assert size is not None
    if crop is None:
        return fit_size(info.height, info.width, size=size, multiple=editor.grid)
    # Not more pixels than the region has, and not fewer than a model can draw with
    size = min(size, max(crop.height, crop.width, size // 2))
    return fit_size(crop.height, crop.width, size=size, multiple=editor.grid)


def by_shot(segments: Iterable[Segment]) -> list[list[Segment]]:
    """Return segments in the clip's order as one list per shot."""
    return [list(of_shot) for _, of_shot in groupby(segments, key=lambda one: one.shot)]


def runs(segments: Sequence[Segment]) -> list[tuple[int, int]]:
    """Return the runs of segments without gaps: (first frame, frame after the last)."""
    spans: list[tuple[int, int]] = []
    for segment in segments:
        if spans and spans[-1][1] == segment.first:
            spans[-1] = (spans[-1][0], segment.end)
        else:
            spans.append((segment.first, segment.end))
    return spans
