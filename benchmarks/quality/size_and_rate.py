"""What --upscale and --interpolate cost and give: the table of docs/size-and-rate.md.

    python benchmarks/quality/size_and_rate.py --write docs/size-and-rate.md
        [--left-out MORE CLIPS] [--sheet out/rate.png]

Each row is a process of its own that edits the bundled clip with the bundled model at 64 pixels and
one step: what is measured is the rest. Below it, every second frame of clips is left out and put
back; the sheet shows the worst of each clip, between the frames before and after it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PilImage

import fairy
from fairy.media.colours import Image
from fairy.media.contact_sheet import contact_sheet
from fairy.media.interpolate import FrameDoubler
from fairy.media.read import probe, read_frames
from fairy.system import commit, processor

EXAMPLE = Path(fairy.__file__).parent / "app" / "example.mp4"
# Of a clip whose frames are left out
MOST_FRAMES = 61
START, END = "<!-- size_and_rate -->", "<!-- end -->"
ROWS = {
    "as it is": [],
    "`--upscale 2x`": ["--upscale", "2x"],
    "`--interpolate 2`": ["--interpolate", "2"],
    "both": ["--upscale", "2x", "--interpolate", "2"],
}


def edit(clip: Path, num_frames: int, options: list[str]) -> dict[str, Any]:
    """Edit so many frames in a process of its own; return the report with the file's facts."""
    with tempfile.TemporaryDirectory() as folder:
        out, report = Path(folder, "out.mp4"), Path(folder, "report.json")
        command = [sys.executable, "-m", "fairy", "edit", clip, "make it night", "-o", out]
        command += ["--size", "64", "--steps", "1", "--shots", "off", "--report", report]
        command += ["--max-frames", str(num_frames), *options]
        subprocess.run(list(map(str, command)), check=True)
        info = probe(out)
        return json.loads(report.read_text()) | {
            "pixels": f"{info.width}x{info.height}",
            "rate": f"{float(info.fps):g}",
            "frames": info.num_frames,
        }


def psnr(one: Image, other: Image) -> float:
    """Return the PSNR of two images in dB."""
    error = np.mean((one.astype(float) - other) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


@dataclass(frozen=True)
class PutBack:
    """A frame that was left out, and its PSNR in dB to what stands in for it.

    Attributes:
        images: the frame before, the true one, the interpolated one, the one after: (H,W,3).
        scores: of the interpolated one, the mean of both neighbours, the frame before.
    """

    images: tuple[Image, Image, Image, Image]
    scores: tuple[float, float, float]


def left_out(clip: Path, num_frames: int) -> Iterator[PutBack]:
    """Yield every second frame of a clip, which was left out and is put back."""
    frames = list(read_frames(clip, stop=num_frames))
    doubler = FrameDoubler(probe(clip))
    kept = frames[::2]
    made = [one for frame in kept for one in doubler.add(frame, frame.image, 0)]
    made += doubler.end()
    for number, truth in enumerate(frames[1:-1:2]):
        before, after = kept[number].image, kept[number + 1].image
        mean = ((before.astype(np.uint16) + after) // 2).astype(np.uint8)
        image = made[2 * number + 1].image
        scores = (psnr(image, truth.image), psnr(mean, truth.image), psnr(before, truth.image))
        yield PutBack((before, truth.image, image, after), scores)


def costs(clip: Path, few: int, many: int) -> list[str]:
    """Return the table of size, time and memory."""
    lines = [
        "| | size | frames/s | frames | seconds for a source frame | "
        f"peak memory, {few} frames | {many} frames |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, options in ROWS.items():
        short, long = edit(clip, few, options), edit(clip, many, options)
        seconds = (long["seconds"]["total"] - short["seconds"]["total"]) / (many - few)
        peaks = [f"{one['peak_memory_bytes'] / 2**20:.0f} MiB" for one in (short, long)]
        cells = [name, long["pixels"], long["rate"], f"{long['frames']}", f"{seconds:.2f}", *peaks]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def fidelity(clips: Sequence[Path], num_frames: int, sheet: Path | None) -> list[str]:
    """Return the table of how near made frames are to true ones; draw the worst of each clip."""
    lines = [
        "| left out and put back, mean PSNR | interpolated | mean of both neighbours "
        "| frame before | worst interpolated |",
        "|---|---|---|---|---|",
    ]
    rows, labels = [], []
    for clip in clips:
        frames = list(left_out(clip, num_frames))
        worst = min(frames, key=lambda frame: frame.scores[0])
        means = [*np.mean([frame.scores for frame in frames], axis=0), worst.scores[0]]
        lines.append(f"| `{clip.name}` | {' | '.join(f'{mean:.1f} dB' for mean in means)} |")
        rows.append(worst.images)
        labels.append(f"{clip.name}: before, true, interpolated {worst.scores[0]:.1f} dB, after")
    if sheet is not None:
        sheet.parent.mkdir(parents=True, exist_ok=True)
        PilImage.fromarray(contact_sheet(rows, labels)).save(sheet)
    return lines


def main() -> None:
    """Print the tables, or write them into a document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path, default=EXAMPLE)
    parser.add_argument("--few", type=int, default=15)
    parser.add_argument("--many", type=int, default=75)
    parser.add_argument("--left-out", type=Path, nargs="*", default=[], help="more clips")
    parser.add_argument("--sheet", type=Path, help="draw the worst frames here")
    parser.add_argument("--write", type=Path)
    args = parser.parse_args()
    made_by = f"Measured on {processor()}, one thread, at {commit()}."
    clips = [args.clip, *args.left_out]
    lines = [*costs(args.clip, args.few, args.many), ""]
    lines += [*fidelity(clips, MOST_FRAMES, args.sheet), "", made_by]
    print("\n".join(lines))
    if args.write is not None:
        text = args.write.read_text(encoding="utf-8")
        before, after = text[: text.index(START)], text[text.index(END) :]
        made = "\n".join(lines)
        args.write.write_text(f"{before}{START}\n{made}\n{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
