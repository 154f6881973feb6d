"""Edit one clip from Python and look at what was done.

python examples/edit_clip.py in.mp4 "black and white" out.mp4
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fairy import EditConfig, edit_video

parser = argparse.ArgumentParser()
parser.add_argument("source", type=Path)
parser.add_argument("instruction")
parser.add_argument("out", type=Path)
parser.add_argument("--size", type=int)
parser.add_argument("--steps", type=int)
args = parser.parse_args()

config = EditConfig(num_anchors=3, seed=7, size=args.size, num_inference_steps=args.steps)
report = edit_video(args.source, args.instruction, args.out, config)

print(f"{report.num_frames_out} frames of {report.size[1]}x{report.size[0]} in {report.out}")
print(f"anchors {report.used.anchor_indices}, {report.used.backend}: {report.used.backend_reason}")
print(", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.seconds.items()))
