"""`make demo`: edit a rendered clip, or your own, and print where the results are.

python examples/demo.py
python examples/demo.py --clip in.mp4 --instruction "black and white" --out out/demo
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
from PIL import Image
from rendered_clip import rendered_clip
from rich.console import Console

import fairy
from fairy.cli.console import frame_progress, quiet_libraries
from fairy.media.contact_sheet import contact_sheet
from fairy.media.read import probe, read_frame_at
from fairy.settings import EditConfig

INSTRUCTION = "make it sunset"
NUM_COLUMNS = 5


def main() -> None:
    """Render or take a clip, edit it, draw the sheet and print where everything is."""
    parser = argparse.ArgumentParser(description="Edit a clip and compare.")
    parser.add_argument("--clip", type=Path, help="your clip (default: one is rendered)")
    parser.add_argument("--instruction", default=INSTRUCTION)
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder for the results")
    parser.add_argument("--frames", type=int, default=48, help="frames of the rendered clip")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--size", type=int, help="longer side at which the model works")
    parser.add_argument("--steps", type=int, help="denoising steps")
    args = parser.parse_args()
    quiet_libraries()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    args.out.mkdir(parents=True, exist_ok=True)
    clip = args.clip or render_to(args.out / "clip.mp4", args.frames)
    edited, compare = args.out / "edited.mp4", args.out / "side_by_side.mp4"
    config = EditConfig(model=args.model, size=args.size, num_inference_steps=args.steps)
    with frame_progress(Console(stderr=True), args.instruction) as progress:
        report = fairy.edit_video(
            clip,
            args.instruction,
            edited,
            config,
            compare=compare,
            report=args.out / "report.json",
            overwrite=True,
            progress=progress,
        )
    sheet = draw_sheet(clip, edited, args.instruction, args.out / "contact_sheet.png")
    seconds, backend = report.seconds["total"], report.used.backend
    print(f'"{args.instruction}": {report.num_frames_out} frames in {seconds:.0f} s ({backend})')
    print(f"  clip          {clip}\n  result        {edited}")
    print(f"  side by side  {compare}\n  contact sheet {sheet}")


def render_to(path: Path, num_frames: int) -> Path:
    """Write a rendered clip to `path` and return it."""
    fairy.write_video(rendered_clip(num_frames, 192, 256, seed=3), path, fps=24, overwrite=True)
    return path


def draw_sheet(clip: Path, edited: Path, instruction: str, path: Path) -> Path:
    """Write frames of both clips, evenly spread, as two rows of one PNG, and return its path."""
    last = probe(clip).num_frames - 1
    indices = sorted({round(at) for at in np.linspace(0, last, NUM_COLUMNS)})
    rows = [[frame.image for frame in read_frame_at(video, indices)] for video in (clip, edited)]
    Image.fromarray(contact_sheet(rows, ["source", instruction])).save(path)
    return path


if __name__ == "__main__":
    main()
