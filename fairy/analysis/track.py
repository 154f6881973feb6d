"""`fairy track`: draw a point's attention, or measure tracking accuracy by layer.

A clip and a point -> a PNG; rendered clips or a TAP-Vid file -> `TrackingAccuracy`, and a PNG.
Tests: tests/analysis/test_track.py.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import torch
from PIL import Image as PilImage
from torch import Tensor

from fairy.analysis.attention_maps import PointAttention, attend_from_points
from fairy.analysis.point_sheet import draw_point
from fairy.analysis.point_tracks import TrackedClip, follow_flow, grid_points, read_tapvid
from fairy.analysis.tracking import TrackingAccuracy, tracking_accuracy
from fairy.anchors.selection import check_anchor_indices, select_anchor_indices
from fairy.editors.loading import LoadedEditor, load_editor
from fairy.errors import SettingsError
from fairy.media import VideoInfo, probe
from fairy.media.frames import to_model
from fairy.media.names import make_folder_of
from fairy.media.read import read_frame_at
from fairy.media.write import check_new_file
from fairy.settings import EditConfig
from fairy.synthetic.moving_scenes import sample_clip
from fairy.synthetic.samplers import SceneSampler

# For rendered clips; far from every training seed, which are hashes of small numbers
FIRST_SEED = 8_000_000
NUM_FRAMES = 8
RENDERED_SIZE = (128, 160)
POINT_STEP_PX = 16
# Share of the anchors' tokens; a map that is spread wider shows no place
FLAT = 0.5

logger = logging.getLogger(__name__)


def track_point(
    clip: str | Path,
    point: tuple[float, float],
    out: str | Path,
    config: EditConfig | None = None,
    *,
    frame: int | None = None,
    instruction: str | None = None,
    all_layers: bool = False,
    overwrite: bool = False,
) -> None:
    """Draw a point's attention to the anchors (the paper's figure 3).

    Args:
        clip: a clip or a folder of images.
        point: (x, y) in px of the clip.
        out: the PNG to write.
        config: model, anchors, size, device and seed.
        frame: the frame with the point; the first that is not an anchor when None.
        instruction: what to edit; the model's first example when None.
        all_layers: draw a row for each layer, not only the mean of those with the finest grid.
        overwrite: replace `out`.

    Raises:
        FairyError: no such clip, a point outside the picture, or a frame that is an anchor.
    """
    config, out = config or EditConfig(), checked_png(out, overwrite=overwrite, read=[Path(clip)])
    info = probe(clip)
    anchor_indices = _anchors_of(config, info.num_frames)
    frame = _frame_to_ask(frame, info.num_frames, anchor_indices)
    _check_inside(point, info)
    read = read_frame_at(clip, [frame, *anchor_indices])
    frames = torch.cat([(to_model(one.image[None]) + 1) / 2 for one in read])
    maps = point_maps(load_editor(config), frames, point, config, instruction)
    if not all_layers:
        maps = finest(maps)
    for name, share in spread(maps).items():
        if share > FLAT:
            logger.warning(
                "%s: the attention is flat: it takes as much room as %.0f %% of the anchors would, "
                "if even; no place is found. Try another point, or a larger --size",
                name, 100 * share,
            )  # fmt: skip
    sheet = draw_point(
        frames[0], frames[1:], point, maps, frame_index=frame, anchor_indices=anchor_indices
    )
    make_folder_of(out)
    PilImage.fromarray(sheet).save(out)


def point_maps(
    editor: LoadedEditor,
    frames: Tensor,
    point: tuple[float, float],
    config: EditConfig,
    instruction: str | None = None,
) -> dict[str, Tensor]:
    """Return each layer's map of a point in frame 0, the mean over the steps: (A,rows,columns).

    Args:
        editor: the model.
        frames: (1+A,3,H,W) in [0,1], the frame with the point, then the anchors.
        point: (x, y) in px.
        config: size and seed.
        instruction: what to edit; the model's first example when None.
    """
    by_step: dict[str, list[Tensor]] = defaultdict(list)

    def collect(attention: PointAttention) -> None:
        by_step[attention.layer].append(attention.maps[0])

    attend_from_points(
        editor,
        frames,
        {0: torch.tensor([point])},
        collect,
        anchor_indices=list(range(1, len(frames))),
        instruction=instruction,
        size=config.size,
        seed=config.seed or 0,
    )
    return {layer: torch.stack(maps).mean(0) for layer, maps in by_step.items()}


def finest(maps: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return one map, the mean of the layers with the most tokens."""
    most = max(one[0].numel() for one in maps.values())
    kept = [one for one in maps.values() if one[0].numel() == most]
    return {f"mean of the {len(kept)} finest layers": torch.stack(kept).mean(0)}


def spread(maps: dict[str, Tensor]) -> dict[str, float]:
    """Return over which share of the anchors' tokens each map (A,rows,columns) is spread, 0 to 1.

    It is the exponential of the map's entropy over the number of tokens: 1 for a flat map.
    """
    shares = {}
    for name, weights in maps.items():
        normal = weights.flatten() / weights.sum()
        shares[name] = float(torch.special.entr(normal).sum().exp()) / normal.numel()
    return shares


def measure_tracking(
    config: EditConfig | None = None,
    *,
    tapvid: str | Path | None = None,
    num_clips: int = 8,
    num_frames: int = NUM_FRAMES,
    instruction: str | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> TrackingAccuracy:
    """Measure how well each layer tracks, and draw it (the paper's figure 2).

    Args:
        config: model, number of anchors, size, device and seed.
        tapvid: a TAP-Vid pickle; rendered clips, whose tracks are exact, when None.
        num_clips: how many clips; the first ones of a TAP-Vid file.
        num_frames: how many frames of each, evenly spread.
        instruction: what to edit; the model's first example when None.
        out: the PNG to write the chart to.
        overwrite: replace `out`.
        progress: called with the number of clips done and of all clips.

    Raises:
        FairyError: the settings leave nothing to measure, the file is unreadable, or `out` is given
            and Matplotlib is not installed.
    """
    config = config or EditConfig()
    if num_clips < 1:
        raise SettingsError(f"{num_clips} clips: measure on at least 1")
    check_count(num_frames, config.num_anchors)
    path = None if out is None else checked_chart(out, overwrite=overwrite)
    clips: Iterable[TrackedClip] = tracked_clips(num_clips, num_frames)
    if tapvid is not None:
        clips = (clip.thinned(num_frames) for clip in islice(read_tapvid(tapvid), num_clips))
    accuracy = tracking_accuracy(
        load_editor(config),
        clips,
        num_anchors=config.num_anchors,
        instruction=instruction,
        size=config.size,
        seed=config.seed or 0,
        progress=lambda done: progress(done, num_clips),
    )
    if path is not None:
        _draw(accuracy, config.model, "rendered clips" if tapvid is None else str(tapvid), path)
    return accuracy


def tracked_clips(num_clips: int, num_frames: int = NUM_FRAMES) -> Iterator[TrackedClip]:
    """Yield clips of rendered scenes with the exact tracks of a grid of points."""
    height, width = RENDERED_SIZE
    start = grid_points(height, width, POINT_STEP_PX)
    for number in range(num_clips):
        generator = torch.Generator().manual_seed(FIRST_SEED + number)
        clip = sample_clip(SceneSampler(), num_frames, RENDERED_SIZE, generator)
        points, visible = follow_flow(clip.flow, clip.visible, start)
        yield TrackedClip(f"rendered {number}", clip.frames, points, visible)


def check_count(num_frames: int, num_anchors: int) -> None:
    """Raise SettingsError if every frame is an anchor, so there is no other frame to measure."""
    if num_frames <= num_anchors:
        raise SettingsError(
            f"{num_anchors} anchors of {num_frames} frames: use more frames, or fewer anchors "
            "(--num-anchors)"
        )


def checked_png(out: str | Path, *, overwrite: bool, read: Collection[Path] = ()) -> Path:
    """Return `out` as a path, after checking that a PNG can be written there.

    Raises:
        OutputExistsError: it exists, or is one of those that are `read`.
        MediaError: a file is in the place of its folder.
        SettingsError: not a PNG.
    """
    path = Path(out)
    if path.suffix.lower() != ".png":
        raise SettingsError(f"{path}: the picture is a PNG: use a name that ends in .png")
    check_new_file(path, overwrite=overwrite, read=read)
    return path


def checked_chart(out: str | Path, *, overwrite: bool) -> Path:
    """`checked_png`, and check that Matplotlib is installed."""
    if find_spec("matplotlib") is None:
        raise SettingsError(
            f"{out}: drawing a chart needs Matplotlib: pip install 'fairy-video[eval]'"
        )
    return checked_png(out, overwrite=overwrite)


def _draw(accuracy: TrackingAccuracy, model: str, source: str, path: Path) -> None:
    from fairy.analysis.tracking_figure import accuracy_figure

    title = f"Points found by attention to the anchors: {model}, {Path(source).name}"
    make_folder_of(path)
    accuracy_figure({model: accuracy}, title).savefig(path, dpi=110)


def _anchors_of(config: EditConfig, num_frames: int) -> list[int]:
    if config.anchor_indices is not None:
        return check_anchor_indices(config.anchor_indices, num_frames)
    check_count(num_frames, config.num_anchors)
    return select_anchor_indices(num_frames, config.num_anchors)


def _check_inside(point: tuple[float, float], info: VideoInfo) -> None:
    if not (0 <= point[0] < info.width and 0 <= point[1] < info.height):
        raise SettingsError(
            f"point {point[0]:g},{point[1]:g} is outside the picture of "
            f"{info.width} x {info.height}: give x,y in pixels from its upper left corner"
        )


def _frame_to_ask(frame: int | None, num_frames: int, anchor_indices: list[int]) -> int:
    others = [index for index in range(num_frames) if index not in anchor_indices]
    if not others:
        raise SettingsError(f"all {num_frames} frames are anchors: use fewer anchors")
    if frame is None:
        return others[0]
    if frame not in others:
        anchors = ", ".join(map(str, anchor_indices))
        raise SettingsError(
            f"frame {frame}: give one from 0 to {num_frames - 1} that is not an anchor ({anchors})"
        )
    return frame
