"""Run every example with tiny settings and check what it wrote: part of `make test`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from rendered_clip import rendered_clip

from fairy import write_video
from fairy.media.read import probe

HERE = Path(__file__).parent
NUM_FRAMES = 6
INSTRUCTION = "make it black and white"


def main() -> None:
    """Run the examples in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = folder / "clip.mp4"
        write_video(rendered_clip(NUM_FRAMES, 48, 64), clip, fps=12)
        tiny = ["--steps", "1"]
        run("edit_clip.py", clip, INSTRUCTION, folder / "a.mp4", "--size", "64", *tiny)
        run("edit_frames.py", clip, INSTRUCTION, folder / "b.mp4", *tiny)
        two = ["--instruction", INSTRUCTION, "--instruction", "make it night"]
        run("demo.py", "--clip", clip, "--out", folder / "demo", "--size", "64", *two, *tiny)
        results = ("make-it-black-and-white.mp4", "make-it-night.mp4", "comparison.mp4")
        for out in ("a.mp4", "b.mp4", *(f"demo/{name}" for name in results)):
            assert probe(folder / out).num_frames == NUM_FRAMES, out
        assert (folder / "demo" / "comparison.png").stat().st_size > 0
    print("examples: all ran")


def run(script: str, *arguments: object) -> None:
    """Run one example as a person would."""
    print(f"== examples/{script}")
    subprocess.run([sys.executable, HERE / script, *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
