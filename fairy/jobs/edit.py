"""One clip, one instruction, one edited clip: what `fairy edit` does.

What can be refused is refused before a model is loaded (`fairy.jobs.plan`), and the result appears
whole or not at all. The clip is never in memory as a whole (`fairy.jobs.segment`). What is done is
kept on the way, so that the same command goes on after an interruption (`fairy.jobs.workspace`).
Tests: tests/jobs/test_edit.py.
"""

from __future__ import annotations

import errno
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from fairy.editors.compute import check_compile, check_fp8, compile_unet, to_fp8
from fairy.editors.ip2p.levers.tiny_decoder import load_decoder
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import InstructionError, JobInterrupted, MediaError
from fairy.interrupt import Cancel, Progress
from fairy.jobs.manifest import ModelIdentity
from fairy.jobs.plan import EditPlan, plan_edit
from fairy.jobs.report import EditReport, Stopwatch
from fairy.jobs.segment import ClipJob
from fairy.jobs.shared_latents import SharedClip
from fairy.jobs.warnings_log import Notes
from fairy.jobs.workspace import Workspace
from fairy.models.defaults import ModelDefaults, unknown_words
from fairy.models.registry import resolve_device
from fairy.settings import EditConfig

logger = logging.getLogger(__name__)

# A full disk, a limit on a file's size
NO_ROOM = (errno.ENOSPC, errno.EFBIG)


def edit_video(
    source: Path | str,
    instruction: str,
    out: Path | str,
    config: EditConfig | None = None,
    *,
    compare: Path | str | None = None,
    report: Path | str | None = None,
    overwrite: bool = False,
    restart: bool = False,
    pipeline: FairyPipeline | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    shared: SharedClip | None = None,
) -> EditReport:
    """Edit the clip `source` as `instruction` says and write the result to `out`.

    After an interruption the same call goes on where it was; `OUT.fairy` holds what is done.

    Args:
        source: a video file or a folder of images.
        instruction: what to change, in words that the model knows.
        out: a file (.mp4, .mov, .mkv, .webm, .gif) or a folder for PNGs.
        config: settings; `EditConfig()` when None.
        compare: where to write source and result side by side, if anywhere.
        report: where to write what was done as JSON, if anywhere.
        overwrite: replace the outputs if they exist.
        restart: do all of it, even if an interrupted edit has done a part.
        pipeline: a loaded pipeline to use instead of `config.model`.
        progress: called with (frames written, frames of the clip).
        cancel: stops the edit when set; frames in work are finished and kept.
        shared: the clip's latents, where several instructions are for one clip.

    Returns:
        What was done, with times and peak memory.

    Raises:
        FairyError: the clip, the instruction, the settings, the model or an output cannot be
            used. Nothing stands at the outputs then.
        JobInterrupted: Ctrl-C or SIGTERM; says what is kept.
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
        with Workspace(plan.out) as workspace, how_to_go_on(workspace, plan):
            pipe = ready(plan, config, workspace, watch, pipeline, restart=restart)
            job = ClipJob(plan, config, pipe, watch, workspace, cancel or Cancel(), shared)
            done = job.run(progress or (lambda done, total: None))
            done = replace(done, notes=tuple(notes.lines))
            if plan.report is not None:
                done.write(plan.report, workspace.remember)
            workspace.clear()
    return done


def ready(
    plan: EditPlan,
    config: EditConfig,
    workspace: Workspace,
    watch: Stopwatch,
    pipeline: FairyPipeline | None,
    *,
    restart: bool,
) -> FairyPipeline:
    """Return the model, once it is sure that it goes on with what the workspace holds.

    With `restart` what it holds is deleted instead, once the model is loaded.

    Raises:
        SettingsError: something differs from what the finished frames were made with, or a device
            is not there.
        InstructionError: the model knows none of the words.
    """
    with watch("read"):
        manifest = plan.manifest(config)
        if not restart:
            workspace.check(manifest)
    if config.anchor_cache_device is not None:
        resolve_device(config.anchor_cache_device)
    with watch("load"):
        pipe = pipeline or load(config)
    check_words(plan.instruction, pipe.defaults)
    if restart:
        workspace.clear()
    manifest = replace(manifest, model=ModelIdentity.of(config.model, pipe))
    workspace.check(manifest)
    workspace.begin(manifest)
    return pipe


@contextmanager
def how_to_go_on(workspace: Workspace, plan: EditPlan) -> Iterator[None]:
    """Say of what ends an edit early what is kept, and how to go on."""
    total = plan.info.num_frames
    try:
        yield
    except KeyboardInterrupt as interrupt:
        number = getattr(interrupt, "signal_number", int(signal.SIGINT))
        if not workspace.num_done:
            raise JobInterrupted(number) from interrupt
        raise JobInterrupted(
            number,
            f"interrupted: {workspace.num_done} of {total} frames are done and kept in "
            f"{workspace.path}: the same command goes on from there",
        ) from interrupt
    except (MediaError, OSError) as error:
        what = str(error)
        if not isinstance(error, MediaError):
            what = f"{plan.out}: cannot be written: {error.strerror or error}"
        if workspace.num_done:
            what += (
                f"; {workspace.num_done} of {total} frames are done and kept in {workspace.path}: "
                "mend that, and the same command goes on from there"
            )
        elif isinstance(error, OSError) and error.errno in NO_ROOM:
            what += "; make room there, or name an output elsewhere"
        raise MediaError(what) from error


def load(config: EditConfig) -> FairyPipeline:
    """Return the pipeline that the settings name, on its device.

    Raises:
        ModelError: the model or the decoder cannot be found or loaded.
        SettingsError: the device is not there or lacks float8 or a compiler, or the decoder is for
            another model.
    """
    if config.fp8:
        check_fp8(resolve_device(config.device))
    if config.compile:
        check_compile(resolve_device(config.device))
    pipe = FairyPipeline.from_pretrained(config.model, device=config.device, dtype=config.dtype)
    if config.decoder is not None:
        pipe.decoder = load_decoder(config.decoder, pipe, config.model)
    if config.fp8:
        to_fp8(pipe.unet)
    if config.compile:
        compile_unet(pipe.unet)
    return pipe


def check_words(instruction: str, defaults: ModelDefaults) -> None:
    """Warn of words that the model never learnt, and say what it knows.

    Raises:
        InstructionError: it knows none of the words, apart from "the", "it" and the like.
    """
    unknown = unknown_words(instruction, defaults)
    says_nothing = unknown == unknown_words(instruction, _KNOWS_NOTHING)
    if not defaults.words or not (unknown or says_nothing):
        return
    words = ", ".join(map(repr, unknown)) or repr(instruction)
    known = "; ".join(defaults.instructions) or ", ".join(sorted(defaults.words))
    message = f"the model does not know {words}; it knows: {known}"
    if says_nothing:
        raise InstructionError(message)
    logger.warning("%s", message)


# A model whose one word cannot be typed: every word that matters is unknown to it.
_KNOWS_NOTHING = ModelDefaults(words=frozenset({""}))
