"""The edit of one clip, from its frames to its outputs, shot by shot.

Frames (H,W,3) are read, edited and written as a stream, decoding and encoding beside the model
(`fairy.media.threads`). Every batch is kept in the workspace as soon as it is edited.
Tests: tests/jobs/test_edit.py, tests/jobs/test_resume.py, tests/jobs/test_shots.py.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from fairy.editors.base import Anchor, EditInput, EditSession
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.interrupt import Cancel, Progress
from fairy.jobs.outputs import ClipOutputs
from fairy.jobs.plan import EditPlan
from fairy.jobs.report import EditReport, Stopwatch, provenance
from fairy.jobs.shared_latents import SharedClip
from fairy.jobs.workspace import Workspace
from fairy.media.colours import Image
from fairy.media.frames import fit_size
from fairy.media.info import Frame
from fairy.media.read import frames_at, read_frames
from fairy.media.threads import ReadAhead
from fairy.settings import EditConfig
from fairy.system import peak_memory_bytes

ModelInput = Image | Tensor
"""A picture uint8 (H,W,3), or its latents (C,h,w)."""


class ClipJob:
    """The edit of one planned clip with one loaded pipeline.

    Args:
        plan: what to read and write.
        config: settings of the edit.
        pipe: the model.
        watch: counts the seconds of read, anchors, edit and write.
        workspace: holds what is done.
        cancel: stops the edit when set; frames in work are finished and kept.
        shared: the clip's latents, if another edit needs them too.
    """

    def __init__(
        self,
        plan: EditPlan,
        config: EditConfig,
        pipe: FairyPipeline,
        watch: Stopwatch,
        workspace: Workspace,
        cancel: Cancel,
        shared: SharedClip | None = None,
    ) -> None:
        self._plan, self._config, self._pipe, self._watch = plan, config, pipe, watch
        self._workspace, self._cancel, self._shared = workspace, cancel, shared
        # Frames that the pipeline has and the encoder has not yet, in order: one batch.
        self._pending: deque[Frame] = deque()
        self._session: EditSession | None = None
        self._model_seconds: Counter[str] = Counter()
        info = plan.info
        self._model_size = fit_size(
            info.height,
            info.width,
            size=config.size or pipe.defaults.size,
            multiple=pipe.vae_scale_factor,
        )

    def run(self, progress: Progress) -> EditReport:
        """Edit and write every frame that is not done; the outputs appear when all are written."""
        info, device = self._plan.info, self._pipe.device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        num_kept = self._workspace.num_done
        size = (info.height, info.width) if self._config.keep_size else self._model_size
        with ReadAhead(self._source(self._workspace.num_encoded)) as frames:
            outputs = self._write(frames, size, num_kept, progress)
        codec_seconds = {"read": round(frames.busy_s, 4), "write": round(outputs.busy_s, 4)}
        return self._report(size, num_kept, codec_seconds)

    def some(self, indices: Sequence[int]) -> Iterator[tuple[Image, Image]]:
        """Edit the frames at `indices` alone; yield source and result, uint8 (H,W,3), in order.

        The anchors of their shots are kept in the workspace.
        """
        plan = self._plan
        frames = frames_at(plan.info.path, set(indices), plan.media)
        for shot, anchors in zip(plan.shots, plan.anchors, strict=True):
            wanted = [index for index in indices if shot[0] <= index < shot[1]]
            if wanted:
                images = list(islice(self._inputs_at(anchors), len(anchors)))
                store = self._workspace.anchors_path(shot[0])
                for batch in self._stream(anchors, images, frames, wanted, store):
                    yield from ((self._pending.popleft().image, image) for image in batch)

    def _source(self, start: int) -> Iterator[Frame]:
        """Return the frames from `start` on, with pictures where they are needed."""
        if self._shared is not None and self._plan.compare is None:
            return self._shared.frames(start)
        return read_frames(self._plan.info.path, self._plan.media, start=start)

    def _write(
        self, frames: Iterator[Frame], size: tuple[int, int], num_kept: int, progress: Progress
    ) -> ClipOutputs:
        """Hand every frame to the encoders; return them, their files published."""
        plan, num_done = self._plan, num_kept
        progress(num_done, plan.info.num_frames)
        comment = provenance(plan.instruction, self._config) if plan.media.provenance else None
        with self._watch("write"), ClipOutputs(plan, size, comment, self._workspace) as outputs:
            for image in self._workspace.kept_frames():
                outputs.write(next(frames), image)
            for batch in self._edited(frames, num_kept):
                for image in batch:
                    outputs.write(self._pending.popleft(), image)
                    num_done += 1
                    progress(num_done, plan.info.num_frames)
        return outputs

    def _edited(self, frames: Iterator[Frame], first: int) -> Iterator[Image]:
        """Edit the frames from `first` on, shot by shot; yield uint8 (F,H,W,3) in order.

        The last shot's anchors are edited even if no frame of it is left, for the report.
        """
        plan = self._plan
        left = [shot for shot in plan.shots if shot[1] > first] or [plan.shots[-1]]
        anchors = [plan.anchors[plan.shots.index(shot)] for shot in left]
        anchor_inputs = self._inputs_at([index for indices in anchors for index in indices])
        for shot, indices in zip(left, anchors, strict=True):
            with self._watch("read"):
                images = list(islice(anchor_inputs, len(indices)))
            start = max(first, shot[0])
            with self._watch("anchors"):
                store = self._workspace.anchors_path(shot[0])
                batches = self._stream(
                    indices,
                    images,
                    frames,
                    range(start, shot[1]),
                    store if store.exists() else None,
                )
            yield from self._kept(batches, start)
            assert self._session is not None
            self._model_seconds.update(self._session.timing)

    def _inputs_at(self, indices: Sequence[int]) -> Iterator[ModelInput]:
        """Return what the model takes for the frames at `indices`, which grow, one by one."""
        if self._shared is not None:
            return map(self._shared.latents, indices)
        found = frames_at(self._plan.info.path, set(indices), self._plan.media)
        return (frame.image for frame in found)

    def _stream(
        self,
        anchor_indices: tuple[int, ...],
        anchor_images: list[ModelInput],
        frames: Iterator[Frame],
        frame_indices: Sequence[int],
        anchor_store: Path | None,
    ) -> Iterator[Image]:
        """Edit the anchors of a shot; return its edited frames as batches."""
        self._session = self._pipe.begin(
            self._plan.instruction,
            [Anchor(*anchor) for anchor in zip(anchor_indices, anchor_images, strict=True)],
            self._config,
            size=self._model_size,
            anchor_store=anchor_store,
        )
        return self._batches(self._session, frames, frame_indices)

    def _batches(
        self, session: EditSession, frames: Iterator[Frame], frame_indices: Sequence[int]
    ) -> Iterator[Image]:
        """Edit frames in batches as they are asked for."""
        sources = self._inputs(frames, frame_indices)
        inputs = (EditInput(*one) for one in zip(frame_indices, sources, strict=False))
        with session:
            while batch := list(islice(inputs, session.batch_size)):
                yield session.edit(batch)

    def _kept(self, batches: Iterator[Image], first: int) -> Iterator[Image]:
        """Pass the batches on once they are kept, counting their time as "edit"."""
        while True:
            with self._cancel.held(), self._watch("edit"):
                batch = next(batches, None)
                if batch is None:
                    return
                self._workspace.keep_frames(first, batch)
            self._cancel.check()
            first += len(batch)
            yield batch

    def _inputs(self, frames: Iterator[Frame], indices: Sequence[int]) -> Iterator[ModelInput]:
        """Yield what the model takes; each frame waits in `_pending` until it is written."""
        for index in indices:
            with self._watch("read"):
                frame = next(frames, None)
                if frame is None:
                    return
                self._pending.append(frame)
                latents = None if self._shared is None else self._shared.latents(index)
            yield frame.image if latents is None else latents

    def _report(
        self, size: tuple[int, int], num_kept: int, codec_seconds: dict[str, float]
    ) -> EditReport:
        plan, device = self._plan, self._pipe.device
        assert self._session is not None
        return EditReport(
            source=str(plan.info.path),
            out=str(plan.out),
            compare=None if plan.compare is None else str(plan.compare),
            instruction=plan.instruction,
            settings=self._config,
            used=replace(self._session.used, anchor_indices=plan.anchor_indices),
            num_frames=plan.info.num_frames,
            num_frames_out=plan.info.num_frames,
            fps=str(plan.info.fps),
            size=size,
            seconds=self._watch.seconds(),
            codec_seconds=codec_seconds,
            model_seconds={name: round(s, 4) for name, s in self._model_seconds.items()},
            shots=plan.shots,
            num_frames_kept=num_kept,
            peak_memory_bytes=peak_memory_bytes(),
            peak_device_memory_bytes=(
                torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
            ),
        )
