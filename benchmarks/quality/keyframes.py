"""How far a person's edit reaches: one object recoloured by hand in K anchors of rendered clips.

    python benchmarks/quality/keyframes.py [--clips 1] [--sheet docs/sheets/keyframes.png]

The exact target of every frame is known, as the clips are rendered. Frames 10, 30 and 60 away from
the nearest key frame are compared with it where the target differs from the source. Ways: the
key frames as anchors, the model's own anchors, every frame alone, and the key frame's picture moved
along by optical flow (DIS, from frame to frame). Two instructions: one that names the colour, and
one that leaves it open. Tests: tests/benchmarks/quality/test_keyframes.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.record import show
from benchmarks.lib.sheets import write_sheet
from fairy import FairyPipeline
from fairy.editors.base import Anchor, EditInput
from fairy.media.frames import to_images
from fairy.settings import EditConfig
from fairy.synthetic.colours import named_colour
from fairy.synthetic.moving_scenes import Clip, sample_clip
from fairy.synthetic.names import COLOUR_NAMES, SHAPE_NAMES
from fairy.synthetic.samplers import ClearSceneSampler
from fairy.synthetic.scenes import render

NUM_FRAMES = 241
SIZE = (192, 256)
DISTANCES = (10, 30, 60)
# Frames measured at each distance from a clip
PER_DISTANCE = 2
# Each leaves frames at every distance
KEYS = {1: (120,), 2: (60, 180), 3: (0, 120, 240)}
WAYS = ("key frames", "model's anchors", "every frame alone", "optical flow", "nothing")


@dataclass(frozen=True)
class Case:
    """A clip and what a person wants of it: source and target (T,3,H,W) in [0,1]."""

    instruction: str
    source: Tensor
    target: Tensor


def make_cases(clip: Clip) -> dict[str, Case]:
    """Return the recolouring of one object's kind, asked for with and without its colour."""
    scene = clip.scene
    # The object that is seen in most frames, and the colour that is furthest from its own
    shown = [(clip.labels == number + 1).flatten(1).any(1).sum() for number in range(3)]
    number = int(torch.stack(shown).argmax())
    kind, own = int(scene.kind[0, number]), scene.colour[0, number]
    colours = torch.stack([named_colour(name) for name in COLOUR_NAMES])
    chosen = int((colours - own).norm(dim=-1).argmax())
    mask = scene.kind == kind
    painted = replace(
        scene,
        colour=torch.where(mask[..., None], colours[chosen], scene.colour),
        pattern=torch.where(mask, 0, scene.pattern),
    )
    target = render(painted).image
    named = f"make the {SHAPE_NAMES[kind]} {COLOUR_NAMES[chosen]}"
    return {
        "colour named": Case(named, clip.frames, target),
        "colour left open": Case("give the shapes new colours", clip.frames, target),
    }


def frames_at(keys: Sequence[int], distance: int) -> list[int]:
    """Return the frames whose nearest key frame is so far away."""
    away = [n for n in range(NUM_FRAMES) if min(abs(n - key) for key in keys) == distance]
    return away[:PER_DISTANCE]


def edited(
    pipe: FairyPipeline, case: Case, keys: Sequence[int], wanted: Sequence[int], *, way: str
) -> Tensor:
    """Return frames `wanted` (F,3,H,W) in [0,1], edited with anchors at `keys`."""
    config = EditConfig(seed=0, anchor_strength=0.0 if way == "every frame alone" else 1.0)
    source, by_hand = case.source * 2 - 1, case.target * 2 - 1
    hands = {key: by_hand[key] for key in keys if way == "key frames"}
    anchors = [Anchor(key, source[key], hands.get(key)) for key in keys]
    inputs = [EditInput(number, source[number]) for number in wanted]
    with pipe.begin(case.instruction, anchors, config, size=SIZE) as session:
        return (session.edit_tensors(inputs) + 1) / 2


def moved_along(case: Case, keys: Sequence[int], wanted: Sequence[int]) -> Tensor:
    """Return the nearest key frame's picture, moved to frames `wanted` by flow, step by step."""
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in to_images(case.source * 2 - 1)]
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    pictures = to_images(case.target * 2 - 1)
    moved = []
    for number in wanted:
        key = min(keys, key=lambda one: abs(one - number))
        place = np.stack(np.meshgrid(np.arange(SIZE[1]), np.arange(SIZE[0])), -1).astype(np.float32)
        for now in range(number, key, 1 if key > number else -1):
            after = now + (1 if key > number else -1)
            step = flow.calc(grey[now], grey[after], None)
            place = place + _sampled(step, place)
        moved.append(_sampled(pictures[key].astype(np.float32), place))
    return torch.from_numpy(np.stack(moved)).permute(0, 3, 1, 2) / 255


def _sampled(values: NDArray[np.float32], place: NDArray[np.float32]) -> NDArray[np.float32]:
    x, y = np.ascontiguousarray(place[..., 0]), np.ascontiguousarray(place[..., 1])
    out = cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, dtype=np.float32)


def inside(case: Case, numbers: Sequence[int]) -> Tensor:
    """Return where the target differs from the source, (F,H,W)."""
    change = (case.target[list(numbers)] - case.source[list(numbers)]).abs().amax(dim=1)
    return change > 0.05


def psnr_inside(result: Tensor, case: Case, numbers: Sequence[int]) -> float | None:
    """Return the mean PSNR to the target within the object, of the frames that show it, in dB."""
    target, where = case.target[list(numbers)], inside(case, numbers)
    errors = [
        ((one - goal) ** 2)[:, here].mean()
        for one, goal, here in zip(result.clamp(0, 1), target, where, strict=True)
        if here.sum() > 30
    ]
    if not errors:
        return None
    return float(torch.stack([-10 * error.clamp_min(1e-10).log10() for error in errors]).mean())


def result_of(
    pipe: FairyPipeline, case: Case, keys: Sequence[int], wanted: Sequence[int], way: str
) -> Tensor:
    """Return frames `wanted` made in one of `WAYS`."""
    if way == "nothing":
        return case.source[list(wanted)]
    if way == "optical flow":
        return moved_along(case, keys, wanted)
    return edited(pipe, case, keys, wanted, way=way)


def measure(pipe: FairyPipeline, clips: Sequence[Clip]) -> list[dict[str, object]]:
    """Return a row for each instruction, way and number of key frames."""
    cases = [make_cases(clip) for clip in clips]
    rows: list[dict[str, object]] = []
    for name in cases[0]:
        for count, keys in KEYS.items():
            groups = {distance: frames_at(keys, distance) for distance in DISTANCES}
            wanted = sorted(number for group in groups.values() for number in group)
            scores: dict[tuple[str, int], list[float]] = {}
            for case in (of_clip[name] for of_clip in cases):
                for way in WAYS:
                    result = result_of(pipe, case, keys, wanted, way)
                    for distance, group in groups.items():
                        part = result[[wanted.index(number) for number in group]]
                        score = psnr_inside(part, case, group)
                        scores.setdefault((way, distance), []).extend([score] if score else [])
            for way in WAYS:
                means = {f"{d} frames": round(float(np.mean(scores[way, d])), 1) for d in DISTANCES}
                rows.append({"instruction": name, "key frames": count, "way": way, **means})
    return rows


def make_clips(num_clips: int) -> list[Clip]:
    """Return rendered clips of clear scenes with three objects."""
    return [
        sample_clip(ClearSceneSampler(), NUM_FRAMES, SIZE, torch.Generator().manual_seed(seed))
        for seed in range(num_clips)
    ]


def draw(pipe: FairyPipeline, clip: Clip, path: Path) -> None:
    """Write a sheet of five frames around one key frame, a row for each way."""
    case = make_cases(clip)["colour left open"]
    shown = [60, 90, 120, 130, 180]
    videos = {"source": case.source[shown], "wanted": case.target[shown]}
    for way in WAYS[:-1]:
        videos[f"{way}, one key frame (the middle one)"] = result_of(pipe, case, (120,), shown, way)
    write_sheet(path, videos)


def main() -> None:
    """Measure, print the table, and draw the sheet where one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    pipe, clips = FairyPipeline.from_pretrained("mini"), make_clips(arguments.clips)
    if arguments.sheet is not None:
        draw(pipe, clips[0], arguments.sheet)
    rows = measure(pipe, clips)
    show("PSNR inside the object, dB", rows, out=arguments.json, clips=arguments.clips)


if __name__ == "__main__":
    main()
