"""Held-out pictures with exact results, and the scores of a model's edits of them.

No model was trained with these seeds and phrasings. Images (B,3,H,W) in [0,1], in batches, because
each picture comes with the results of every edit. Tests: tests/benchmarks/lib/test_held_out.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fairy.errors import FairyError
from fairy.media.colours import Image
from fairy.media.frames import resize, to_model
from fairy.media.read import probe, read_frame_at
from fairy.metrics.fidelity import frame_psnrs_db
from fairy.metrics.local_edits import change_reached, inpainted, named_only, rest_moved
from fairy.synthetic.edits import EDITS, EDITS_BY_NAME, Edit
from fairy.synthetic.photos import PhotoPool
from fairy.synthetic.phrases import phrase
from fairy.synthetic.samplers import ClearSceneSampler, SceneSampler
from fairy.synthetic.scenes import render

DETERMINISTIC = tuple(edit for edit in EDITS if edit.deterministic)
LOOKS = tuple(edit for edit in EDITS if edit.scope == "global")
LOCAL = tuple(edit for edit in EDITS if edit.scope == "local")
# Far from every training seed, which are hashes of small numbers
FIRST_SEED = 9_000_000
CASES_AT_ONCE = 16
MOST_OBJECTS = 4

Row = dict[str, Any]


@dataclass(frozen=True)
class Cases:
    """S held-out sources, each with one instruction and the results of all E edits.

    Attributes:
        edits: the E edits.
        sources: (S,3,H,W).
        targets: (S,E,3,H,W).
        asked: (S,) index of the edit that the instruction asks for.
        instructions: S texts, in held-out phrasings.
    """

    edits: tuple[Edit, ...]
    sources: Tensor
    targets: Tensor
    asked: Tensor
    instructions: list[str]

    @property
    def own_targets(self) -> Tensor:
        """The results of the requested edits, (S,3,H,W)."""
        return self.targets[torch.arange(len(self.asked)), self.asked]

    @property
    def names(self) -> list[str]:
        """The names of the S requested edits."""
        return [self.edits[index].name for index in self.asked.tolist()]


def scene_cases(
    count: int,
    size: tuple[int, int],
    photos: Path | None = None,
    asked: tuple[Edit, ...] = DETERMINISTIC,
) -> Iterator[Cases]:
    """Draw ordinary scenes; every edit in `asked` is requested equally often."""
    return _drawn(count, size, SceneSampler(PhotoPool(photos) if photos else None), asked)


def local_cases(count: int, size: tuple[int, int], photos: Path | None = None) -> Iterator[Cases]:
    """Draw clear scenes; every local edit is requested equally often."""
    sampler = ClearSceneSampler(PhotoPool(photos) if photos else None)
    return _drawn(count, size, sampler, LOCAL)


def frame_cases(folder: Path, count: int, size: tuple[int, int]) -> Iterator[Cases]:
    """Use frames of the clips in `folder`; every look is requested equally often.

    Raises:
        ValueError: no clip in the folder can be read.
    """
    frames = real_frames(folder, count, size)
    return _drawn(len(frames), size, SceneSampler(), LOOKS, frames=frames, edits=LOOKS)


def real_frames(folder: Path, count: int, size: tuple[int, int]) -> Tensor:
    """Return `count` frames (S,3,H,W), spread over all readable clips and their length.

    Raises:
        ValueError: no clip in the folder can be read.
    """
    lengths = dict(_readable_clips(folder))
    if not lengths:
        raise ValueError(f"{folder}: no clip in this folder can be read")
    each = -(-count // len(lengths))
    frames = []
    for path, length in lengths.items():
        indices = [(2 * i + 1) * length // (2 * each) for i in range(each)]
        frames += [_fill(frame.image, size) for frame in read_frame_at(path, indices)]
    order = torch.arange(each * len(lengths)).reshape(len(lengths), each).T.flatten()
    return torch.cat(frames)[order[:count]]


def whole_photos(folder: Path, count: int, size: tuple[int, int]) -> Iterator[Tensor]:
    """Yield up to `count` photographs, evenly chosen, cropped and shrunk to `size`: (1,3,H,W)."""
    photos = PhotoPool(folder, max_side=2 * max(size)).photos
    for photo in photos[:: max(1, len(photos) // count)][:count]:
        yield _fill(photo.permute(1, 2, 0).numpy(), size)


def judged(outputs: Tensor, cases: Cases) -> list[Row]:
    """Return a row per picture: edit, PSNR, whether it is right, and measures of local edits.

    Right: nearer (mean squared error) to its own target than to the result of any other edit.
    Local edits: `fairy.metrics.local_edits`; for a removal also the score of inpainting.
    """
    error = (outputs[:, None] - cases.targets).square().mean((2, 3, 4))
    columns = {
        "edit": cases.names,
        "right": (error.argmin(1) == cases.asked).tolist(),
        "psnr_db": frame_psnrs_db(outputs, cases.own_targets).tolist(),
    }
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    for index, row in enumerate(rows):
        if EDITS_BY_NAME[row["edit"]].scope == "local":
            one = slice(index, index + 1)
            row.update(_local(outputs[one], cases.sources[one], cases.own_targets[one]))
            if row["edit"] == "remove":
                row["bound"] = _bound(cases.sources[one], cases.own_targets[one])
    return rows


def _local(output: Tensor, source: Tensor, target: Tensor) -> Row:
    """Return the measures of a local edit of one picture (1,3,H,W)."""
    return {
        "reached": float(change_reached(output, source, target)),
        "rest_moved": float(rest_moved(output, source, target)),
        "named_only": bool(named_only(output, source, target)),
    }


def _bound(source: Tensor, target: Tensor) -> float:
    """Return the share of the change that inpainting makes."""
    return float(change_reached(inpainted(source, target), source, target))


def _drawn(
    count: int,
    size: tuple[int, int],
    sampler: SceneSampler,
    asked: tuple[Edit, ...],
    *,
    frames: Tensor | None = None,
    edits: tuple[Edit, ...] = DETERMINISTIC,
) -> Iterator[Cases]:
    numbers = iter(range(count))
    while batch := list(islice(numbers, CASES_AT_ONCE)):
        drawn = [
            _one(number, size, sampler, asked[number % len(asked)], edits, _frame(frames, number))
            for number in batch
        ]
        yield _joined(drawn)


def _one(
    number: int,
    size: tuple[int, int],
    sampler: SceneSampler,
    asked: Edit,
    edits: tuple[Edit, ...],
    frame: Tensor | None,
) -> Cases:
    """Draw the case with this number; `frame` (1,3,H,W) replaces the picture of its scene."""
    generator = torch.Generator().manual_seed(FIRST_SEED + number)
    num_objects = torch.randint(1, MOST_OBJECTS + 1, (1,), generator=generator)
    scene = sampler.sample(num_objects, size, generator)
    drawn = render(scene)
    if frame is not None:
        drawn = replace(drawn, image=frame)
    results = [edit.apply(scene, drawn, generator) for edit in edits]
    index = edits.index(asked)
    words = results[index][1][0]
    return Cases(
        edits,
        drawn.image,
        torch.cat([target for target, _ in results])[None],
        torch.tensor([index]),
        [phrase(asked.name, "test", generator, **words)],
    )


def _joined(drawn: Iterable[Cases]) -> Cases:
    cases = list(drawn)
    return Cases(
        cases[0].edits,
        torch.cat([one.sources for one in cases]),
        torch.cat([one.targets for one in cases]),
        torch.cat([one.asked for one in cases]),
        [text for one in cases for text in one.instructions],
    )


def _frame(frames: Tensor | None, number: int) -> Tensor | None:
    return None if frames is None else frames[number : number + 1]


def _readable_clips(folder: Path) -> Iterator[tuple[Path, int]]:
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        try:
            num_frames = probe(path).num_frames
        except FairyError:
            continue
        if num_frames > 1:
            yield path, num_frames


def _fill(image: Image, size: tuple[int, int]) -> Tensor:
    """Scale a picture (H,W,3) to cover `size` and crop the middle: (1,3,h,w)."""
    shape = image.shape[:2]
    factor = max(wanted / side for wanted, side in zip(size, shape, strict=True))
    height, width = (max(w, round(s * factor)) for w, s in zip(size, shape, strict=True))
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    scaled = resize(image, (height, width))[None, top : top + size[0], left : left + size[1]]
    return (to_model(scaled) + 1) / 2
