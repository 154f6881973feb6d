"""Draw the pictures at the top of README from the bundled clip and the bundled model.

    python benchmarks/quality/draw_demo.py          writes docs/sheets/loop.webp and results.jpg

The looping picture shows source, editing frame by frame (each frame with its own noise, as an image
editor does it), and Fairy. The table shows a frame of the source and of six edits.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image as PilImage

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.record import ROOT, machine
from fairy import FairyPipeline, read_video
from fairy.evaluation.methods import frame_by_frame
from fairy.media.colours import Image
from fairy.media.contact_sheet import contact_sheet
from fairy.media.enlarge import enlarge
from fairy.media.frames import fit_size, resize, to_images

CLIP = ROOT / "examples" / "media" / "bigbuckbunny.mp4"
OPEN_EDIT = "make it pop art"
EDITS = (
    "make it night",
    "make it snow",
    "make it thermal",
    "make it sepia",
    "light it with lamps of two colours",
    "make it black and white",
)
# Every second frame: 12.5 a second
STEP = 2
PANEL = (180, 320)
MAX_LOOP_BYTES = 2_000_000


def main(words: Sequence[str] | None = None) -> None:
    """Edit and draw."""
    args = parser().parse_args(words)
    frames = read_video(args.clip)[: args.frames]
    pipe = FairyPipeline.from_pretrained(args.model, device="auto", dtype="auto")
    pipe.set_progress_bar_config(disable=True)
    loop = looping(pipe, frames[::STEP])
    write_loop(args.out / "loop.webp", loop)
    write_results(args.out / "results.jpg", pipe, frames)
    print(f"wrote {args.out / 'loop.webp'}, {args.out / 'results.jpg'}", machine().get("commit"))


def looping(pipe: FairyPipeline, frames: Image) -> list[Image]:
    """Return the panels of each frame side by side: source, frame by frame, Fairy."""
    small = np.stack([resize(frame, PANEL) for frame in frames])
    alone = edit_alone(pipe, small)
    fairy = pipe(small, OPEN_EDIT, generator=0).frames
    labels = ("source", f'"{OPEN_EDIT}", frame by frame', f'"{OPEN_EDIT}" with Fairy')
    panels = zip(small, alone, fairy, strict=True)
    return [contact_sheet([row], [""], column_labels=labels) for row in panels]


def edit_alone(pipe: FairyPipeline, frames: Image) -> Image:
    """Return frames (T,H,W,3) edited one by one, each from its own noise, enlarged as Fairy's."""
    size = fit_size(*frames.shape[1:3], size=pipe.defaults.size, multiple=pipe.grid)
    images = torch.from_numpy(resize(frames, size)).permute(0, 3, 1, 2) / 255
    edited = to_images(frame_by_frame(pipe, own_noise=True).edit(images, OPEN_EDIT, 0) * 2 - 1)
    return np.stack(
        [
            enlarge(source, image, PANEL, method="guided")
            for source, image in zip(frames, edited, strict=True)
        ]
    )


def write_loop(path: Path, pictures: Sequence[Image]) -> None:
    """Write an animated WebP as good as its limit of bytes allows."""
    shown = [PilImage.fromarray(picture) for picture in pictures]
    for quality in (70, 60, 50, 40, 30, 20):
        shown[0].save(
            path,
            save_all=True,
            append_images=shown[1:],
            duration=40 * STEP,
            loop=0,
            quality=quality,
            method=4,
        )
        if path.stat().st_size <= MAX_LOOP_BYTES:
            return


def write_results(path: Path, pipe: FairyPipeline, frames: Image) -> None:
    """Write one frame of the clip and of each edit as a table of pictures."""
    few = frames[:: max(1, len(frames) // 4)]
    shown = len(few) // 2
    edited = [pipe(few, text, generator=0).frames[shown] for text in EDITS]
    cells = [resize(picture, PANEL) for picture in (few[shown], *edited)]
    names = ["source", *(f'"{text}"' for text in EDITS)]
    # Two rows, the source above its edits on the left
    half = (len(cells) + 1) // 2
    sheets = [
        contact_sheet([cells[part]], [""], column_labels=names[part])
        for part in (slice(0, half), slice(half, None))
    ]
    width = max(sheet.shape[1] for sheet in sheets)
    padded = [
        np.pad(one, ((0, 0), (0, width - one.shape[1]), (0, 0)), constant_values=255)
        for one in sheets
    ]
    PilImage.fromarray(np.concatenate(padded)).save(path, quality=85)


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument("--clip", type=Path, default=CLIP)
    made.add_argument("--model", default="mini")
    made.add_argument("--frames", type=int, default=75)
    made.add_argument("--out", type=Path, default=ROOT / "docs" / "sheets")
    return made


if __name__ == "__main__":
    main()
