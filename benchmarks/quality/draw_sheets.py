"""Draw the contact sheets of docs/training.md: rendered clips, edited with the bundled model.

    python benchmarks/quality/draw_sheets.py                   writes docs/sheets/*.png

Each sheet shows five frames of a rendered clip and of its edits, evenly spread over the clip.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.record import ROOT, machine
from benchmarks.lib.sheets import write_sheet
from fairy import FairyPipeline
from fairy.evaluation.methods import with_anchors
from fairy.synthetic.moving_scenes import sample_clip
from fairy.synthetic.samplers import SceneSampler

SHEETS = {
    "looks": (3, ("make it snow", "make it a pencil sketch", "make it sunset", "make it night")),
    "prints": (8, ("make it a blueprint", "make it thermal", "make it sepia", "make it a comic")),
    "shapes": (
        21,
        ("keep only the shapes in colour", "make it pixel art", "give the shapes new colours"),
    ),
}
NUM_SHOWN = 5


def main(words: Sequence[str] | None = None) -> None:
    """Render, edit, draw."""
    args = parser().parse_args(words)
    method = with_anchors(FairyPipeline.from_pretrained(args.model, device="auto", dtype="auto"))
    for name, (seed, instructions) in SHEETS.items():
        generator = torch.Generator().manual_seed(seed)
        clip = sample_clip(SceneSampler(), args.frames, tuple(args.size), generator)
        videos = {"source": clip.frames}
        videos |= {f'"{text}"': method.edit(clip.frames, text, 0) for text in instructions}
        write_sheet(args.out / f"{name}.png", videos, NUM_SHOWN)
        print(f"wrote {args.out / name}.png", machine()["commit"])


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument("--model", default="mini")
    made.add_argument("--frames", type=int, default=13)
    made.add_argument("--size", type=int, nargs=2, default=(144, 192), metavar=("H", "W"))
    made.add_argument("--out", type=Path, default=ROOT / "docs" / "sheets")
    return made


if __name__ == "__main__":
    main()
