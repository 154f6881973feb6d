"""`make demo`: edit the clip beside this file four times, or your own, and show the results.

python examples/demo.py
python examples/demo.py --clip in.mp4 --instruction "black and white" --out out/demo
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fairy.batch.answers import JobResult
from fairy.batch.runner import run_batch
from fairy.cli.console import quiet_libraries
from fairy.media.contact_sheet import contact_sheet
from fairy.media.frames import resize
from fairy.media.read import probe, read_frame_at, read_frames
from fairy.media.write import VideoWriter
from fairy.settings import EditConfig

CLIP = Path(__file__).parent / "media" / "bigbuckbunny.mp4"
INSTRUCTIONS = ("make it night", "make it snow", "make it thermal", "make it pop art")
NUM_COLUMNS = 4


def main() -> None:
    """Edit the clip by every instruction, draw the comparison and print where everything is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, default=CLIP, help="your clip")
    parser.add_argument("--instruction", action="append", help="what to change; may be repeated")
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder for the results")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--size", type=int, help="longer side at which the model works")
    parser.add_argument("--steps", type=int, help="denoising steps")
    args = parser.parse_args()
    quiet_libraries()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    instructions = args.instruction or list(INSTRUCTIONS)
    args.out.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    print(f"{args.clip}: {len(instructions)} edits with {args.model}", flush=True)
    config = EditConfig(model=args.model, size=args.size, num_inference_steps=args.steps)
    edited = edit_all(args.clip, instructions, args.out, config)
    sheet, comparison = args.out / "comparison.png", args.out / "comparison.mp4"
    draw_sheet(args.clip, edited, instructions, sheet)
    write_grid(args.clip, edited, comparison)
    print(f"done in {time.perf_counter() - began:.0f} s")
    print(f"  all at once  {comparison}\n  frames       {sheet}")
    has_screen = os.name == "nt" or sys.platform == "darwin" or "DISPLAY" in os.environ
    if sys.stdout.isatty() and has_screen:
        webbrowser.open(sheet.resolve().as_uri())


def edit_all(clip: Path, instructions: Sequence[str], out: Path, config: EditConfig) -> list[Path]:
    """Edit the clip by all instructions with one model load; return the results."""
    outputs = [out / f"{name_of(text)}.mp4" for text in instructions]
    jobs = out / "jobs.jsonl"
    pairs = zip(instructions, outputs, strict=True)
    lines = [
        {"input": str(clip), "instruction": text, "output": str(path), "overwrite": True}
        for text, path in pairs
    ]
    jobs.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")

    def show(result: JobResult) -> None:
        state = result.error or f"{result.num_frames} frames in {result.seconds:.0f} s"
        print(f'  "{result.instruction}": {state}: {result.output}', flush=True)

    if any(result.state == "failed" for result in run_batch(jobs, config, on_result=show)):
        raise SystemExit(2)
    return outputs


def name_of(instruction: str) -> str:
    """Return a file's name for an instruction: "make it B/W!" -> "make-it-b-w"."""
    return re.sub(r"\W+", "-", instruction.lower()).strip("-") or "edited"


def draw_sheet(clip: Path, edited: Sequence[Path], names: Sequence[str], path: Path) -> None:
    """Write frames of the clip and of each result, evenly spread, as rows of one PNG."""
    last = probe(clip).num_frames - 1
    indices = sorted({round(at) for at in np.linspace(0, last, NUM_COLUMNS)})
    rows = [[one.image for one in read_frame_at(video, indices)] for video in (clip, *edited)]
    sheet = contact_sheet(rows, ["source", *names], cell_height=180)
    Image.fromarray(sheet).save(path)


def write_grid(clip: Path, edited: Sequence[Path], path: Path) -> None:
    """Write the clip and all results in one clip, beside each other, with the clip's sound."""
    info = probe(clip)
    height, width = (side // 2 * 2 for side in (info.height // 2, info.width // 2))
    num_columns = 2 if len(edited) == 1 else 3
    num_rows = -(-(1 + len(edited)) // num_columns)
    videos = zip(read_frames(clip), *map(read_frames, edited), strict=True)
    with VideoWriter(
        path, info=info, height=num_rows * height, width=num_columns * width, overwrite=True
    ) as writer:
        for frames in videos:
            grid = np.full((num_rows * num_columns, height, width, 3), 255, np.uint8)
            for cell, frame in zip(grid, frames, strict=False):
                cell[:] = resize(frame.image, (height, width))
            rows = grid.reshape(num_rows, num_columns, height, width, 3).swapaxes(1, 2)
            image = rows.reshape(num_rows * height, num_columns * width, 3)
            first = frames[0]
            writer.write(image, first.pts, first.time_base, first.duration)


if __name__ == "__main__":
    main()
