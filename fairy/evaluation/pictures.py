"""A clip in the report: all its versions in one video, and the worst frame of each.

The versions are side by side in one video, so they stay in sync. Frames (T,3,H,W) in [0,1];
pictures are data URIs. Tests: tests/evaluation/test_pictures.py.
"""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image as PilImage
from torch import Tensor

from fairy.evaluation.pair import Pair
from fairy.evaluation.scores import Scores
from fairy.media.colours import Image
from fairy.media.frames import fit_size, resize, to_images
from fairy.media.write import write_video
from fairy.metrics.temporal import warp_back
from fairy.settings import MediaConfig

# Small clips are enlarged, because the video halves chroma resolution; large ones are reduced
SMALL_PX, LARGE_PX = 240, 480
GAP_PX = 8
WEBP_QUALITY = 85
# Half the file size of the writer's default, and blocks are still hard to see
CRF = 25
HIDDEN = (232, 232, 236)


@dataclass(frozen=True)
class Worst:
    """The frame with a version's largest warp error.

    Attributes:
        frame: number of the later of the two frames.
        value: its warp error.
        picture: that frame, as a data URI.
        error_map: error along the motion, black to yellow; hidden points grey.
    """

    frame: int
    value: float
    picture: str
    error_map: str


@dataclass(frozen=True)
class Version:
    """One column of a clip's player.

    Attributes:
        name: source, target or the method's name.
        style: its colour number; None for source and target.
        scores: its scores; None for source and target.
        worst: its worst frame, if it has scores.
    """

    name: str
    style: int | None
    scores: Scores | None = None
    worst: Worst | None = None


@dataclass(frozen=True)
class ClipView:
    """A clip as the report shows it.

    Attributes:
        name: the clip's name.
        instruction: the edit's instruction.
        fps: frames per second.
        num_frames: T.
        video: all versions side by side, a data URI.
        gap_percent: gap between two versions, in percent of the video's width.
        versions: in the order of the video.
        largest_error: the error shown as the brightest colour, on [0,1].
    """

    name: str
    instruction: str
    fps: Fraction
    num_frames: int
    video: str
    gap_percent: float
    versions: list[Version]
    largest_error: float


def view_clip(
    name: str,
    instruction: str,
    edits: Sequence[tuple[str, Pair, Scores]],
    *,
    first_style: int = 0,
) -> ClipView:
    """Return a clip's view: source, target if known, and its edits.

    Args:
        name: the clip's name.
        instruction: the edit's instruction; empty if it is unknown.
        edits: (method, pair, scores) of each edit.
        first_style: colour number of the first edit; the others follow.
    """
    first = edits[0][1]
    shown = [("source", first.source)]
    shown += [("exact target", first.target)] if first.target is not None else []
    num_given = len(shown)
    shown += [(method, pair.edited) for method, pair, _ in edits]
    video, gap_percent = side_by_side_video([frames for _, frames in shown], first.fps)
    maps = [error_maps(pair) for _, pair, _ in edits]
    largest = max(float(error[pair.visible].quantile(0.995)) if pair.visible.any() else 0.0
                  for error, (_, pair, _) in zip(maps, edits, strict=True))  # fmt: skip
    versions = [Version(given, None) for given, _ in shown[:num_given]]
    numbered = enumerate(zip(edits, maps, strict=True), start=first_style)
    for style, ((method, pair, scores), error) in numbered:
        versions.append(Version(method, style, scores, _worst(pair, scores, error, largest)))
    return ClipView(
        name, instruction, first.fps, len(first.source), video, gap_percent, versions, largest
    )


def side_by_side_video(clips: Sequence[Tensor], fps: Fraction) -> tuple[str, float]:
    """Return clips (T,3,H,W) in [0,1] as one H.264 data URI, and the gap's width in percent."""
    height, width = clips[0].shape[2:]
    longer = min(max(height, width, SMALL_PX), LARGE_PX)
    size = fit_size(height, width, size=longer, multiple=2)
    gap = np.full((len(clips[0]), size[0], GAP_PX, 3), 255, np.uint8)
    strips: list[Image] = []
    for clip in clips:
        strips += [resize(to_images(clip * 2 - 1), size), gap]
    joined = np.concatenate(strips[:-1], axis=2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "clips.mp4")
        write_video(joined, path, fps, media=MediaConfig(crf=CRF))
        return data_uri("video/mp4", path.read_bytes()), 100 * GAP_PX / joined.shape[2]


def error_maps(pair: Pair) -> Tensor:
    """Return the error of each point along the motion, (T-1,H,W), root mean square of channels."""
    return (warp_back(pair.edited, pair.flow) - pair.edited[:-1]).square().mean(1).sqrt()


def picture_uri(image: Image) -> str:
    """Return uint8 (H,W,3) as a WebP data URI."""
    file = io.BytesIO()
    PilImage.fromarray(image).save(file, "WEBP", quality=WEBP_QUALITY, method=4)
    return data_uri("image/webp", file.getvalue())


def data_uri(kind: str, content: bytes) -> str:
    """Return a file's content as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _worst(pair: Pair, scores: Scores, error: Tensor, largest: float) -> Worst | None:
    measured = [(v, t) for t, v in enumerate(scores.series["warp_error"]) if v is not None]
    if not measured:
        return None
    value, t = max(measured)
    height, width = pair.source.shape[2:]
    size = fit_size(height, width, size=min(LARGE_PX, max(height, width)), multiple=1)
    frame = resize(to_images(pair.edited[t + 1 : t + 2] * 2 - 1)[0], size)
    heat = resize(_heat(error[t], pair.visible[t], largest), size)
    return Worst(t + 1, value, picture_uri(frame), picture_uri(heat))


def _heat(error: Tensor, visible: Tensor, largest: float) -> Image:
    """Return error (H,W) as colours (H,W,3) from black (0) to yellow (`largest`)."""
    levels = (error / max(largest, 1e-6)).clamp(0, 1) * 255
    coloured = cv2.applyColorMap(levels.to(torch.uint8).numpy(), cv2.COLORMAP_INFERNO)
    heat = np.ascontiguousarray(coloured[..., ::-1], dtype=np.uint8)
    heat[~visible.numpy()] = HIDDEN
    return heat
