"""What an edit will do, decided and refused before any model is loaded.

Tests: tests/jobs/test_plan.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path

from fairy.anchors.selection import select_shot_anchors
from fairy.errors import InstructionError, MediaError, OutputExistsError, SettingsError
from fairy.jobs.manifest import (
    ClipFile,
    Manifest,
    SourceIdentity,
    clip_files,
    effective_settings,
)
from fairy.jobs.workspace import Workspace
from fairy.media.decoding.stdin import STDIN
from fairy.media.info import VideoInfo
from fairy.media.read import probe
from fairy.media.shots import Shot, find_shots, read_shots
from fairy.media.write import check_holds, check_output
from fairy.settings import EditConfig, MediaConfig


@dataclass(frozen=True, kw_only=True)
class EditPlan:
    """An edit that can start.

    Attributes:
        instruction: what to change, in one line.
        info: the clip that is read.
        out: the file or folder to write.
        compare: the side-by-side clip to write, if any.
        report: the JSON file to write, if any.
        overwrite: replace outputs that exist.
        media: how the clip is read and the outputs are written.
        shots: frames between two cuts: (first, frame after the last), without a gap.
        anchors: for each shot the frames that become its anchors, sorted.
    """

    instruction: str
    info: VideoInfo
    out: Path
    compare: Path | None
    report: Path | None
    overwrite: bool
    media: MediaConfig
    shots: tuple[Shot, ...]
    anchors: tuple[tuple[int, ...], ...]

    @property
    def anchor_indices(self) -> tuple[int, ...]:
        """The anchors of all shots, sorted."""
        return tuple(chain.from_iterable(self.anchors))

    def manifest(self, config: EditConfig) -> Manifest:
        """Return what the edit's frames depend on; reads the whole clip for its hash."""
        return Manifest(
            source=SourceIdentity.of(self.info.path),
            instruction=self.instruction,
            settings=effective_settings(config),
            shots=self.shots,
            compare=None if self.compare is None else str(self.compare),
        )


def plan_edit(
    source: Path,
    instruction: str,
    out: Path,
    config: EditConfig,
    *,
    compare: Path | None = None,
    report: Path | None = None,
    overwrite: bool = False,
) -> EditPlan:
    """Look at the clip and the outputs, choose shots and anchors, and refuse what cannot be done.

    Raises:
        FairyError: the instruction is empty, an output cannot be written, the clip cannot be
            read, or an anchor is not in the clip.
    """
    # One line of valid text, as it is shown and written into the output
    instruction = " ".join(instruction.encode(errors="replace").decode().split())
    if not instruction:
        raise InstructionError('the instruction is empty: say what to change, as in "make it snow"')
    check_outputs(source, out, compare, report, config, overwrite=overwrite)
    info = probe(source, config)
    for path in (out, compare):
        if path is not None:
            check_holds(path, info.num_frames)
    shots = choose_shots(info, config)
    return EditPlan(
        instruction=instruction,
        info=info,
        out=out,
        compare=compare,
        report=report,
        overwrite=overwrite,
        media=config,
        shots=shots,
        anchors=select_shot_anchors(shots, config.num_anchors, config.anchor_indices),
    )


def check_outputs(
    source: Path,
    out: Path,
    compare: Path | None,
    report: Path | None,
    media: MediaConfig,
    *,
    overwrite: bool,
) -> None:
    """Refuse outputs that exist, cannot be written, are named twice or are the clip itself.

    Raises:
        FairyError: in one line, which output and what to do.
    """
    named: dict[Path, str] = {source.resolve(): "the clip to edit"}
    outputs = {"the result": out, "--compare": compare, "--report": report}
    for role, path in outputs.items():
        if path is None:
            continue
        if path == STDIN:
            raise SettingsError(f"-: {role} cannot go to standard output: name a file")
        if path.name in ("", ".."):
            raise SettingsError(f"{path}: {role} needs a name of its own, as in {path / 'out'}")
        taken = named.setdefault(path.resolve(), role)
        if taken != role:
            raise SettingsError(f"{path}: {role} would replace {taken}; give it another name")
    # Of a job that was stopped between its last file and the end, the files are its own.
    workspace = Workspace(out)
    for path in (out, compare):
        if path is not None:
            check_output(path, overwrite or workspace.wrote(path), media)
    if report is not None:
        check_report(report, overwrite=overwrite or workspace.wrote(report))


def check_report(path: Path, *, overwrite: bool) -> None:
    """Refuse a report that cannot be written.

    Raises:
        FairyError: it exists and may not be replaced, or its folder does not exist.
    """
    if path.is_dir():
        raise MediaError(f"{path}: is a folder; name a file, as in {path / 'report.json'}")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path}: exists already; give --overwrite or another name")
    if not path.parent.is_dir():
        raise MediaError(f"{path}: the folder {path.parent} does not exist; make it first")


def choose_shots(info: VideoInfo, config: EditConfig) -> tuple[Shot, ...]:
    """Return the shots of the clip: found, read from a file, or the whole clip as one.

    Raises:
        SettingsError: the file of shots cannot be used.
    """
    if config.shots == "off":
        return ((0, info.num_frames),)
    if config.shots != "auto":
        return read_shots(Path(config.shots), info.num_frames)
    return _found_shots(
        info.path, clip_files(info.path), info.num_frames, MediaConfig.part_of(config)
    )


# Several instructions for one clip look for its cuts once
@lru_cache(maxsize=1)
def _found_shots(
    path: Path, files: tuple[ClipFile, ...], num_frames: int, media: MediaConfig
) -> tuple[Shot, ...]:
    """Return the shots of the clip at `path`, as its files stand on the disk."""
    return find_shots(path, media)
