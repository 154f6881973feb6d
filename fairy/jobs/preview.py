"""A contact sheet of a few edited frames within seconds, before the whole clip is edited.

The anchors that it edits are kept in the workspace: the same command without a preview reads them.
Tests: tests/jobs/test_preview.py.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image as PilImage
from PIL.PngImagePlugin import PngInfo

from fairy.anchors.selection import select_anchor_indices
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import OutputExistsError, SettingsError
from fairy.interrupt import Cancel
from fairy.jobs.edit import how_to_go_on, ready
from fairy.jobs.plan import plan_edit
from fairy.jobs.report import Stopwatch
from fairy.jobs.segment import ClipJob
from fairy.jobs.workspace import Workspace
from fairy.media.colours import Image
from fairy.media.contact_sheet import contact_sheet
from fairy.media.frames import resize
from fairy.settings import EditConfig

COLUMNS = 4
CELL_HEIGHT_PX = 180
_MADE_BY = "fairy preview"


def preview_video(
    source: Path | str,
    instruction: str,
    out: Path | str,
    config: EditConfig | None = None,
    *,
    num_frames: int,
    compare: Path | str | None = None,
    overwrite: bool = False,
    restart: bool = False,
    pipeline: FairyPipeline | None = None,
) -> Path:
    """Edit `num_frames` frames, spread evenly over the clip, and draw them on a contact sheet.

    The other arguments are those of `fairy.jobs.edit.edit_video`.

    Returns:
        Where the sheet is: for `out.mp4` it is `out.preview.png`.

    Raises:
        FairyError: as `edit_video`, or a file that is no preview stands where the sheet belongs.
    """
    if num_frames < 1:
        raise SettingsError(f"--preview {num_frames}: give the number of frames to edit, as in 8")
    config, watch = config or EditConfig(), Stopwatch()
    sheet = sheet_path(Path(out))
    plan = plan_edit(
        Path(source),
        instruction,
        Path(out),
        config,
        compare=None if compare is None else Path(compare),
        overwrite=overwrite,
    )
    indices = select_anchor_indices(plan.info.num_frames, min(num_frames, plan.info.num_frames))
    with Workspace(plan.out) as workspace, how_to_go_on(workspace, plan):
        pipe = ready(plan, config, workspace, watch, pipeline, restart=restart)
        job = ClipJob(plan, config, pipe, watch, workspace, Cancel())
        pairs = [_small_pair(source, edited) for source, edited in job.some(indices)]
    _draw(sheet, indices, pairs, plan.instruction)
    return sheet


def sheet_path(out: Path) -> Path:
    """Return where the preview of an edit to `out` is drawn; refuse to replace another picture.

    Raises:
        OutputExistsError: something that is no preview is there.
    """
    path = out.with_name(f"{out.stem}.preview.png")
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
    """Return both images (H,W,3) as high as a cell, the edited one with the source's aspect."""
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
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        PilImage.fromarray(contact_sheet(rows, labels)).save(file, "PNG", pnginfo=info)
    part.replace(path)
