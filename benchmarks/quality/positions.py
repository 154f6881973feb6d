"""Where should frames see the anchors? Positions x balance x number of anchors, on three motions.

    python benchmarks/quality/positions.py black-forest-labs/FLUX.2-klein-4B --out out/positions

A still, a pan and a fast pan over one picture (rendered, or `--picture FILE`), so that the motion
is known exactly. A table, one sheet, and a JSON document as the last line. Read the columns
together: warp error rewards blur and unedited clips; a frozen result shows in `motion_kept` alone.

- `warp_error_x1000`: `fairy.metrics.temporal.warp_error` along the true motion; lower is steadier.
- `change`: mean absolute change from the source: the strength of the edit.
- `motion_kept`: estimated flow of the result along the source's true flow; 1 keeps it, 0 is frozen.
- `sharpness`: detail relative to the source. `drift`: distance of the look from the anchors'.

No default of Fairy was chosen by this yet: it has not run on real weights.
Tests: tests/benchmarks/quality/test_positions.py.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.record import keep, show
from fairy.anchors.selection import select_anchor_indices
from fairy.editors.base import Anchor, EditInput
from fairy.editors.images import fit_to_grid
from fairy.editors.loading import load_editor
from fairy.editors.stock.editor import StockEditor
from fairy.errors import SettingsError
from fairy.media.colours import Image
from fairy.media.contact_sheet import contact_sheet
from fairy.media.frames import resize, to_images
from fairy.metrics.drift import drift
from fairy.metrics.fidelity import sharpness
from fairy.metrics.flow import estimate_flow
from fairy.metrics.temporal import warp_error
from fairy.settings import POSITIONS, EditConfig
from fairy.synthetic.moving_scenes import sample_clip
from fairy.synthetic.samplers import SceneSampler

# Widths of the picture by which the camera moves from frame to frame
SPEEDS = {"still": 0.0, "pan": 0.01, "fast": 0.04}


@dataclass(frozen=True)
class MovingClip:
    """A camera over one picture.

    Attributes:
        name: a key of `SPEEDS`.
        frames: uint8 (T,H,W,3).
        step_px: columns by which each frame is further to the right.
    """

    name: str
    frames: Image
    step_px: int

    @property
    def motion(self) -> tuple[Tensor, Tensor]:
        """The true flow (T-1,2,H,W) in px, and where a point stays in the picture (T-1,H,W)."""
        count, height, width = self.frames.shape[:3]
        flow = torch.zeros(count - 1, 2, height, width)
        flow[:, 0] = -float(self.step_px)
        visible = torch.arange(width).expand(count - 1, height, width) >= self.step_px
        return flow, visible


def make_clips(
    num_frames: int, size: tuple[int, int], picture: Path | None = None
) -> Iterator[MovingClip]:
    """Yield the three clips of `size` (height, width)."""
    height, width = size
    steps = {name: round(speed * width) for name, speed in SPEEDS.items()}
    whole = (height, width + max(steps.values()) * (num_frames - 1))
    if picture is None:
        draw = torch.Generator().manual_seed(0)
        canvas = to_images(sample_clip(SceneSampler(), 2, whole, draw).frames[:1] * 2 - 1)[0]
    else:
        canvas = resize(np.asarray(PIL.Image.open(picture).convert("RGB")), whole)
    for name, step in steps.items():
        crops = [canvas[:, step * t : step * t + width] for t in range(num_frames)]
        yield MovingClip(name, np.stack(crops), step)


def edit(editor: StockEditor, clip: MovingClip, config: EditConfig, instruction: str) -> Image:
    """Return the edited frames, uint8 (T,H,W,3)."""
    frames = clip.frames
    chosen = select_anchor_indices(len(frames), config.num_anchors)
    anchors = [Anchor(index, frames[index]) for index in chosen]
    size = (frames.shape[1], frames.shape[2])
    with editor.begin(instruction, anchors, config, size=size) as session:
        return session.edit([EditInput(index, frame) for index, frame in enumerate(frames)])


def scores(clip: MovingClip, result: Image, num_anchors: int) -> dict[str, float | None]:
    """Return the numbers of one edit."""
    source, edited = (_unit(images) for images in (clip.frames, result))
    flow, visible = clip.motion
    anchors = select_anchor_indices(len(result), num_anchors)
    return {
        "warp_error_x1000": 1000 * warp_error(edited, flow, visible),
        "change": float((edited - source).abs().mean()),
        "motion_kept": motion_kept(edited, flow, visible) if clip.step_px else None,
        "sharpness": sharpness(edited, source),
        "drift": float(drift(edited, anchors).mean()),
    }


def motion_kept(edited: Tensor, flow: Tensor, visible: Tensor) -> float:
    """Return the median of the estimated flow along the true one, as a part of it.

    Args:
        edited: (T,3,H,W) in [0,1].
        flow: the source's (T-1,2,H,W).
        visible: (T-1,H,W) bool.
    """
    found, _ = estimate_flow(edited)
    along = (found * flow).sum(1) / flow.square().sum(1)
    return float(along[visible].median())


def cases(editor: StockEditor, anchors: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield settings: every frame alone, then anchors x positions x balance that the family has."""
    yield {"num_anchors": 1, "anchor_strength": 0.0}
    positions = POSITIONS if editor.family.rope else POSITIONS[:1]
    # A UNet's self-attention holds image tokens alone
    balances = (True, False) if editor.family.tokens != "all" else (True,)
    for count, position, balance in itertools.product(anchors, positions, balances):
        yield {"num_anchors": count, "anchor_position": position, "balance": balance}


def label(case: dict[str, Any]) -> str:
    """Return a case for people."""
    if case.get("anchor_strength") == 0:
        return "each frame alone"
    balance = "balanced" if case["balance"] else "unbalanced"
    return f"{case['num_anchors']} anchors, {case['anchor_position']}, {balance}"


def main() -> None:
    """Edit every clip in every way; write the sheet, the rows and the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a hub id or a folder")
    parser.add_argument("--instruction", default="make it a watercolour painting")
    parser.add_argument("--frames", type=int, default=13)
    parser.add_argument("--size", type=int, nargs=2, default=(384, 512), metavar=("H", "W"))
    parser.add_argument("--anchors", type=int, nargs="+", default=(1, 3))
    parser.add_argument("--steps", type=int)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("out/positions"))
    args = parser.parse_args()
    base = EditConfig(model=args.model, device=args.device, num_inference_steps=args.steps, seed=0)
    editor = load_editor(base)
    if not isinstance(editor, StockEditor):
        raise SettingsError(f"{args.model}: its attention has no positions; name a stock pipeline")
    size = fit_to_grid(args.size, editor.grid)
    clips = list(make_clips(args.frames, size, args.picture))
    rows, shown = [], {clip.name: [clip.frames] for clip in clips}
    labels = ["source"]
    for case in cases(editor, args.anchors):
        labels.append(label(case))
        for clip in clips:
            result = edit(editor, clip, replace(base, **case), args.instruction)
            shown[clip.name].append(result)
            row = {
                "clip": clip.name,
                "way": labels[-1],
                **scores(clip, result, case["num_anchors"]),
            }
            keep(args.out / "positions.jsonl", "positions", row)
            rows.append(row)
    _write_sheet(args.out / "positions.png", shown, labels)
    show(f"{args.model}: {args.instruction}", rows, frames=args.frames, size=list(size))


def _write_sheet(path: Path, shown: dict[str, list[Image]], labels: Sequence[str]) -> None:
    """Draw the first, the middle and the last frame of every clip, one way a row."""
    columns = [(name, t) for name in shown for t in ("first", "middle", "last")]
    strips = []
    for way in range(len(labels)):
        clips = [results[way] for results in shown.values()]
        strips.append([clip[t] for clip in clips for t in (0, len(clip) // 2, -1)])
    names = [f"{name}, {t}" for name, t in columns]
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = contact_sheet(strips, labels, column_labels=names, cell_height=96)
    PIL.Image.fromarray(sheet).save(path)


def _unit(images: Image) -> Tensor:
    """Return uint8 (T,H,W,3) as float (T,3,H,W) in [0,1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


if __name__ == "__main__":
    main()
