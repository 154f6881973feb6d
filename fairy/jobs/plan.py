"""What an edit will do, decided and refused before any model is loaded.

Tests: tests/jobs/test_plan.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fairy.config import EditConfig, MediaConfig
from fairy.editing.anchors import check_anchor_indices, select_anchor_indices
from fairy.errors import InstructionError, MediaError, OutputExistsError, SettingsError
from fairy.media.info import VideoInfo
from fairy.media.read import probe
from fairy.media.write import check_output


@dataclass(frozen=True, kw_only=True)
class EditPlan:
    """An edit that can start.

    Attributes:
        instruction: what to change, stripped.
        info: the clip that is read.
        out: the file or folder to write.
        compare: the side-by-side clip to write, if any.
        report: the JSON file to write, if any.
        overwrite: replace outputs that exist.
        media: how the clip is read and the outputs are written.
        anchor_indices: frames that become anchors, sorted.
    """

    instruction: str
    info: VideoInfo
    out: Path
    compare: Path | None
    report: Path | None
    overwrite: bool
    media: MediaConfig
    anchor_indices: tuple[int, ...]


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
    """Look at the clip and the outputs, choose the anchors, and refuse what cannot be done.

    Raises:
        FairyError: the instruction is empty, an output cannot be written, the clip cannot be
            read, or an anchor is not in the clip.
    """
    instruction = instruction.strip()
    if not instruction:
        raise InstructionError('the instruction is empty: say what to change, as in "make it snow"')
    check_outputs(source, out, compare, report, config.media, overwrite=overwrite)
    info = probe(source, config.media)
    return EditPlan(
        instruction=instruction,
        info=info,
        out=out,
        compare=compare,
        report=report,
        overwrite=overwrite,
        media=config.media,
        anchor_indices=choose_anchors(info.num_frames, config),
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
        taken = named.setdefault(path.resolve(), role)
        if taken != role:
            raise SettingsError(f"{path}: {role} would replace {taken}; give it another name")
    for path in (out, compare):
        if path is not None:
            check_output(path, overwrite, media)
    if report is not None:
        check_report(report, overwrite=overwrite)


def check_report(path: Path, *, overwrite: bool) -> None:
    """Refuse a report that cannot be written.

    Raises:
        FairyError: it exists and may not be replaced, or its folder does not exist.
    """
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path}: exists already; give --overwrite or another name")
    if path.is_dir():
        raise MediaError(f"{path}: is a folder; name a file, as in {path / 'report.json'}")
    if not path.parent.is_dir():
        raise MediaError(f"{path}: the folder {path.parent} does not exist; make it first")


def choose_anchors(num_frames: int, config: EditConfig) -> tuple[int, ...]:
    """Return the anchor frames of a clip of `num_frames`, sorted.

    Raises:
        SettingsError: an anchor named by hand is not in the clip.
    """
    if config.anchor_indices is None:
        return tuple(select_anchor_indices(num_frames, config.num_anchors))
    return tuple(check_anchor_indices(config.anchor_indices, num_frames))
