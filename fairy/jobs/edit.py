"""Edit one clip with one instruction: the work of `fairy edit`.

What cannot be done is refused before a model is loaded (`fairy.jobs.plan`), and the outputs appear
whole or not at all. Segments that are done stay in the workspace, so that the same command resumes
an interrupted edit. Tests: tests/jobs/test_edit.py, tests/jobs/test_resume.py.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fairy.editors.base import Editor
from fairy.editors.loading import load_editor
from fairy.editors.timing import Stopwatch
from fairy.errors import JobInterrupted, MediaError, SettingsError
from fairy.interrupt import Cancel, Progress, report_stage
from fairy.jobs.copying import log_copied
from fairy.jobs.manifest import Document
from fairy.jobs.outputs import ClipOutputs, OnFrame
from fairy.jobs.plan import EditOptions, EditPlan, EditRequest, plan_edit
from fairy.jobs.report import EditReport, provenance
from fairy.jobs.segment import ClipJob, model_size
from fairy.jobs.shared_latents import SharedClip
from fairy.jobs.warnings_log import Notes
from fairy.jobs.workspace import Workspace
from fairy.media.upscale import load_upscaler
from fairy.media.watermark import Watermark
from fairy.media.write import VideoWriter, write_video
from fairy.models.instructions import read_instruction
from fairy.models.registry import resolve_device
from fairy.settings import DTYPES, EditConfig, MediaConfig
from fairy.system import peak_memory_bytes

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from fairy.jobs.team import Team

logger = logging.getLogger(__name__)

# A full disk, a quota, a limit on file sizes
NO_ROOM = (errno.ENOSPC, errno.EFBIG)


def edit_video(
    source: Any,
    instruction: str,
    out: Path | str,
    config: EditConfig | None = None,
    *,
    fps: Fraction | float | None = None,
    pipeline: Editor | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    **options: Unpack[EditOptions],
) -> EditReport:
    """Edit the clip `source` as `instruction` says and write the result to `out`.

    After an interruption the same call resumes; finished frames are kept in `OUT.fairy`.

    Args:
        source: a video file, an image, a folder of images, or frames as `write_video` takes them.
        instruction: what to change, in words that the model knows.
        out: a file (.mp4, .mov, .mkv, .webm, .gif, .png) or a folder for PNGs.
        config: settings; `EditConfig()` when None.
        fps: frames per second, if `source` is frames; 25 when None.
        pipeline: a loaded pipeline to use instead of `config.model`.
        progress: called with (frames done, frames of the clip); told the stages, too, if it is a
            `StagedProgress`.
        cancel: stops the edit when set; frames in work are finished and kept.
        **options: `compare`, where to write source and result side by side; `report`, where to
            write what was done as JSON; `save_masks`, a folder for the masks as they are used;
            `overwrite`, to replace outputs that exist; `restart`, to edit all frames again even if
            an interrupted edit has done some; `force`, to give the model words that it does not
            know; `workers`, processes that edit the clip together, each with a model of its own;
            `work_dir`, where what is done is kept instead of beside `out`.

    Returns:
        The report, with settings, times and peak memory.

    Raises:
        FairyError: the clip, the instruction, the settings, the model or an output cannot be
            used. No output exists then.
        ValueError: frames that are no clip, or `fps` with a file.
        JobInterrupted: Ctrl-C, SIGTERM or `cancel`; its message names what is kept.
    """
    with _as_file(source, fps) as path:
        request = EditRequest.of(path, instruction, out, config, **options)
        if request.workers > 1:
            # It imports this file
            from fairy.jobs.ranks import edit_with_workers

            if pipeline is not None:
                raise SettingsError(
                    "several workers load the model by its name: leave out `pipeline`"
                )
            return edit_with_workers(request, progress=progress, cancel=cancel)
        return run_edit(request, editor=pipeline, progress=progress, cancel=cancel)


@contextmanager
def _as_file(source: Any, fps: Fraction | float | None) -> Iterator[Path]:
    """Yield the path of a clip; frames are written to a temporary lossless file."""
    if isinstance(source, str | os.PathLike):
        if fps is not None:
            raise ValueError("fps: only for frames; a file has its own rate")
        yield Path(source)
        return
    with tempfile.TemporaryDirectory(prefix="fairy-") as folder:
        path = Path(folder, "frames.mkv")
        write_video(source, path, 25 if fps is None else fps, media=MediaConfig(codec="ffv1"))
        yield path


def run_edit(
    request: EditRequest,
    *,
    editor: Editor | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    shared: SharedClip | None = None,
    team: Team | None = None,
    on_frame: OnFrame | None = None,
) -> EditReport:
    """Do what `edit_video` does.

    Args:
        request: the edit.
        editor: a loaded model to use instead of the one in the settings.
        progress: as for `edit_video`.
        cancel: as for `edit_video`.
        shared: the clip's latents, where several instructions are for one clip.
        team: the other processes that edit this clip.
        on_frame: called from another thread with the number of each frame as it is encoded, and
            the frame, uint8 (H,W,3) at the result's size.
    """
    watch, cancel = Stopwatch(), cancel or Cancel()
    with Notes() as notes:
        report_stage(progress, "reading")
        with watch("read"):
            plan = plan_edit(request, cancel)
        with (
            request.workspace as workspace,
            kept_work_explained(workspace, plan),
            team.announced(workspace) if team is not None else nullcontext(),
        ):
            editor = ready(plan, workspace, watch, editor, progress)
            num_kept = workspace.num_done
            if team is not None:
                progress = team.progress(workspace, progress, plan.num_copied)
            job = ClipJob(
                plan,
                editor,
                workspace,
                watch=watch,
                progress=progress,
                cancel=cancel,
                shared=shared,
            )
            outputs = make_outputs(plan, job.size, workspace, on_frame)
            reset_peak_device_memory()
            with watch("write"):
                outputs.try_tracks()
                save_masks(plan, workspace, cancel)
                with job:
                    if team is not None:
                        team.edit(plan, job, outputs, workspace)
                    with outputs:
                        job.edit(outputs.missing(), outputs)
                report_stage(progress, "joining")
                outputs.join(cancel)
            done = make_report(plan, job, outputs, watch, num_kept)
            done = replace(done, notes=tuple(notes.lines))
            if request.report is not None:
                done.write(request.report, workspace.remember)
            workspace.clear()
    return done


def ready(
    plan: EditPlan,
    workspace: Workspace,
    watch: Stopwatch,
    editor: Editor | None = None,
    progress: Progress | None = None,
) -> Editor:
    """Return the model, after checking that the workspace belongs to this edit.

    With `restart` the workspace is emptied instead, once the model is loaded.

    Raises:
        SettingsError: something differs from what the finished frames were made with, or a device
            is not there.
        InstructionError: the model does not know the instruction.
    """
    request = plan.request
    with watch("read"):
        manifest = plan.manifest()
        if not request.restart:
            workspace.check(manifest)
    if request.config.anchor_cache_device is not None:
        resolve_device(request.config.anchor_cache_device)
    if editor is None:
        report_stage(progress, "loading the model")
    with watch("load"):
        earlier = None if request.restart else plan.earlier
        editor = editor or load_editor(with_kept_dtype(request.config, earlier))
    for text in dict.fromkeys(stretch.text for stretch in plan.stretches if stretch.text):
        read_instruction(text, editor.defaults, force=request.force)
    if request.restart:
        workspace.clear()
    size = model_size(plan.info, request.config, editor)
    _say_size(size, plan)
    log_copied(plan.copied)
    manifest = replace(manifest, editor=editor.identity(), size=size)
    workspace.check(manifest)
    workspace.begin(manifest)
    return editor


def _say_size(size: tuple[int, int], plan: EditPlan) -> None:
    """Log at which (height, width) the model works, and what becomes of the clip's detail."""
    config, full = plan.request.config, (plan.info.height, plan.info.width)
    if not config.keep_size or size == full:
        return
    how = "kept" if config.enlarge == "guided" else f"not kept (--enlarge {config.enlarge})"
    logger.info("edited at %dx%d, detail of %dx%d %s", *size[::-1], *full[::-1], how)


def with_kept_dtype(config: EditConfig, earlier: Document | None) -> EditConfig:
    """Return the settings with the precision that an earlier run chose where they say "auto"."""
    kept = (earlier or {}).get("editor") or {}
    if config.dtype != "auto" or kept.get("dtype") not in DTYPES:
        return config
    return replace(config, dtype=kept["dtype"])


def make_outputs(
    plan: EditPlan,
    model_size: tuple[int, int],
    workspace: Workspace,
    on_frame: OnFrame | None = None,
) -> ClipOutputs:
    """Return the outputs of an edit; the (height, width) of the model is theirs if asked for."""
    request, info = plan.request, plan.info
    size = (info.height, info.width) if request.config.keep_size else model_size
    comment = None
    if request.config.provenance:
        comment = provenance(request.instruction, request.config, plan.stretches)
    upscaler = watermark = None
    device, config = resolve_device(request.config.device), request.config
    if config.upscale is not None:
        upscaler = load_upscaler(config.upscale, device)
    if config.watermark is not None:
        watermark = Watermark(config.watermark, device)
    return ClipOutputs(plan, size, comment, workspace, upscaler, on_frame, watermark)


def save_masks(plan: EditPlan, workspace: Workspace, cancel: Cancel) -> None:
    """Write the masks as they are used, a PNG for each frame, if that is asked for."""
    request, info = plan.request, plan.info
    if request.save_masks is None or workspace.wrote(request.save_masks):
        return
    writer = VideoWriter(
        request.save_masks,
        info=info,
        height=info.height,
        width=info.width,
        overwrite=request.overwrite,
        copy_tracks=False,
        when_whole=workspace.remember,
    )
    with writer:
        for index, weight in enumerate(plan.changes.weights(range(info.num_frames))):
            levels = np.full((info.height, info.width), 255) * weight
            image = np.repeat(levels.round().astype(np.uint8)[..., None], 3, axis=-1)
            writer.write(image, index, info.time_base)
            cancel.check()


@contextmanager
def kept_work_explained(workspace: Workspace, plan: EditPlan) -> Iterator[None]:
    """Explain what an interrupted edit kept and how to resume it."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        number = getattr(interrupt, "signal_number", int(signal.SIGINT))
        if not workspace.num_done:
            raise JobInterrupted(number) from interrupt
        raise JobInterrupted(
            number, f"interrupted: {_kept(workspace, plan)}: run the same command to continue"
        ) from interrupt
    except (MediaError, OSError) as error:
        what = str(error)
        if not isinstance(error, MediaError):
            what = f"{plan.request.out}: cannot be written: {error.strerror or error}"
        if workspace.num_done:
            what += f"; {_kept(workspace, plan)}: fix that, then run the same command to continue"
        elif isinstance(error, OSError) and error.errno in NO_ROOM:
            what += "; free some space there, or write the output elsewhere"
        raise MediaError(what) from error


def _kept(workspace: Workspace, plan: EditPlan) -> str:
    done, total = workspace.num_done, plan.info.num_frames
    return f"{done} of {total} frames are done and kept in {workspace.path}"


def reset_peak_device_memory() -> None:
    """Start to measure CUDA's peak memory, on all devices in use."""
    if torch.cuda.is_initialized():
        for index in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(index)


def make_report(
    plan: EditPlan, job: ClipJob, outputs: ClipOutputs, watch: Stopwatch, num_kept: int
) -> EditReport:
    """Return the report of a finished edit."""
    request, info, used = plan.request, plan.info, job.used
    assert used is not None
    device = torch.device(used.device)
    return EditReport(
        source=request.source_name or str(info.path),
        out=request.out_name or str(request.out),
        compare=None if request.compare is None else str(request.compare),
        instruction=request.instruction,
        settings=request.config,
        used=used,
        num_frames=info.num_frames,
        num_frames_out=info.num_frames * (request.config.interpolate or 1),
        fps=str(info.fps),
        size=outputs.size,
        seconds=rounded(watch.seconds() | {"total": watch.total_s}),
        codec_seconds=rounded({"read": job.decoding_s, "write": outputs.busy_s}),
        model_seconds=rounded(job.model_seconds),
        shots=plan.shots,
        num_frames_kept=num_kept,
        num_frames_copied=plan.num_copied,
        peak_memory_bytes=peak_memory_bytes(),
        peak_device_memory_bytes=(
            torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
        ),
    )


def rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return seconds to a tenth of a millisecond."""
    return {name: round(value, 4) for name, value in seconds.items()}
