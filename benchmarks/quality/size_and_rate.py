"""What --upscale and --interpolate cost and give: the table of docs/size-and-rate.md.

    python benchmarks/quality/size_and_rate.py --clip CLIP --write docs/size-and-rate.md

Each row is a process of its own that edits the clip with the bundled model at 64 pixels. The last
row of figures leaves out every second frame of CLIP and compares what is put in its place.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fairy.media.colours import Image
from fairy.media.info import Frame
from fairy.media.interpolate import FrameDoubler
from fairy.media.read import probe, read_frames
from fairy.system import commit, processor

START, END = "<!-- size_and_rate -->", "<!-- end -->"
ROWS = {
    "as it is": [],
    "`--upscale 2x`": ["--upscale", "2x"],
    "`--interpolate 2`": ["--interpolate", "2"],
    "both": ["--upscale", "2x", "--interpolate", "2"],
}


def edit(clip: Path, num_frames: int, options: list[str]) -> dict[str, object]:
    """Edit so many frames in a process of its own; return the report with the file's facts."""
    with tempfile.TemporaryDirectory() as folder:
        out, report = Path(folder, "out.mp4"), Path(folder, "report.json")
        command = [
            sys.executable,
            "-m",
            "fairy",
            "edit",
            str(clip),
            "make it night",
            "-o",
            str(out),
        ]
        command += [
            "--size",
            "64",
            "--steps",
            "1",
            "--max-frames",
            str(num_frames),
            "--shots",
            "off",
        ]
        subprocess.run([*command, "--report", str(report), *options], check=True)
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


def left_out(clip: Path, num_frames: int) -> Iterator[tuple[float, float, float]]:
    """Yield the PSNR to each left-out frame of: interpolated, the mean of both, a repeat."""
    frames = list(read_frames(clip, stop=num_frames))
    info = probe(clip)
    doubler = FrameDoubler(info)
    kept: list[Frame] = frames[::2]
    made = [one for frame in kept for one in doubler.add(frame, frame.image, 0)]
    made += doubler.end()
    for number, truth in enumerate(frames[1:-1:2]):
        before, after = kept[number].image, kept[number + 1].image
        mean = ((before.astype(np.uint16) + after) // 2).astype(np.uint8)
        ways = (made[2 * number + 1].image, mean, before)
        yield tuple(psnr(way, truth.image) for way in ways)  # type: ignore[misc]


def table(clip: Path, few: int, many: int) -> str:
    """Return the section of the document."""
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
    scores = np.mean(list(left_out(clip, 61)), axis=0)
    return "\n".join(
        [
            *lines,
            "",
            f"Every second frame of `{clip.name}` left out and put back, mean PSNR: "
            f"interpolated {scores[0]:.1f} dB, the mean of both neighbours {scores[1]:.1f} dB, the "
            f"frame before {scores[2]:.1f} dB. Measured on {processor()}, one thread, "
            f"at {commit()}.",
        ]
    )


def main() -> None:
    """Print the table, or write it into a document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--few", type=int, default=24)
    parser.add_argument("--many", type=int, default=120)
    parser.add_argument("--write", type=Path)
    args = parser.parse_args()
    made = table(args.clip, args.few, args.many)
    print(made)
    if args.write is not None:
        text = args.write.read_text(encoding="utf-8")
        before, after = text[: text.index(START)], text[text.index(END) :]
        args.write.write_text(f"{before}{START}\n{made}\n{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
