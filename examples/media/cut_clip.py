"""Cut bigbuckbunny.mp4 from a longer file: three seconds of Big Buck Bunny with sound, 640x360.

python examples/media/cut_clip.py SOURCE.mp4 examples/media/bigbuckbunny.mp4
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fairy.media import VideoWriter, probe, read_frames
from fairy.media.frames import resize
from fairy.settings import MediaConfig

HEIGHT, WIDTH = 360, 640


def main() -> None:
    """Write the clip that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--start", type=float, default=0.0, help="seconds")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--crf", type=int, default=25)
    args = parser.parse_args()
    stretch = MediaConfig(start_s=args.start, end_s=args.start + args.seconds)
    info = probe(args.source, stretch)
    with VideoWriter(
        args.out, info=info, height=HEIGHT, width=WIDTH, media=MediaConfig(crf=args.crf)
    ) as writer:
        for frame in read_frames(args.source, stretch):
            small = resize(frame.image, (HEIGHT, WIDTH))
            writer.write(small, frame.pts, frame.time_base, frame.duration)


if __name__ == "__main__":
    main()
