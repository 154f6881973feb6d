"""Which cut detector finds artificial cuts? FFmpeg's scdet, and PySceneDetect's if installed.

    python benchmarks/quality/shot_detection.py --clips FOLDER    clips without a cut of their own

Excerpts of the clips, scaled to one size, are joined at random, so every cut is known exactly. Each
clip is also tested alone, to find motion and light that are mistaken for a cut. PySceneDetect is
not a dependency: `pip install scenedetect` for its rows.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.record import show
from fairy.media.read import read_frames
from fairy.media.shots import CutFinder

Image = NDArray[np.uint8]
Detector = Callable[[Sequence[Image]], list[int]]
SIZE = (180, 320)


def scdet(threshold: float) -> Detector:
    """Return our detector, which uses FFmpeg."""

    def find(images: Sequence[Image]) -> list[int]:
        finder = CutFinder(threshold)
        for image in images:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            finder.add(frame)
        return finder.cuts()

    return find


def scene_detect(name: str, **settings: float) -> Detector:
    """Return one of PySceneDetect's detectors."""
    import scenedetect

    def find(images: Sequence[Image]) -> list[int]:
        detector = getattr(scenedetect, name)(min_scene_len=4, **settings)
        cuts = []
        for index, image in enumerate(images):
            time_code = scenedetect.FrameTimecode(index, 25.0)
            cuts += detector.process_frame(time_code, np.ascontiguousarray(image[..., ::-1]))
        cuts += detector.post_process(scenedetect.FrameTimecode(len(images), 25.0))
        return sorted(cut.frame_num for cut in cuts)

    return find


def read_clips(folder: Path, most: int) -> Iterator[list[Image]]:
    """Yield the first `most` frames of every clip of the folder at `SIZE`."""
    for path in sorted(folder.glob("*.*")):
        if path.suffix not in (".mp4", ".mov", ".avi", ".mkv", ".webm"):
            continue
        frames: list[Image] = []
        for frame in read_frames(path):
            frames.append(cv2.resize(frame.image, SIZE[::-1], interpolation=cv2.INTER_AREA))
            if len(frames) == most:
                break
        yield frames


def cut_together(
    clips: Sequence[Sequence[Image]], num_shots: int, draw: random.Random
) -> tuple[list[Image], set[int]]:
    """Return frames of `num_shots` excerpts, no clip twice in a row, and their first frames."""
    images: list[Image] = []
    cuts: set[int] = set()
    last = -1
    for _ in range(num_shots):
        which = draw.choice([i for i in range(len(clips)) if i != last])
        length = draw.randint(6, min(36, len(clips[which])))
        start = draw.randint(0, len(clips[which]) - length)
        if images:
            cuts.add(len(images))
        images += clips[which][start : start + length]
        last = which
    return images, cuts


def measure(find: Detector, made: list[tuple[list[Image], set[int]]]) -> dict[str, Any]:
    """Return the number of found, missed and false cuts, and the time it took."""
    found = missed = wrong = num_frames = 0
    began = time.perf_counter()
    for images, cuts in made:
        guessed = set(find(images))
        found, missed = found + len(guessed & cuts), missed + len(cuts - guessed)
        wrong, num_frames = wrong + len(guessed - cuts), num_frames + len(images)
    ms = 1000 * (time.perf_counter() - began) / num_frames
    return {"found": found, "missed": missed, "wrong": wrong, "ms_per_frame": ms}


def main() -> None:
    """Measure every detector on the same cuts; print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--sequences", type=int, default=20)
    parser.add_argument("--shots", type=int, default=10, help="in each sequence")
    parser.add_argument("--frames", type=int, default=150, help="read of each clip")
    args = parser.parse_args()
    detectors = {f"scdet, threshold {t}": scdet(t) for t in (4.0, 6.0, 8.0, 10.0, 14.0)}
    try:
        detectors |= {
            f"ContentDetector, threshold {t}": scene_detect("ContentDetector", threshold=t)
            for t in (20, 27, 35)
        }
        detectors |= {
            f"AdaptiveDetector, threshold {t}": scene_detect(
                "AdaptiveDetector", adaptive_threshold=t
            )
            for t in (2.0, 3.0, 5.0)
        }
    except ModuleNotFoundError:
        print("PySceneDetect is not installed: its rows are left out")
    clips = list(read_clips(args.clips, args.frames))
    draw = random.Random(0)
    made = [cut_together(clips, args.shots, draw) for _ in range(args.sequences)]
    uncut: list[tuple[list[Image], set[int]]] = [(clip, set()) for clip in clips]
    rows = []
    for name, find in detectors.items():
        alone = measure(find, uncut)["wrong"]
        rows.append({"detector": name, **measure(find, made), "wrong_in_uncut": alone})
    show(
        f"{args.sequences} sequences of {args.shots} shots from {len(clips)} clips",
        rows,
        cuts=sum(len(cuts) for _, cuts in made),
        frames=sum(len(images) for images, _ in made),
        uncut_frames=sum(len(clip) for clip in clips),
    )


if __name__ == "__main__":
    main()
