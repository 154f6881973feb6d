"""Plan an edit and check it before any model is loaded.

A plan splits the clip into segments. Each can be edited and encoded without the others, in any
order and by any process; then the results are joined. So resuming means editing the missing ones.
Tests: tests/jobs/test_plan.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypedDict, cast

import torch

from fairy.anchors.selection import select_shot_anchors
from fairy.control.changes import Changes
from fairy.control.inputs import control_inputs
from fairy.control.keyframes import KeyFrames
from fairy.control.references import check_references
from fairy.control.schedule import Stretch, blended_frames, read_schedule, split_shots
from fairy.errors import InstructionError, MediaError, SettingsError
from fairy.interrupt import Cancel
from fairy.jobs.apart import check_apart
from fairy.jobs.copying import copied_frames, encoded_parts
from fairy.jobs.manifest import (
    Document,
    Manifest,
    SourceIdentity,
    effective_settings,
    inputs_of,
)
from fairy.jobs.shots import choose_shots
from fairy.jobs.word_masks import mask_file
from fairy.jobs.workspace import Workspace
from fairy.media.encoding.copied import CopiedFrames
from fairy.media.info import VideoInfo
from fairy.media.interpolate import check_interpolates
from fairy.media.names import real
from fairy.media.read import probe
from fairy.media.shots import Shot
from fairy.media.signing import FileSigner, check_signable
from fairy.media.upscale import load_upscaler
from fairy.media.watermark import check_watermark
from fairy.media.write import (
    check_holds,
    check_names,
    check_new_file,
    check_output,
    check_times,
)
from fairy.options import named_files
from fairy.settings import EditConfig, RunOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

# Two seconds at 24 frames/s, a usual key frame distance, because a segment starts with one. It
# affects the result, so it must not depend on the machine; the usual batch sizes divide it.
SEGMENT_FRAMES = 48


class EditOptions(TypedDict, total=False):
    """The rarely used arguments of `edit_video` and `preview_video`, as in `EditRequest`."""

    compare: Path | str | None
    report: Path | str | None
    save_masks: Path | str | None
    overwrite: bool
    restart: bool
    force: bool
    workers: int
    work_dir: Path | str | None


@dataclass(frozen=True, kw_only=True)
class EditRequest:
    """One clip, one instruction, one result: what a user asks for.

    Attributes:
        source: a video file, an image or a folder of images.
        instruction: what to change.
        out: the file or folder to write.
        config: settings.
        compare: where to write source and result side by side, if anywhere.
        report: where to write what was done as JSON, if anywhere.
        save_masks: a folder for the masks as they are used, if any.
        overwrite: replace outputs that exist.
        restart: edit all frames again, even if an interrupted edit has done some.
        force: give the model the instruction even where it does not know its words.
        workers: processes that edit the clip together.
        work_dir: where what is done is kept; beside `out` when None.
        source_name: what the report calls the clip, if `source` is a copy of it.
        out_name: what the report calls the result, if `out` is copied to its place afterwards.
    """

    source: Path
    instruction: str
    out: Path
    config: EditConfig = field(default_factory=EditConfig)
    compare: Path | None = None
    report: Path | None = None
    save_masks: Path | None = None
    overwrite: bool = False
    restart: bool = False
    force: bool = False
    workers: int = 1
    work_dir: Path | None = None
    source_name: str | None = None
    out_name: str | None = None

    @classmethod
    def of(
        cls,
        source: Path | str,
        instruction: str,
        out: Path | str,
        config: EditConfig | None = None,
        **options: Unpack[EditOptions],
    ) -> EditRequest:
        """Return the request of a Python caller, who may name files by text."""
        # The settings turn text into paths
        run = RunOptions(**cast(Any, options))
        return cls(
            source=Path(source),
            instruction=instruction,
            out=Path(out),
            config=config or EditConfig(),
            **vars(run),
        )

    @property
    def workspace(self) -> Workspace:
        """The folder of what is done of this edit."""
        return Workspace(self.out, self.work_dir)


@dataclass(frozen=True)
class Segment:
    """Frames of one shot that are edited and encoded as one piece.

    Attributes:
        first: number of the first frame.
        end: number of the frame after the last.
        shot: the shot they belong to.
        anchors: numbers of the shot's anchor frames, sorted; not all of them are in the segment.
    """

    first: int
    end: int
    shot: Shot
    anchors: tuple[int, ...]

    @property
    def indices(self) -> range:
        """The numbers of its frames."""
        return range(self.first, self.end)


@dataclass(frozen=True, kw_only=True)
class EditPlan:
    """An edit that is ready to start.

    Attributes:
        request: the request, with the instruction in one line.
        info: the clip.
        shots: frames between two cuts: (first, frame after the last), without a gap.
        anchors: the anchor frames of each shot, sorted; none where nothing changes.
        stretches: which instruction holds where; shots are cut at their beginnings.
        blended: frames in which a stretch is blended in, and its share in each.
        changes: which parts of which frames may change.
        keyframes: frames that a person edited, which are anchors.
        mask: the file of the mask, also of one that words describe.
        copied: frames that are copied from the source as they are stored, if any.
        earlier: the manifest of an earlier run, if there is one.
    """

    request: EditRequest
    info: VideoInfo
    shots: tuple[Shot, ...]
    anchors: tuple[tuple[int, ...], ...]
    stretches: tuple[Stretch, ...]
    blended: Mapping[int, float]
    changes: Changes
    keyframes: KeyFrames
    mask: Path | None = None
    copied: CopiedFrames | None = None
    earlier: Document | None = None

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The clip in pieces of at most `SEGMENT_FRAMES`, each within one shot, in order.

        Frames that are copied are in none.
        """
        return tuple(
            Segment(first, min(first + SEGMENT_FRAMES, end), shot, anchors)
            for shot, anchors in zip(
                split_shots(self.shots, self.stretches), self.anchors, strict=True
            )
            for start, end in encoded_parts(shot, self.copied)
            for first in range(start, end, SEGMENT_FRAMES)
        )

    @property
    def num_copied(self) -> int:
        """How many frames are copied."""
        return 0 if self.copied is None else self.copied.num_frames

    def stretch_of(self, segment: Segment) -> Stretch:
        """Return the stretch that a segment is in."""
        return next(one for one in self.stretches if one.first <= segment.first < one.end)

    def text_of(self, segment: Segment) -> Stretch:
        """Return the stretch whose instruction a segment is edited with.

        It is the one before where a stretch without a text is blended in: that fades out.
        """
        number = self.stretches.index(self.stretch_of(segment))
        return self.stretches[number if self.stretches[number].text else max(0, number - 1)]

    def before(self, segment: Segment) -> Segment | None:
        """Return a segment of the stretch that a segment's stretch is blended with.

        None without a blend, and where a cut hides the change.
        """
        first = segment.shot[0]
        if first not in self.blended or any(first == start for start, _ in self.shots):
            return None
        return next((one for one in self.segments if one.shot[1] == first and one.anchors), None)

    @property
    def anchor_indices(self) -> tuple[int, ...]:
        """The anchors of all shots, sorted."""
        return tuple(chain.from_iterable(self.anchors))

    def manifest(self) -> Manifest:
        """Return what the edit's frames depend on; reads the clip to hash it, unless known."""
        request, inputs = self.request, control_inputs(self.request.config)
        if self.mask is not None:
            inputs["mask"] = self.mask
        return Manifest(
            source=SourceIdentity.of(request.source, self.earlier),
            instruction=request.instruction,
            settings=effective_settings(request.config),
            inputs=inputs_of(inputs | upscaling_model(request.config)),
            shots=self.shots,
            shots_setting=request.config.shots,
            compare=None if request.compare is None else str(real(request.compare)),
            model_name=request.config.model,
        )


def plan_edit(request: EditRequest, cancel: Cancel | None = None) -> EditPlan:
    """Check the clip and the outputs, and choose shots and anchors.

    Args:
        request: the edit.
        cancel: stops the search for shots and for a mask, which look at every frame.

    Raises:
        FairyError: the instruction is empty, an output cannot be written, the clip cannot be
            read, or an anchor is not in the clip.
    """
    config, cancel = request.config, cancel or Cancel()
    # One line of valid text, because it is displayed and written into the output
    instruction = " ".join(request.instruction.encode(errors="replace").decode().split())
    if not instruction:
        raise InstructionError('the instruction is empty: say what to change, as in "make it snow"')
    check_outputs(request)
    info = probe(request.source, config)
    for path in (request.out, request.compare):
        if path is not None:
            check_holds(path, info.num_frames)
            check_times(path, info, config)
            check_names(path, info)
    if config.interpolate is not None:
        check_interpolates(info, request.out.suffix.lower())
    earlier = request.workspace.manifest()
    stretches = read_schedule(config.schedule, instruction, info)
    check_references(config, [one.text for one in stretches])
    blended = blended_frames(config.blend, stretches, info)
    keyframes = KeyFrames.of(config, info)
    mask = mask_file(config, info, cancel)
    changes = Changes(config, info, stretches, blended, mask)
    shots = choose_shots(info, config, earlier, cancel)
    anchors = _anchors(config, split_shots(shots, stretches), changes, keyframes)
    return EditPlan(
        request=replace(request, instruction=instruction),
        info=info,
        shots=shots,
        anchors=anchors,
        stretches=stretches,
        blended=blended,
        changes=changes,
        keyframes=keyframes,
        mask=mask,
        copied=copied_frames(request.out, config, info, changes) if not request.compare else None,
        earlier=earlier,
    )


def _anchors(
    config: EditConfig, shots: Sequence[Shot], changes: Changes, keyframes: KeyFrames
) -> tuple[tuple[int, ...], ...]:
    """Return the anchors of each shot: chosen by the settings, and all key frames."""
    # A folder of key frames says which frames are anchors
    named = (config.anchor_indices or ()) + keyframes.anchors * (config.keyframes is not None)
    chosen = select_shot_anchors(shots, config.num_anchors, named or None, changes.changed)
    return tuple(
        tuple(sorted({*of_shot, *(n for n in keyframes.anchors if first <= n < end and of_shot)}))
        for (first, end), of_shot in zip(shots, chosen, strict=True)
    )


def check_outputs(request: EditRequest) -> None:
    """Check that the outputs do not exist, can be written, and replace nothing else.

    Raises:
        FairyError: in one line, which output and what to do.
    """
    check_files_apart(request)
    # A job that was stopped between its last file and the end may replace its own files.
    workspace = request.workspace
    for path in (request.out, request.compare):
        if path is not None:
            check_output(path, request.overwrite or workspace.wrote(path), request.config)
    if request.config.c2pa is not None:
        for path in filter(None, (request.out, request.compare)):
            check_signable(path)
        # It tries the certificate
        FileSigner(*request.config.c2pa)
    if request.config.watermark is not None:
        check_watermark()
    if request.config.upscale is not None:
        # It loads the model, if any
        load_upscaler(request.config.upscale, torch.device("cpu"))
    if request.save_masks is not None:
        check_masks_output(request, workspace)
    if (report := request.report) is not None:
        if report.is_dir():
            raise MediaError(f"{report}: is a folder; name a file, as in {report / 'report.json'}")
        check_new_file(report, overwrite=request.overwrite or workspace.wrote(report))


def check_files_apart(
    request: EditRequest,
    *,
    read: Mapping[str, Path | None] = MappingProxyType({}),
    written: Mapping[str, Path] = MappingProxyType({}),
) -> None:
    """Check that no file that an edit writes would replace one that it reads, or another output.

    Args:
        request: the edit.
        read: further files that are read, by their role in messages.
        written: further files that are written.

    Raises:
        SettingsError: in one line, which output and what to do.
    """
    further = {role: path for role, path in read.items() if path is not None}
    check_apart(request_inputs(request) | further, {**request_outputs(request), **written})


def upscaling_model(config: EditConfig) -> dict[str, Path]:
    """Return the file of the model that `--upscale` names, by the setting's name, if it does."""
    if config.upscale is None or not Path(config.upscale).is_file():
        return {}
    return {"upscale": Path(config.upscale)}


def check_masks_output(request: EditRequest, workspace: Workspace) -> None:
    """Refuse a folder for masks that cannot be written, or masks that do not exist.

    Raises:
        FairyError: as for other outputs.
    """
    folder, config = request.save_masks, request.config
    assert folder is not None
    if folder.suffix and not folder.is_dir():
        raise MediaError(f"{folder}: --save-masks writes a folder of PNGs: use a name without a .")
    if config.mask is None and config.region is None:
        raise SettingsError(f"--save-masks {folder}: there is no mask: give --mask or --region")
    if not workspace.wrote(folder):
        check_output(folder, request.overwrite)


def request_inputs(request: EditRequest) -> dict[str, Path]:
    """Return the files and folders that an edit reads, by their role in messages."""
    return {"the clip to edit": request.source, **named_files(EditConfig, request.config, "read")}


def request_outputs(request: EditRequest) -> dict[str, Path]:
    """Return the files and folders that an edit writes, by their role in messages."""
    outputs = {"the result": request.out, **named_files(RunOptions, request, "written")}
    # An output without a name of its own is refused, and has no folder of work
    if request.out.name not in ("", ".."):
        outputs["the folder of work"] = request.workspace.path
    return outputs
