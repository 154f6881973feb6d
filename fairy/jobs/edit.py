"""One clip, one instruction, one edited clip: what `fairy edit` does.

The clip is never in memory as a whole: the anchors are read first, then frames (H,W,3) are read,
edited and written as a stream, decoding and encoding beside the model (`fairy.media.ahead`). What
can be refused is refused before a model is loaded (`fairy.jobs.plan`), and the result appears
whole or not at all (`fairy.media.write.VideoWriter`).
Tests: tests/jobs/test_edit.py.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch

from fairy.config import EditConfig
from fairy.editing.clip import UsedSettings
from fairy.editing.pipeline import FairyPipeline
from fairy.errors import InstructionError
from fairy.jobs.outputs import ClipOutputs
from fairy.jobs.plan import EditPlan, plan_edit
from fairy.jobs.report import EditReport, Notes, Stopwatch, peak_memory_bytes, provenance
from fairy.media.ahead import ReadAhead
from fairy.media.colours import Image
from fairy.media.frames import fit_size
from fairy.media.info import Frame
from fairy.media.read import read_frame_at, read_frames
from fairy.models.defaults import ModelDefaults, unknown_words

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with (frames written, frames of the clip)."""


def edit_video(
    source: Path | str,
    instruction: str,
    out: Path | str,
    config: EditConfig | None = None,
    *,
    compare: Path | str | None = None,
    report: Path | str | None = None,
    overwrite: bool = False,
    pipeline: FairyPipeline | None = None,
    progress: Progress | None = None,
) -> EditReport:
    """Edit the clip `source` as `instruction` says and write the result to `out`.

    Args:
        source: a video file or a folder of images.
        instruction: what to change, in words that the model knows.
        out: a file (.mp4, .mov, .mkv, .webm, .gif) or a folder for PNGs.
        config: settings; `EditConfig()` when None.
        compare: where to write source and result side by side, if anywhere.
        report: where to write what was done as JSON, if anywhere.
        overwrite: replace the outputs if they exist.
        pipeline: a loaded pipeline to use instead of `config.model`.
        progress: called with (frames written, frames of the clip).

    Returns:
        What was done, with times and peak memory.

    Raises:
        FairyError: the clip, the instruction, the settings, the model or an output cannot be
            used. Nothing is written then.
    """
    config, watch = config or EditConfig(), Stopwatch()
    with Notes() as notes:
        with watch("read"):
            plan = plan_edit(
                Path(source),
                instruction,
                Path(out),
                config,
                compare=None if compare is None else Path(compare),
                report=None if report is None else Path(report),
                overwrite=overwrite,
            )
        with watch("load"):
            pipe = pipeline or load(config)
        check_words(plan.instruction, pipe.defaults)
        done = ClipJob(plan, config, pipe, watch).run(progress or (lambda done, total: None))
    done = replace(done, notes=tuple(notes.lines))
    if plan.report is not None:
        done.write(plan.report)
    return done


def load(config: EditConfig) -> FairyPipeline:
    """Return the pipeline that the settings name, on its device."""
    return FairyPipeline.from_pretrained(config.model, device=config.device, dtype=config.dtype)


def check_words(instruction: str, defaults: ModelDefaults) -> None:
    """Warn of words that the model never learnt, and say what it knows.

    Raises:
        InstructionError: it knows none of the words, apart from "the", "it" and the like.
    """
    unknown = unknown_words(instruction, defaults)
    if not unknown:
        return
    known = "; ".join(defaults.instructions) or ", ".join(sorted(defaults.words))
    message = f"the model does not know {', '.join(map(repr, unknown))}; it knows: {known}"
    if unknown == unknown_words(instruction, _KNOWS_NOTHING):
        raise InstructionError(message)
    logger.warning("%s", message)


# A model whose one word cannot be typed: every word that matters is unknown to it.
_KNOWS_NOTHING = ModelDefaults(words=frozenset({""}))


class ClipJob:
    """The edit of one planned clip with one loaded pipeline.

    Args:
        plan: what to read and write.
        config: settings of the edit.
        pipe: the model.
        watch: counts the seconds of read, anchors, edit and write.
    """

    def __init__(
        self, plan: EditPlan, config: EditConfig, pipe: FairyPipeline, watch: Stopwatch
    ) -> None:
        self._plan, self._config, self._pipe, self._watch = plan, config, pipe, watch
        # Frames that the pipeline has and the encoder has not yet, in order: one batch.
        self._pending: deque[Frame] = deque()

    def run(self, progress: Progress) -> EditReport:
        """Edit and write every frame; the outputs appear when all are written."""
        info, device = self._plan.info, self._pipe.device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        progress(0, info.num_frames)
        with ReadAhead(read_frames(info.path, self._plan.media)) as frames:
            batches = self._edited(frames)
            used = self._pipe.used
            assert used is not None
            model_size = (used.height, used.width)
            size = (info.height, info.width) if self._config.keep_size else model_size
            outputs = self._write(batches, size, progress)
        codec_seconds = {"read": round(frames.busy_s, 4), "write": round(outputs.busy_s, 4)}
        return self._report(used, size, outputs.num_written, codec_seconds)

    def _write(
        self, batches: Iterator[Image], size: tuple[int, int], progress: Progress
    ) -> ClipOutputs:
        """Hand every edited frame to the encoders; return them, their files published."""
        plan, num_done = self._plan, 0
        comment = provenance(plan.instruction, self._config) if plan.media.provenance else None
        with self._watch("write"), ClipOutputs(plan, size, comment) as outputs:
            for batch in self._timed(batches):
                for image in batch:
                    outputs.write(self._pending.popleft(), image)
                    num_done += 1
                    progress(num_done, plan.info.num_frames)
        return outputs

    def _edited(self, frames: Iterator[Frame]) -> Iterator[Image]:
        """Edit the anchors; return the edited frames uint8 (F,H,W,3) as batches, in order."""
        info, config, plan = self._plan.info, self._config, self._plan
        height, width = fit_size(
            info.height,
            info.width,
            size=config.size or self._pipe.defaults.size,
            multiple=self._pipe.vae_scale_factor,
        )
        with self._watch("read"):
            anchors = read_frame_at(info.path, plan.anchor_indices, plan.media)
        with self._watch("anchors"):
            batches: Iterator[Image] = self._pipe.stream(
                self._images(frames),
                plan.instruction,
                anchor_frames=[anchor.image for anchor in anchors],
                anchor_indices=plan.anchor_indices,
                num_inference_steps=config.num_inference_steps,
                guidance_scale=config.guidance_scale,
                image_guidance_scale=config.image_guidance_scale,
                negative_prompt=config.negative_prompt,
                frame_batch_size=config.frame_batch_size,
                generator=config.seed,
                backend=config.backend,
                anchor_cache_device=config.anchor_cache_device,
                height=height,
                width=width,
            )
        return batches

    def _timed(self, batches: Iterator[Image]) -> Iterator[Image]:
        """Pass the batches on, counting their time as "edit"."""
        while True:
            with self._watch("edit"):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _images(self, frames: Iterator[Frame]) -> Iterator[Image]:
        """Yield the images (H,W,3); each frame waits in `_pending` until it is written."""
        while True:
            with self._watch("read"):
                frame = next(frames, None)
            if frame is None:
                return
            self._pending.append(frame)
            yield frame.image

    def _report(
        self,
        used: UsedSettings,
        size: tuple[int, int],
        num_written: int,
        codec_seconds: dict[str, float],
    ) -> EditReport:
        plan, device = self._plan, self._pipe.device
        return EditReport(
            source=str(plan.info.path),
            out=str(plan.out),
            compare=None if plan.compare is None else str(plan.compare),
            instruction=plan.instruction,
            settings=self._config,
            used=used,
            num_frames=plan.info.num_frames,
            num_frames_out=num_written,
            fps=str(plan.info.fps),
            size=size,
            seconds=self._watch.seconds(),
            codec_seconds=codec_seconds,
            peak_memory_bytes=peak_memory_bytes(),
            peak_device_memory_bytes=(
                torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
            ),
        )
