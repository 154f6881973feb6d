"""The clips of a suite: rendered ones with exact motion and results, or a user's folder.

Rendered clips alternate between two kinds. *Exact*: the instruction determines the result, so
fidelity can be measured. *Open*: the instruction leaves colours open, so an editor may choose
different ones in every frame. Tests: tests/evaluation/test_clips.py.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path

import torch
from torch import Tensor

from fairy.errors import SettingsError
from fairy.media import VideoInfo, probe, read_frames
from fairy.media.encoding.codecs import CONTAINERS
from fairy.media.frames import fit_size, resize, to_model
from fairy.metrics.flow import estimate_flow
from fairy.metrics.free_choice import Nearest

# Far from every training seed, which are hashes of small numbers
FIRST_SEED = 7_000_000
RENDERED_FPS = Fraction(12)
OPEN = (
    "random_shape_colours", "duotone", "pop_art", "paint_by_numbers",
    "neon", "other_hues", "stage_light",
)  # fmt: skip
EXACT = (
    "night", "recolour", "pencil_sketch", "remove", "sunset", "grey_background",
    "winter", "reshape", "comic", "blueprint", "fog", "thermal",
)  # fmt: skip
VIDEO_SUFFIXES = (*CONTAINERS, ".avi", ".m4v", ".mpg", ".mpeg", ".ts")


@dataclass(frozen=True, kw_only=True)
class SuiteClip:
    """A clip to edit and what is known about it, as in `fairy.evaluation.pair.Pair`."""

    name: str
    instruction: str
    frames: Tensor
    flow: Tensor
    visible: Tensor
    flow_method: str
    fps: Fraction
    target: Tensor | None = None
    captions: tuple[str, str] | None = None
    nearest: Nearest | None = None
    # The edit's name in the training data, if the instruction asks for one of those edits
    edit: str = ""


# Clips are made one at a time, when they are edited
MakeClip = Callable[[], SuiteClip]


def plan_rendered(
    num_open: int, num_exact: int, num_frames: int, size: tuple[int, int]
) -> list[MakeClip]:
    """Return functions that render the clips, of size (height, width); always the same clips.

    Open and exact ones alternate until one kind is used up.
    """
    names = [_names(OPEN, num_open), _names(EXACT, num_exact)]
    in_turns = [name for pair in zip_longest(*names) for name in pair if name is not None]
    return [
        partial(render_clip, index, name, num_frames, size) for index, name in enumerate(in_turns)
    ]


def rendered_clips(count: int, num_frames: int, size: tuple[int, int]) -> Iterator[SuiteClip]:
    """Render clips, alternately open and exact."""
    for make in plan_rendered((count + 1) // 2, count // 2, num_frames, size):
        yield make()


def folder_clips(
    folder: Path, instructions: Path, *, num_frames: int, size: int, multiple: int
) -> list[MakeClip]:
    """Return functions that read a user's clips, one for each clip and instruction.

    Args:
        folder: the folder with the clips.
        instructions: a text file with one instruction a line, for every clip; or a CSV with the
            columns `clip` (a file's name, or * for all) and `instruction`, and, for measures that
            read text, `source_caption` and `target_caption`.
        num_frames: frames of each clip; longer ones are cut.
        size: longer side at which they are edited and compared.
        multiple: both sides become multiples of this.

    Raises:
        SettingsError: there are no clips or no instructions, or an instruction's clip is missing.
    """
    return [
        partial(
            real_clip, path, row.instruction, captions=row.captions,
            num_frames=num_frames, size=size, multiple=multiple,
        )
        for path, rows in plan_folder(folder, instructions)
        for row in rows
    ]  # fmt: skip


def real_clip(
    path: Path,
    instruction: str,
    *,
    captions: tuple[str, str] | None = None,
    num_frames: int,
    size: int,
    multiple: int,
    stride: int = 1,
) -> SuiteClip:
    """Read a clip's first frames, every `stride`-th of them, with its motion by DIS.

    The other arguments are those of `folder_clips`.
    """
    frames, info = _read(path, num_frames, size, multiple, stride)
    flow, visible = estimate_flow(frames)
    return SuiteClip(
        name=path.name, instruction=instruction, frames=frames, flow=flow,
        visible=visible, flow_method="DIS", fps=info.fps / stride, captions=captions,
    )  # fmt: skip


def known_edit_clips(
    folder: Path,
    names: Sequence[str],
    *,
    num_frames: int,
    size: int,
    multiple: int,
    stride: int = 1,
) -> list[MakeClip]:
    """Return functions that read the clips of `folder`, one for each clip and edit in `names`.

    Args:
        folder: the folder with the clips; other files are ignored.
        names: looks of the whole picture, with an exact result or a free choice.
        num_frames: frames of each clip; longer ones are cut.
        size: longer side at which they are edited and compared.
        multiple: both sides become multiples of this.
        stride: take every `stride`-th frame.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)
    read = partial(real_clip, num_frames=num_frames, size=size, multiple=multiple, stride=stride)
    return [
        partial(_known_edit_clip, read, path, number, name)
        for number, path in enumerate(paths)
        for name in names
    ]


def _known_edit_clip(
    read: Callable[[Path, str], SuiteClip], path: Path, number: int, name: str
) -> SuiteClip:
    """Read a clip for an edit of the whole picture, with its exact result if there is one."""
    from fairy.synthetic import looks
    from fairy.synthetic.edits import EDITS_BY_NAME

    clip = read(path, held_out_instruction(name, number))
    exact = EDITS_BY_NAME[name].deterministic
    target = getattr(looks, name)(clip.frames) if exact else None
    return replace(clip, target=target, nearest=nearest_of(name), edit=name)


@dataclass(frozen=True)
class Asked:
    """A line of the instructions: the clip ("*" for all), the instruction, captions if given."""

    clip: str
    instruction: str
    captions: tuple[str, str] | None = None


def plan_folder(folder: Path, instructions: Path) -> list[tuple[Path, list[Asked]]]:
    """Return each clip of `folder` with its instructions; errors as for `folder_clips`."""
    if not folder.is_dir():
        raise SettingsError(f"{folder}: no such folder: --clips is a folder of clips")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)
    if not paths:
        raise SettingsError(f"{folder}: no clips in it ({', '.join(VIDEO_SUFFIXES)})")
    asked = read_instructions(instructions)
    names = {path.name for path in paths}
    if unknown := [row.clip for row in asked if row.clip not in names | {"*"}]:
        raise SettingsError(f"{instructions}: there is no {unknown[0]} in {folder}")
    plan = [(path, [row for row in asked if row.clip in ("*", path.name)]) for path in paths]
    return [(path, rows) for path, rows in plan if rows]


def read_instructions(path: Path) -> list[Asked]:
    """Read a text file or a CSV of instructions, as described for `folder_clips`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read as text ({error})") from error
    if path.suffix.lower() != ".csv":
        rows = [Asked("*", line.strip()) for line in text.splitlines() if line.strip()]
    else:
        rows = [_csv_row(path, row) for row in csv.DictReader(text.splitlines())]
    if not rows:
        raise SettingsError(f"{path}: no instruction in it: write one on each line")
    return rows


def _csv_row(path: Path, row: dict[str, str]) -> Asked:
    if not row.get("clip") or not row.get("instruction"):
        raise SettingsError(f"{path}: a CSV needs the columns clip and instruction, filled in")
    source, target = row.get("source_caption"), row.get("target_caption")
    return Asked(row["clip"], row["instruction"], (source, target) if source and target else None)


def _names(kind: tuple[str, ...], count: int) -> list[str]:
    return [kind[i % len(kind)] for i in range(count)]


def render_clip(index: int, name: str, num_frames: int, size: tuple[int, int]) -> SuiteClip:
    """Render clip number `index` for the edit `name`; size is (height, width).

    Its instruction is a held-out phrasing, which no model was trained with.
    """
    from fairy.synthetic.edits import EDITS_BY_NAME
    from fairy.synthetic.moving_scenes import sample_clip
    from fairy.synthetic.samplers import SceneSampler
    from fairy.synthetic.scenes import Rendered

    generator = torch.Generator().manual_seed(FIRST_SEED + index)
    clip = sample_clip(SceneSampler(), num_frames, size, generator)
    edit = EDITS_BY_NAME[name]
    targets, words = [], dict[str, str]()
    for t in range(num_frames):
        # One frame at a time with the same draws, so the edit is the same in all frames
        frame, same = slice(t, t + 1), torch.Generator().manual_seed(FIRST_SEED + index)
        drawn = Rendered(clip.frames[frame], clip.labels[frame])
        target, (words,) = edit.apply(clip.scene.rows(frame), drawn, same)
        targets.append(target)
    return SuiteClip(
        name=f"rendered {index + 1}",
        instruction=held_out_instruction(name, index, **words),
        frames=clip.frames, flow=clip.flow, visible=clip.visible, flow_method="exact",
        fps=RENDERED_FPS, target=torch.cat(targets) if edit.deterministic else None,
        nearest=nearest_of(name), edit=name,
    )  # fmt: skip


def held_out_instruction(name: str, index: int, **words: str) -> str:
    """Return a held-out phrasing of an edit; `index` chooses which."""
    from fairy.synthetic.phrase_table import PHRASES

    choices = PHRASES[name][1]
    return choices[index % len(choices)].format(it="it", **words)


def nearest_of(name: str) -> Nearest | None:
    """Return the function that fits an edit's free choice; None if none can be fitted."""
    from fairy.synthetic.free_looks import FREE_LOOKS

    return FREE_LOOKS[name].nearest if name in FREE_LOOKS else None


def _read(
    path: Path, num_frames: int, size: int, multiple: int, stride: int
) -> tuple[Tensor, VideoInfo]:
    """Read the first frames (T,3,H,W) in [0,1] at the comparison's size."""
    info = probe(path)
    if info.num_frames <= stride:
        raise SettingsError(f"{path}: a single frame; steadiness needs at least 2")
    fitted = fit_size(info.height, info.width, size=size, multiple=multiple)
    read = islice(read_frames(path), 0, num_frames * stride, stride)
    frames = [(to_model(resize(frame.image, fitted)[None]) + 1) / 2 for frame in read]
    return torch.cat(frames), info
