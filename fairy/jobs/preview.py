"""Preview an edit within seconds: a contact sheet of a few edited frames, or its anchors.

Its anchors are kept in the workspace, and the same command without a preview uses them.
Tests: tests/jobs/test_preview.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image as PilImage
from PIL.PngImagePlugin import PngInfo

from fairy.anchors.selection import select_anchor_indices
from fairy.control.changes import Weight
from fairy.editors.base import EditInput, Editor
from fairy.editors.timing import Stopwatch
from fairy.errors import OutputExistsError, SettingsError
from fairy.interrupt import Progress, report_picture, report_stage
from fairy.jobs.apart import check_apart
from fairy.jobs.edit import kept_work_explained, ready
from fairy.jobs.outputs import finished
from fairy.jobs.plan import (
    EditOptions,
    EditPlan,
    EditRequest,
    check_outputs,
    plan_edit,
    request_inputs,
    request_outputs,
)
from fairy.jobs.segment import ClipJob, by_shot
from fairy.jobs.workspace import Workspace
from fairy.media.colours import Image
from fairy.media.contact_sheet import contact_sheet
from fairy.media.frames import resize
from fairy.media.names import beside, make_folder_of
from fairy.media.read import frames_at, probe
from fairy.settings import EditConfig

if TYPE_CHECKING:
    from typing_extensions import Unpack

COLUMNS = 4
CELL_HEIGHT_PX = 180
# Half a minute at most: up to there looking for cuts takes no time that anybody notices
SEARCHED_FRAMES = 720
_MADE_BY = "fairy preview"


def preview_video(
    source: Path | str,
    instruction: str,
    out: Path | str,
    config: EditConfig | None = None,
    *,
    num_frames: int,
    pipeline: Editor | None = None,
    progress: Progress | None = None,
    **options: Unpack[EditOptions],
) -> Path:
    """Edit `num_frames` frames, spread evenly over the clip, and draw them on a contact sheet.

    The other arguments are those of `fairy.jobs.edit.edit_video`; no report is written, and
    `progress` counts the frames of the sheet.

    Returns:
        The sheet's path: for `out.mp4` it is `out.preview.png`.

    Raises:
        FairyError: as for `edit_video`, or the sheet would replace a file that is not a preview.
    """
    if num_frames < 1:
        raise SettingsError(f"--preview {num_frames}: give the number of frames to edit, as in 8")
    request = replace(EditRequest.of(source, instruction, out, config, **options), report=None)
    sheet = sheet_path(request.out)
    check_apart(request_inputs(request) | request_outputs(request), {"the contact sheet": sheet})
    with _seekable(request) as request:
        _preview(request, sheet, num_frames, pipeline, progress)
    return sheet


@contextmanager
def _seekable(request: EditRequest) -> Iterator[EditRequest]:
    """Give the request of a preview that need not read the whole clip.

    A long clip is not searched for cuts: its frames are edited as those of one shot, and what that
    leaves in a workspace is of no use to the edit. One that an earlier run has searched is not
    searched again.
    """
    check_outputs(request)
    info = probe(request.source, request.config)
    searched = request.config.shots != "auto" or request.workspace.manifest() is not None
    if searched or info.num_frames <= SEARCHED_FRAMES:
        yield request
        return
    with tempfile.TemporaryDirectory(prefix="fairy-preview-") as folder:
        out, config = Path(folder, request.out.name), replace(request.config, shots="off")
        yield replace(request, out=out, work_dir=None, compare=None, config=config)


def _preview(
    request: EditRequest,
    sheet: Path,
    num_frames: int,
    pipeline: Editor | None,
    progress: Progress | None,
) -> None:
    """Edit frames of the clip and draw them on the sheet."""
    report_stage(progress, "reading")
    plan = plan_edit(request)
    indices = select_anchor_indices(plan.info.num_frames, min(num_frames, plan.info.num_frames))
    with request.workspace as workspace, kept_work_explained(workspace, plan):
        editor = ready(plan, workspace, Stopwatch(), pipeline, progress)
        pairs = []
        for pair in _edited_pairs(plan, editor, workspace, indices, progress):
            pairs.append(_small_pair(*pair))
            if progress is not None:
                progress(len(pairs), len(indices))
    _draw(sheet, indices, pairs, plan.request.instruction)


def _edited_pairs(
    plan: EditPlan,
    editor: Editor,
    workspace: Workspace,
    indices: Sequence[int],
    progress: Progress | None = None,
) -> Iterator[tuple[Image, Image]]:
    """Yield source and result of the frames at `indices`; keeps anchors. Reports the stages."""
    job = ClipJob(plan, editor, workspace, progress=progress)
    pictures = frames_at(plan.request.source, indices, plan.request.config)
    frames = zip(indices, zip(pictures, plan.changes.weights(indices), strict=False), strict=True)
    for of_shot in by_shot(plan.segments):
        first, end = of_shot[0].shot
        wanted = [index for index in indices if first <= index < end]
        if not wanted:
            continue
        shown = islice(frames, len(wanted))
        if not of_shot[0].anchors:
            yield from ((frame.image, frame.image) for _, (frame, _) in shown)
            continue
        anchors = job.sources(of_shot[0].anchors)
        with job.begin(of_shot[0], anchors, keep_anchors=True) as session:
            report_stage(progress, "frames")
            while batch := list(islice(shown, session.batch_size)):
                todo = [
                    EditInput(index, job.cropped(frame.image), job.mask(weight))
                    for index, (frame, weight) in batch
                ]
                edited = session.edit(todo)
                for (index, (frame, weight)), image in zip(batch, edited, strict=True):
                    yield frame.image, _whole(plan, index, frame.image, image, weight)


def _whole(plan: EditPlan, index: int, source: Image, edited: Image, weight: Weight) -> Image:
    """Return an edited frame with what must stay as it is; as it comes where all may change."""
    by_hand = plan.keyframes.picture(index)
    if plan.changes.everything:
        return edited if by_hand is None else by_hand
    method, crop = plan.request.config.enlarge, plan.changes.crop
    return finished(
        source, edited, weight, source.shape[:2], method=method, crop=crop, by_hand=by_hand
    )


@dataclass(frozen=True)
class AnchorPreview:
    """An anchor: its number in the clip, the source uint8 (H,W,3) and the edit uint8 (H,W,3).

    Both have the clip's aspect; where the whole frame is edited, the edit has the model's size.
    """

    index: int
    source: Image
    edited: Image


def preview_anchors(
    request: EditRequest,
    *,
    editor: Editor | None = None,
    most: int | None = None,
    progress: Progress | None = None,
) -> list[AnchorPreview]:
    """Edit only anchors; the edit then uses their results.

    Args:
        request: the edit.
        editor: a loaded model to use instead of the one in the settings.
        most: of the anchors, so many at most, spread evenly; all when None.
        progress: called with (anchors done, anchors); shown their edits if it is a
            `PicturedProgress`.

    Raises:
        FairyError: as for `fairy.jobs.edit.edit_video`.
    """
    with _seekable(replace(request, report=None)) as request:
        plan = plan_edit(request)
        anchors = plan.anchor_indices
        count = len(anchors) if most is None else min(most, len(anchors))
        indices = [anchors[number] for number in select_anchor_indices(len(anchors), count)]
        with request.workspace as workspace, kept_work_explained(workspace, plan):
            editor = ready(plan, workspace, Stopwatch(), editor)
            found = []
            for index, pair in zip(
                indices, _edited_pairs(plan, editor, workspace, indices), strict=True
            ):
                found.append(AnchorPreview(index, *pair))
                report_picture(progress, index, found[-1].edited)
                if progress is not None:
                    progress(len(found), count)
    return found


def sheet_path(out: Path) -> Path:
    """Return where the preview of an edit to `out` is drawn; refuse to replace another picture.

    Raises:
        OutputExistsError: something that is no preview is there.
    """
    path = beside(out.with_name(out.stem), ".preview.png")
    if path.exists() and not _is_preview(path):
        raise OutputExistsError(
            f"{path}: not a preview of Fairy's: rename it, or choose another OUT"
        )
    return path


def _is_preview(path: Path) -> bool:
    try:
        with PilImage.open(path) as picture:
            return picture.info.get("Software") == _MADE_BY
    except OSError:
        return False


def _small_pair(source: Image, edited: Image) -> tuple[Image, Image]:
    """Return both images (H,W,3) at a cell's height, the edited one with the source's aspect."""
    height, width = source.shape[:2]
    size = (CELL_HEIGHT_PX, max(1, round(width * CELL_HEIGHT_PX / height)))
    return resize(source, size), resize(edited, size)


def _draw(path: Path, indices: list[int], pairs: list[tuple[Image, Image]], text: str) -> None:
    """Write the sheet: rows of sources, each with its edited frames below."""
    rows, labels = [], []
    for first in range(0, len(pairs), COLUMNS):
        some = slice(first, first + COLUMNS)
        sources, edited = zip(*pairs[some], strict=True)
        rows += [sources, edited]
        labels += [f"frames {', '.join(map(str, indices[some]))}", f"“{text}”"]
    info = PngInfo()
    info.add_text("Software", _MADE_BY)
    make_folder_of(path)
    part = beside(path, ".fairy.part", hidden=True)
    with part.open("wb") as file:
        PilImage.fromarray(contact_sheet(rows, labels)).save(file, "PNG", pnginfo=info)
    part.replace(path)
