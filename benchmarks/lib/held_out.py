"""Held-out pictures with the right answer: what `eval_mini.py` and its like measure on.

Images (B,3,H,W) in [0,1]. Tests: tests/benchmarks/lib/test_held_out.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from fairy.errors import FairyError
from fairy.media.colours import Image
from fairy.media.frames import resize, to_model
from fairy.media.read import probe, read_frame_at
from fairy.synthetic.edits import EDITS, Edit
from fairy.synthetic.photos import PhotoPool
from fairy.synthetic.phrases import phrase
from fairy.synthetic.scenes import SceneSampler, render

DETERMINISTIC = tuple(edit for edit in EDITS if edit.deterministic)
LOOKS = tuple(edit for edit in EDITS if edit.scope == "global")
# Far from every training seed, which are hashes of small numbers.
FIRST_SEED = 9_000_000
# A channel that differs by less is the same
SAME = 2 / 255
# What an edit does not name may change by this much, mean absolute difference
REST_TOLERANCE = 0.03


@dataclass(frozen=True)
class Cases:
    """S held-out sources, each with one instruction and the targets of all E edits.

    Attributes:
        edits: the E edits.
        sources: (S,3,H,W).
        targets: (S,E,3,H,W).
        asked: (S,) index of the edit that the instruction asks for.
        instructions: S texts, in phrasings kept from training.
    """

    edits: tuple[Edit, ...]
    sources: Tensor
    targets: Tensor
    asked: Tensor
    instructions: list[str]

    @property
    def own_targets(self) -> Tensor:
        """The targets that were asked for, (S,3,H,W)."""
        return self.targets[torch.arange(len(self.asked)), self.asked]

    @property
    def is_local(self) -> Tensor:
        """Which cases ask for a local edit, (S,) bool."""
        local = torch.tensor([edit.scope == "local" for edit in self.edits])
        return local[self.asked]


def scene_cases(count: int, size: tuple[int, int], photos: Path | None) -> Cases:
    """Draw scenes of unseen seeds; every deterministic edit is asked for equally often."""
    return _draw(count, size, DETERMINISTIC, SceneSampler(PhotoPool(photos) if photos else None))


def frame_cases(folder: Path, count: int, size: tuple[int, int]) -> Cases:
    """Take frames of the clips in `folder`; every look is asked for equally often.

    Raises:
        ValueError: no clip in it can be read.
    """
    frames = real_frames(folder, count, size)
    return _draw(len(frames), size, LOOKS, SceneSampler(), frames)


def real_frames(folder: Path, count: int, size: tuple[int, int]) -> Tensor:
    """Return `count` frames (S,3,H,W), spread over all clips that can be read and their length.

    Raises:
        ValueError: no clip in the folder can be read.
    """
    lengths = dict(_readable_clips(folder))
    if not lengths:
        raise ValueError(f"{folder}: no clip here can be read")
    each = -(-count // len(lengths))
    frames = []
    for path, length in lengths.items():
        indices = [(2 * i + 1) * length // (2 * each) for i in range(each)]
        frames += [_fill(frame.image, size) for frame in read_frame_at(path, indices)]
    order = torch.arange(each * len(lengths)).reshape(len(lengths), each).T.flatten()
    return torch.cat(frames)[order[:count]]


def score(outputs: Tensor, cases: Cases) -> tuple[Tensor, Tensor]:
    """Return whether each edit is right (S,) bool, and its PSNR to its target in dB (S,).

    Right: nearer (mean squared error) to its own target than to that of any other edit.
    """
    error = (outputs[:, None] - cases.targets).square().mean((2, 3, 4))
    own = error.gather(1, cases.asked[:, None])[:, 0]
    return error.argmin(1) == cases.asked, -10 * own.clamp_min(1e-10).log10()


def kept_to_the_named(outputs: Tensor, cases: Cases) -> Tensor:
    """Return whether the named was changed, and the rest left within `REST_TOLERANCE`: (S,) bool.

    Changed: where source and target differ, the output is nearer to the target.
    """
    targets, sources = cases.own_targets, cases.sources
    named = ((targets - sources).abs().amax(1, keepdim=True) > SAME).float()
    changed = _mean(outputs - targets, named) < _mean(outputs - sources, named)
    return changed & (_mean(outputs - sources, 1 - named) <= REST_TOLERANCE)


def _mean(difference: Tensor, where: Tensor) -> Tensor:
    """Mean absolute difference (S,) of (S,3,H,W) over the pixels (S,1,H,W) that count."""
    total = (difference.abs() * where).sum((1, 2, 3))
    return total / (3 * where.sum((1, 2, 3))).clamp_min(1)


def _draw(
    count: int,
    size: tuple[int, int],
    edits: tuple[Edit, ...],
    sampler: SceneSampler,
    frames: Tensor | None = None,
) -> Cases:
    sources, targets, instructions = [], [], []
    for index in range(count):
        generator = torch.Generator().manual_seed(FIRST_SEED + index)
        scene = sampler.sample(torch.randint(1, 5, (1,), generator=generator), size, generator)
        drawn = render(scene)
        if frames is not None:
            drawn = replace(drawn, image=frames[index : index + 1])
        results = [edit.apply(scene, drawn, generator) for edit in edits]
        asked = index % len(edits)
        instructions.append(phrase(edits[asked].name, "test", generator, **results[asked][1][0]))
        sources.append(drawn.image)
        targets.append(torch.cat([target for target, _ in results]))
    asked_edits = torch.arange(count) % len(edits)
    return Cases(edits, torch.cat(sources), torch.stack(targets), asked_edits, instructions)


def _readable_clips(folder: Path) -> Iterator[tuple[Path, int]]:
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        try:
            num_frames = probe(path).num_frames
        except FairyError:
            continue
        if num_frames > 1:
            yield path, num_frames


def _fill(image: Image, size: tuple[int, int]) -> Tensor:
    """Shrink a picture (H,W,3) until it just covers `size` and cut out the middle: (1,3,h,w)."""
    shape = image.shape[:2]
    factor = max(wanted / side for wanted, side in zip(size, shape, strict=True))
    height, width = (max(w, round(s * factor)) for w, s in zip(size, shape, strict=True))
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    scaled = resize(image, (height, width))[None, top : top + size[0], left : left + size[1]]
    return (to_model(scaled) + 1) / 2
