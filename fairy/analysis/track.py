"""What the anchors' attention knows of motion: a picture of one point, or accuracy by layer.

A clip and a point -> a PNG; rendered clips or a TAP-Vid file -> a chart and figures.
Tests: tests/analysis/test_track.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import torch
from PIL import Image as PilImage
from torch import Tensor

from fairy.analysis.attention_maps import PointAttention, attend_from_points
from fairy.analysis.figures import draw_accuracy, draw_point
from fairy.analysis.point_tracks import TrackedClip, follow_flow, grid_points, read_tapvid
from fairy.analysis.tracking import TrackingAccuracy, tracking_accuracy
from fairy.anchors.selection import check_anchor_indices, select_anchor_indices
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import OutputExistsError, SettingsError
from fairy.media import probe
from fairy.media.frames import to_model
from fairy.media.read import read_frame_at
from fairy.settings import EditConfig
from fairy.synthetic.moving_scenes import sample_clip
from fairy.synthetic.scenes import SceneSampler

# Rendered clips: far from every training seed, which are hashes of small numbers
FIRST_SEED = 8_000_000
NUM_FRAMES = 8
RENDERED_SIZE = (128, 160)
POINT_STEP_PX = 16


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
    """Draw what a point of a clip attends to in the anchors (the paper's figure 3).

    Args:
        clip: a clip or a folder of images.
        point: (x, y) in px of the clip.
        out: a PNG.
        config: model, anchors, size, device and seed.
        frame: in which the point lies; the first that is no anchor when None.
        instruction: what to edit; the model's first example when None.
        all_layers: a row for each layer, instead of the mean of those with the finest grid.
        overwrite: replace `out`.

    Raises:
        FairyError: what a user can mend: no such clip, a point outside it, a frame that is an
            anchor.
    """
    config, out = config or EditConfig(), checked_png(out, overwrite=overwrite)
    info = probe(clip)
    if config.anchor_indices is None:
        check_count(info.num_frames, config.num_anchors)
        anchor_indices = select_anchor_indices(info.num_frames, config.num_anchors)
    else:
        anchor_indices = check_anchor_indices(config.anchor_indices, info.num_frames)
    frame = _frame_to_ask(frame, info.num_frames, anchor_indices)
    if not (0 <= point[0] < info.width and 0 <= point[1] < info.height):
        raise SettingsError(
            f"point {point[0]:g},{point[1]:g} is outside the picture of "
            f"{info.width} x {info.height}: give x,y in pixels from its upper left corner"
        )
    read = read_frame_at(clip, [frame, *anchor_indices])
    frames = torch.cat([(to_model(one.image[None]) + 1) / 2 for one in read])
    maps = point_maps(load(config), frames, point, config, instruction)
    if not all_layers:
        maps = finest(maps)
    sheet = draw_point(
        frames[0], frames[1:], point, maps, frame_index=frame, anchor_indices=anchor_indices
    )
    PilImage.fromarray(sheet).save(out)


def point_maps(
    pipe: FairyPipeline,
    frames: Tensor,
    point: tuple[float, float],
    config: EditConfig,
    instruction: str | None = None,
) -> dict[str, Tensor]:
    """Return each layer's map of a point in frame 0, the mean over the steps: (A,rows,columns).

    Args:
        pipe: the editor.
        frames: (1+A,3,H,W) in [0,1], the frame asked and the anchors.
        point: (x, y) in px.
        config: size and seed.
        instruction: what to edit; the model's first example when None.
    """
    by_step: dict[str, list[Tensor]] = defaultdict(list)

    def see(seen: PointAttention) -> None:
        by_step[seen.layer].append(seen.maps[0])

    attend_from_points(
        pipe,
        frames,
        {0: torch.tensor([point])},
        see,
        anchor_indices=list(range(1, len(frames))),
        instruction=instruction,
        size=config.size,
        seed=config.seed,
    )
    return {layer: torch.stack(maps).mean(0) for layer, maps in by_step.items()}


def finest(maps: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return one map, the mean of the layers with the most tokens."""
    most = max(one[0].numel() for one in maps.values())
    kept = [one for one in maps.values() if one[0].numel() == most]
    return {f"mean of the {len(kept)} finest layers": torch.stack(kept).mean(0)}


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
        num_clips: how many clips, of a TAP-Vid file the first.
        num_frames: how many frames of each, evenly spread.
        instruction: what to edit; the model's first example when None.
        out: a PNG of the chart.
        overwrite: replace `out`.
        progress: called with clips done and all clips.

    Raises:
        FairyError: what a user can mend.
    """
    config = config or EditConfig()
    if num_clips < 1:
        raise SettingsError(f"{num_clips} clips: measure on at least 1")
    check_count(num_frames, config.num_anchors)
    path = None if out is None else checked_png(out, overwrite=overwrite)
    clips: Iterable[TrackedClip] = tracked_clips(num_clips, num_frames)
    if tapvid is not None:
        clips = (clip.thinned(num_frames) for clip in islice(read_tapvid(tapvid), num_clips))
    accuracy = tracking_accuracy(
        load(config),
        clips,
        num_anchors=config.num_anchors,
        instruction=instruction,
        size=config.size,
        seed=config.seed,
        progress=lambda done: progress(done, num_clips),
    )
    if path is not None:
        source = "rendered clips" if tapvid is None else Path(tapvid).name
        PilImage.fromarray(
            draw_accuracy(
                accuracy, f"Where the anchors' attention finds a point: {config.model}, {source}"
            )
        ).save(path)
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


def load(config: EditConfig) -> FairyPipeline:
    """Return the model of `config`."""
    return FairyPipeline.from_pretrained(config.model, device=config.device, dtype=config.dtype)


def check_count(num_frames: int, num_anchors: int) -> None:
    """Raise SettingsError when no frame is left that looks at the anchors."""
    if num_frames <= num_anchors:
        raise SettingsError(
            f"{num_anchors} anchors of {num_frames} frames: use more frames, or fewer anchors "
            "(--num-anchors)"
        )


def checked_png(out: str | Path, *, overwrite: bool) -> Path:
    """Return where a picture goes.

    Raises:
        OutputExistsError: it is there already.
        SettingsError: not a PNG, or no such folder.
    """
    path = Path(out)
    if path.suffix.lower() != ".png":
        raise SettingsError(f"{path}: the picture is a PNG: use a name that ends in .png")
    if not path.parent.is_dir():
        raise SettingsError(f"{path}: there is no folder {path.parent}: make it first")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} exists: use --overwrite to replace it")
    return path


def _frame_to_ask(frame: int | None, num_frames: int, anchor_indices: list[int]) -> int:
    others = [index for index in range(num_frames) if index not in anchor_indices]
    if not others:
        raise SettingsError(f"all {num_frames} frames are anchors: use fewer anchors")
    if frame is None:
        return others[0]
    if frame not in others:
        anchors = ", ".join(map(str, anchor_indices))
        raise SettingsError(
            f"frame {frame}: give one from 0 to {num_frames - 1} that is no anchor ({anchors})"
        )
    return frame
