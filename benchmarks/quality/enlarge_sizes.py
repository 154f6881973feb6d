"""How near enlarged edits are to the exact look at full size: sizes x looks x ways of enlarging.

    python benchmarks/quality/enlarge_sizes.py --clips CLIPS                     prints the table
    python benchmarks/quality/enlarge_sizes.py --clips CLIPS --sheet sheet.png   and draws crops

Each clip's frames are edited at every size by the bundled model, enlarged in every way, and
compared with the look's exact result at full size. dB is PSNR; sharpness is the mean gradient as a
share of the exact result's; the warp error is along DIS flow of the source, x 1000; seconds are
processor time for a frame, editing and enlarging.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PilImage
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.record import machine
from fairy import FairyPipeline
from fairy.media.colours import Image
from fairy.media.contact_sheet import contact_sheet
from fairy.media.enlarge import enlarge
from fairy.media.frames import fit_size, resize
from fairy.media.read import read_frames
from fairy.metrics.fidelity import sharpness
from fairy.metrics.flow import estimate_flow
from fairy.metrics.temporal import warp_error
from fairy.settings import MediaConfig
from fairy.synthetic import looks
from fairy.synthetic.phrases import known_instruction

METHODS = ("guided", "bicubic", "lanczos")
LOOKS = ("sepia", "night", "sunset", "warm_film", "winter", "comic")
Scores = dict[tuple[int, str, str], list[dict[str, float]]]


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    args = parser().parse_args(words)
    pipe = FairyPipeline.from_pretrained(args.model)
    pipe.set_progress_bar_config(disable=True)
    scores: Scores = defaultdict(list)
    crops: list[list[Image]] = []
    names = [path for name in args.names for path in sorted(args.clips.glob(f"{name}*"))]
    for path in names:
        frames = clip_frames(path, args.frames, args.longest)
        for look in args.looks:
            row: list[Image] = []
            for size, method, result, scored in edits(pipe, frames, look, args.sizes):
                scores[size, look, method].append(scored)
                row.append(crop(result[0]))
            crops.append([crop(frames[0]), crop(exact(frames, look)[0]), *row])
    print_table(scores)
    if args.sheet is not None:
        labels = ["source", "exact", *(f"{s} {m}" for s in args.sizes for m in METHODS)]
        sheet = contact_sheet(crops, [""] * len(crops), column_labels=labels)
        PilImage.fromarray(sheet).save(args.sheet)
    rows = [{"size": s, "look": k, "method": m, **mean(v)} for (s, k, m), v in scores.items()]
    print(json.dumps({**machine(), "rows": rows}))


def clip_frames(path: Path, count: int, longest: int) -> Image:
    """Return the first frames of a clip, shrunk to `longest` pixels if they are larger."""
    frames = np.stack([one.image for one in read_frames(path, MediaConfig(max_frames=count))])
    height, width = frames.shape[1:3]
    if max(height, width) <= longest:
        return frames
    return resize(frames, fit_size(height, width, size=longest, multiple=2))


def exact(frames: Image, look: str) -> Image:
    """Return the look's exact result at full size."""
    target = getattr(looks, look)(as_tensor(frames))
    levels = (target * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    return np.ascontiguousarray(levels.numpy())


def edits(
    pipe: FairyPipeline, frames: Image, look: str, sizes: Sequence[int]
) -> Iterator[tuple[int, str, Image, dict[str, float]]]:
    """Yield (size, method, result, scores) of one clip and look."""
    target, instruction = as_tensor(exact(frames, look)), known_instruction(look)
    flow, visible = estimate_flow(as_tensor(frames))
    full = frames.shape[1:3]
    for size in sizes:
        height, width = fit_size(*full, size=size, multiple=pipe.grid)
        began = time.process_time()
        small = pipe(
            frames,
            instruction,
            height=height,
            width=width,
            num_anchors=min(3, len(frames)),
            generator=0,
        ).frames
        edit_s = time.process_time() - began
        for method in METHODS:
            began = time.process_time()
            result = np.stack(
                [enlarge(f, s, full, method=method) for f, s in zip(frames, small, strict=True)]
            )
            seconds = (edit_s + time.process_time() - began) / len(frames)
            shown = as_tensor(result)
            error = float((shown - target).square().mean())
            scored = {
                "dB": -10 * np.log10(max(error, 1e-10)),
                "sharpness": sharpness(shown, target) or 0.0,
                "warp error": 1000 * float(warp_error(shown, flow, visible)),
                "seconds": seconds,
            }
            yield size, method, result, scored


def as_tensor(frames: Image) -> Tensor:
    """Return uint8 (T,H,W,3) as float (T,3,H,W) in [0,1]."""
    return torch.from_numpy(frames).permute(0, 3, 1, 2) / 255


def crop(image: Image) -> Image:
    """Return the middle of an image at full size."""
    height, width = image.shape[:2]
    top, left = max(0, height // 2 - 80), max(0, width // 2 - 100)
    return image[top : top + 160, left : left + 200]


def mean(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the means over clips."""
    return {name: float(np.mean([one[name] for one in scores])) for name in scores[0]}


def print_table(scores: Scores) -> None:
    """Print a row for each size and method: means over looks and clips, then dB by look."""
    chosen = list(dict.fromkeys(look for _, look, _ in scores))
    head = ["size", "enlarged by", "dB", "sharpness", "warp error", "s a frame", *chosen]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for size, method in dict.fromkeys((size, method) for size, _, method in scores):
        by_look = {look: mean(scores[size, look, method]) for look in chosen}
        every = mean(list(by_look.values()))
        cells: list[Any] = [size, method, f"{every['dB']:.1f}", f"{every['sharpness']:.2f}"]
        cells += [f"{every['warp error']:.2f}", f"{every['seconds']:.2f}"]
        cells += [f"{by_look[look]['dB']:.1f}" for look in chosen]
        print("| " + " | ".join(map(str, cells)) + " |")


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument("--clips", type=Path, required=True, help="a folder of clips")
    made.add_argument("--names", nargs="+", default=["*.mp4"], help="beginnings of their names")
    made.add_argument("--model", default="mini")
    made.add_argument("--looks", nargs="+", default=LOOKS)
    made.add_argument("--sizes", type=int, nargs="+", default=(160, 256, 320, 384, 512))
    made.add_argument("--frames", type=int, default=4)
    made.add_argument("--longest", type=int, default=1280)
    made.add_argument("--sheet", type=Path)
    return made


if __name__ == "__main__":
    main()
