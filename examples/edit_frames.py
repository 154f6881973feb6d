"""Edit frames in memory with FairyPipeline, as with any diffusers pipeline.

python examples/edit_frames.py in.mp4 "pencil sketch" out.mp4
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fairy import FairyPipeline, read_video, write_video
from fairy.media.read import probe

parser = argparse.ArgumentParser()
parser.add_argument("source", type=Path)
parser.add_argument("instruction")
parser.add_argument("out", type=Path)
parser.add_argument("--steps", type=int)
args = parser.parse_args()

pipe = FairyPipeline.from_pretrained("mini")  # or any InstructPix2Pix-type folder or hub id
frames = read_video(args.source)  # uint8 (T,H,W,3)

edited = pipe(
    frames,
    args.instruction,
    num_inference_steps=args.steps,
    num_anchors=3,
    generator=7,
).frames

write_video(edited, args.out, fps=probe(args.source).fps)
print(f"{len(edited)} frames in {args.out}")
