"""How near enlarged edits are to the exact look at full size: sizes x looks x ways of enlarging.

    python benchmarks/quality/enlarge_sizes.py --clips CLIPS --rows ROWS --write docs/measured.md
    python benchmarks/quality/enlarge_sizes.py --clips CLIPS --sheet docs/sheets/enlarge.jpg

The first measures: consecutive frames from the middle of each clip are edited at every size by the
bundled model, as anchors, enlarged in every way, and compared with the look's exact result at full
size. Every row is kept in ROWS, JSON lines, at once, and rows that are there are not measured
again; the tables hold the looks that are measured on every clip. The second draws crops.

dB is PSNR; sharpness is the energy of fine detail as a share of the exact result's; the warp error,
x 1000, is along DIS flow of the source; the exact result has one too, where flow or light change.
Seconds are processor time for a frame: editing and enlarging.
Tests: tests/benchmarks/quality/test_enlarge_sizes.py.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PilImage
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.pages import markdown_table, put_between
from benchmarks.lib.record import keep, machine
from fairy import FairyPipeline, probe
from fairy.media.colours import Image
from fairy.media.contact_sheet import contact_sheet
from fairy.media.enlarge import enlarge
from fairy.media.frames import fit_size, resize
from fairy.media.read import read_frames
from fairy.metrics.fidelity import detail_energy
from fairy.metrics.flow import estimate_flow
from fairy.metrics.temporal import warp_error
from fairy.settings import MediaConfig
from fairy.synthetic import looks
from fairy.synthetic.phrases import known_instruction

NAME = "enlarge_sizes"
SIZES = (160, 256, 320, 384, 512)
# Of the bundled model
DEFAULT_SIZE = 256
METHODS = ("guided", "bicubic", "lanczos")
# The "method" of the row of the exact result itself
EXACT = "exact"
FIGURES = ("dB", "sharpness", "warp error", "edit s", "enlarge s")
COLOUR_LOOKS = ("sepia", "night", "black_and_white", "sunset", "warm_film", "negative", "thermal")
DRAWN_LOOKS = ("winter", "comic", "blueprint")
# In this order, so that a run that is stopped has some of both
LOOKS = (
    "sepia",
    "comic",
    "night",
    "winter",
    "black_and_white",
    "sunset",
    "blueprint",
    "warm_film",
    "negative",
    "thermal",
)
CLIPS = ("d03", "d04", "d05", "d09", "d11", "d12")
# Clips and looks of the sheet: pictures of these clips may be shown
SHOWN = (
    ("d03", "sepia"),
    ("d03", "night"),
    ("d09", "sunset"),
    ("d11", "warm_film"),
    ("d09", "winter"),
    ("d03", "comic"),
)
SHOWN_COLUMNS = (
    (160, "guided"),
    (256, "bicubic"),
    (256, "lanczos"),
    (256, "guided"),
    (512, "guided"),
)
CROP_PX = (240, 300)
Row = dict[str, Any]


@dataclass(frozen=True)
class Clip:
    """Frames uint8 (T,H,W,3) of a clip, and their motion."""

    name: str
    frames: Image
    flow: Tensor
    visible: Tensor


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print, or draw."""
    args = parser().parse_args(words)
    pipe = FairyPipeline.from_pretrained(args.model)
    pipe.set_progress_bar_config(disable=True)
    if args.sheet is not None:
        return draw(pipe, args)
    rows = kept_rows(args.rows)
    clips = [load(args, name) for name in args.names]
    # The first edit loads what the others find loaded
    edited(pipe, clips[0].frames[:1], "sepia", min(args.sizes))
    for look in args.looks:
        for clip in clips:
            for row in measure(pipe, clip, look, args.sizes, done={key(row) for row in rows}):
                keep(args.rows, NAME, row)
                rows.append(row)
    text = report(rows, sizes=args.sizes, num_frames=args.frames)
    print(text)
    if args.write is not None:
        page = args.write.read_text(encoding="utf-8")
        args.write.write_text(put_between(page, "enlarge", text), encoding="utf-8")
    print(json.dumps({**machine(), "rows": [{**mean(of), "of": n} for n, of in by_size(rows)]}))


def kept_rows(path: Path | None) -> list[Row]:
    """Return the rows that an earlier run kept."""
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def key(row: Row) -> tuple[str, str, int, str]:
    """Return what a row is of."""
    return row["clip"], row["look"], row["size"], row["method"]


def load(args: argparse.Namespace, name: str) -> Clip:
    """Return frames from the middle of the one clip whose name begins so, and their motion."""
    (path,) = args.clips.glob(f"{name}*")
    frames = middle_frames(path, args.frames)
    height, width = frames.shape[1:3]
    if max(height, width) > args.longest:
        frames = resize(frames, fit_size(height, width, size=args.longest, multiple=2))
    return Clip(name, frames, *estimate_flow(as_tensor(frames)))


def middle_frames(path: Path, count: int) -> Image:
    """Return consecutive frames from the middle of a clip."""
    middle = MediaConfig(start_s=probe(path).duration_s / 2, max_frames=count)
    return np.stack([one.image for one in read_frames(path, middle)])


def measure(
    pipe: FairyPipeline, clip: Clip, look: str, sizes: Sequence[int], *, done: set[tuple[Any, ...]]
) -> Iterator[Row]:
    """Yield the rows of one clip and look that are not done: by size and method, and EXACT's."""
    target = as_tensor(exact(clip.frames, look))
    detail = detail_energy(target)
    asked = [(0, EXACT), *((size, method) for size in sizes for method in METHODS)]
    asked = [one for one in asked if (clip.name, look, *one) not in done]
    small: dict[int, tuple[Image, float]] = {}
    for size, method in asked:
        row: Row = {"clip": clip.name, "look": look, "size": size, "method": method}
        if method == EXACT:
            yield {**row, "warp error": 1000 * warp_error(target, clip.flow, clip.visible)}
            continue
        if size not in small:
            small = {size: edited(pipe, clip.frames, look, size)}
        images, edit_s = small[size]
        began = time.process_time()
        shown = as_tensor(enlarged(clip.frames, images, method))
        enlarge_s = (time.process_time() - began) / len(images)
        yield {
            **row,
            "dB": -10 * math.log10(max(float((shown - target).square().mean()), 1e-10)),
            "sharpness": detail_energy(shown) / detail,
            "warp error": 1000 * warp_error(shown, clip.flow, clip.visible),
            "edit s": edit_s,
            "enlarge s": enlarge_s,
        }


def edited(pipe: FairyPipeline, frames: Image, look: str, size: int) -> tuple[Image, float]:
    """Return the edit uint8 (T,h,w,3) at a size, and its processor seconds a frame."""
    height, width = fit_size(*frames.shape[1:3], size=size, multiple=pipe.grid)
    began = time.process_time()
    images = pipe(
        frames,
        known_instruction(look),
        height=height,
        width=width,
        num_anchors=min(3, len(frames)),
        generator=0,
    ).frames
    return images, (time.process_time() - began) / len(frames)


def enlarged(frames: Image, small: Image, method: str) -> Image:
    """Return small edits uint8 (T,h,w,3) at the size of `frames` (T,H,W,3)."""
    size = (frames.shape[1], frames.shape[2])
    pairs = zip(frames, small, strict=True)
    return np.stack([enlarge(source, edit, size, method=method) for source, edit in pairs])


def exact(frames: Image, look: str) -> Image:
    """Return the look's exact result at full size."""
    target = getattr(looks, look)(as_tensor(frames))
    levels = (target * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    return np.ascontiguousarray(levels.numpy())


def as_tensor(frames: Image) -> Tensor:
    """Return uint8 (T,H,W,3) as float (T,3,H,W) in [0,1]."""
    return torch.from_numpy(frames).permute(0, 3, 1, 2) / 255


def mean(rows: Sequence[Row]) -> dict[str, float]:
    """Return the means of the figures of rows."""
    names = [name for name in FIGURES if name in rows[0]]
    return {name: float(np.mean([row[name] for row in rows])) for name in names}


def by_size(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Return rows in groups of one size and method."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row["method"] != EXACT:
            groups.setdefault(f"{row['size']} {row['method']}", []).append(row)
    return sorted(groups.items(), key=lambda one: int(one[0].split()[0]))


def complete(rows: Sequence[Row], sizes: Sequence[int]) -> list[Row]:
    """Return the rows of looks that every clip has at every size and in every way."""
    rows = [row for row in rows if row["size"] in (0, *sizes)]
    names = {row["clip"] for row in rows}
    counts = {look: sum(row["look"] == look for row in rows) for look in {r["look"] for r in rows}}
    whole = len(names) * (1 + len(sizes) * len(METHODS))
    return [row for row in rows if counts[row["look"]] == whole]


def report(rows: Sequence[Row], *, sizes: Sequence[int], num_frames: int) -> str:
    """Return the tables: by size and method, by look, and the warp error of each clip."""
    rows = complete(rows, sizes)
    chosen = list(dict.fromkeys(row["look"] for row in rows))
    names = list(dict.fromkeys(row["clip"] for row in rows))
    titled = (("Colour looks", COLOUR_LOOKS), ("Looks that draw", DRAWN_LOOKS))
    groups = [(title, of) for title, all_of in titled if (of := [k for k in all_of if k in chosen])]
    here, by_look = machine(), DEFAULT_SIZE if DEFAULT_SIZE in sizes else sizes[0]
    parts = [
        f"{len(names)} clips ({', '.join(names)}), {num_frames} consecutive frames of each, "
        f"{len(chosen)} looks. dB, sharpness and warp error × 1000 are means over clips and looks; "
        "seconds are of processor time for a frame, editing and enlarging. Commit "
        f"{_commits(rows)}, one thread of {here['processor']}, float32."
    ]
    for title, group in groups:
        own = [row for row in rows if row["look"] in group]
        parts += [f"**{title}**: {', '.join(map(spoken, group))}.", _by_size_table(own, group)]
        parts += [f"Sharpness by look at {by_look} px:", _sharpness(own, by_look, group)]
        parts += ["Warp error × 1000 of each clip, mean over these looks and sizes:", _flicker(own)]
    return "\n" + "\n\n".join(parts) + "\n"


def _commits(rows: Sequence[Row]) -> str:
    return ", ".join(f"`{one}`" for one in sorted({row.get("commit", "?") for row in rows}))


def spoken(look: str) -> str:
    """Return a look's name as words."""
    return look.replace("_", " ")


def _by_size_table(rows: Sequence[Row], chosen: Sequence[str]) -> str:
    head = ["size", "enlarged by", "dB", "sharpness", "warp error", "s"]
    lines = []
    for name, of in by_size(rows):
        every = mean(of)
        seconds = every["edit s"] + every["enlarge s"]
        figures = [f"{every['dB']:.1f}", f"{every['sharpness']:.2f}"]
        figures += [f"{every['warp error']:.3f}", f"{seconds:.2f}"]
        each = [mean([row for row in of if row["look"] == look])["dB"] for look in chosen]
        lines.append([*name.split(), *figures, *(f"{value:.1f}" for value in each)])
    return markdown_table([*head, *(f"{spoken(look)}, dB" for look in chosen)], lines)


def _sharpness(rows: Sequence[Row], size: int, chosen: Sequence[str]) -> str:
    lines = []
    for method in METHODS:
        of = [row for row in rows if (row["size"], row["method"]) == (size, method)]
        each = [mean([row for row in of if row["look"] == look])["sharpness"] for look in chosen]
        lines.append([method, *(f"{value:.2f}" for value in each)])
    return markdown_table(["", *map(spoken, chosen)], lines)


def _flicker(rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(row["clip"] for row in rows))
    lines = []
    for method in (EXACT, *METHODS):
        of = {n: [r for r in rows if r["clip"] == n and r["method"] == method] for n in names}
        figures = [mean(of[name])["warp error"] for name in names]
        lines.append([method, *(f"{value:.3f}" for value in [*figures, float(np.mean(figures))])])
    return markdown_table(["", *names, "mean"], lines)


def draw(pipe: FairyPipeline, args: argparse.Namespace) -> None:
    """Write crops of source, exact result and enlarged edits to `args.sheet`."""
    crops = []
    for name, look in SHOWN:
        frames = load(args, name).frames[:1]
        row = [frames, exact(frames, look)]
        small = {size: edited(pipe, frames, look, size)[0] for size, _ in SHOWN_COLUMNS}
        row += [enlarged(frames, small[size], method) for size, method in SHOWN_COLUMNS]
        crops.append([crop(image[0]) for image in row])
    labels = ["source", "exact", *(f"{size}, {method}" for size, method in SHOWN_COLUMNS)]
    rows = [f"{spoken(look)}" for _, look in SHOWN]
    sheet = contact_sheet(crops, rows, column_labels=labels)
    PilImage.fromarray(sheet).save(args.sheet, optimize=True, quality=88)


def crop(image: Image) -> Image:
    """Return the middle of an image at full size."""
    top, left = (
        max(0, (whole - side) // 2) for whole, side in zip(image.shape[:2], CROP_PX, strict=True)
    )
    return image[top : top + CROP_PX[0], left : left + CROP_PX[1]]


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("--clips", type=Path, required=True, help="a folder of clips")
    made.add_argument("--names", nargs="+", default=CLIPS, help="how their names begin")
    made.add_argument("--model", default="mini")
    made.add_argument("--looks", nargs="+", default=LOOKS)
    made.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    made.add_argument("--frames", type=int, default=2, help="at least 2 of each clip")
    made.add_argument("--longest", type=int, default=1280, help="clips are shrunk to this many px")
    made.add_argument("--rows", type=Path, help="file of JSON lines to keep rows in and go on from")
    made.add_argument("--write", type=Path, help="document whose tables are replaced")
    made.add_argument("--sheet", type=Path, help="picture to draw instead")
    return made


if __name__ == "__main__":
    main()
