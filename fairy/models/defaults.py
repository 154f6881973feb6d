"""Settings that suit a model, read from the optional fairy.json beside its model_index.json.

Tests: tests/models/test_defaults.py.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from fairy.errors import ModelError
from fairy.settings import Sampling
from fairy.synthetic.names import COLOUR_NAMES, SHAPE_NAMES
from fairy.system import parse_json

SamplingT = TypeVar("SamplingT", bound=Sampling)

FILE_NAME = "fairy.json"

# Settings for which None means the model's default
FILLED = ("size", "num_inference_steps", "guidance_scale", "image_guidance_scale")

# Words that any instruction may contain, whatever the model was trained on
COMMON_WORDS = frozenset(
    ("a", "an", "and", "as", "at", "be", "by", "for", "from", "in", "into", "is", "it", "its")
).union(("of", "on", "the", "this", "to"))


@dataclass(frozen=True, kw_only=True)
class KnownEdit:
    """One edit that a model was trained on.

    Attributes:
        name: its name in the training data.
        instruction: an example, as shown to users.
        steps: denoising steps that it needs; few if the instruction determines the result.
        phrases: other phrasings it was trained with; `{it}`, `{shape}`, `{other}` and `{colour}`
            are placeholders for words.
        right: share of held-out cases, 0 to 1, in which the edit succeeded; None if unknown.
        colourless: whether the result has no colour: what little the model leaves is taken out.
    """

    name: str
    instruction: str
    steps: int
    phrases: tuple[str, ...] = ()
    right: float | None = None
    colourless: bool = False

    def __post_init__(self) -> None:
        """Check the number of steps."""
        if not isinstance(self.steps, int) or self.steps < 1:
            raise ValueError(f"edit {self.name}: steps is {self.steps!r}: it must be at least 1")


@dataclass(frozen=True, kw_only=True)
class ModelDefaults:
    """A model's values for settings that the user leaves out; these here suit SD-class models.

    Attributes:
        size: longer side in pixels.
        guidance_scale: weight of the instruction.
        image_guidance_scale: weight of the source image.
        num_inference_steps: denoising steps (section 5 of the Fairy paper: 10).
        scheduler: a name of `fairy.models.schedulers`, or None for the model's own.
        instructions: examples of what the model knows; empty if it understands free language.
        words: every word the model knows, lower case; empty if it understands free language.
        edits: the edits it was trained on; empty if it does not list them.
    """

    size: int = 512
    guidance_scale: float = 7.5
    image_guidance_scale: float = 1.5
    num_inference_steps: int = 10
    scheduler: str | None = "euler_ancestral"
    instructions: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()
    edits: tuple[KnownEdit, ...] = ()

    def fill(self, sampling: SamplingT, instruction: str = "") -> SamplingT:
        """Return `sampling` with None replaced by this model's defaults.

        If `instruction` asks for a listed edit, the steps are that edit's.
        """
        edit = nearest_edit(instruction, self.edits)
        defaults = self if edit is None else replace(self, num_inference_steps=edit.steps)
        unset = [name for name in FILLED if getattr(sampling, name) is None]
        return replace(sampling, **{name: getattr(defaults, name) for name in unset})


def model_defaults(folder: str | Path, base: ModelDefaults | None = None) -> ModelDefaults:
    """Return the defaults in `folder`'s fairy.json, and those of `base` where it has none.

    `base` is SD-class when None.

    If fairy.json names no scheduler, the model keeps its own.

    Raises:
        ModelError: the file is not JSON, or has unknown entries or entries of the wrong type.
    """
    path = Path(folder) / FILE_NAME
    base = base or ModelDefaults()
    if not path.is_file():
        return base
    try:
        return _parse(base, {"scheduler": None, **parse_json(path.read_text(encoding="utf-8"))})
    except (ValueError, TypeError) as error:
        raise ModelError(f"{path}: {error}; fairy.models.defaults lists its entries") from error


def save_defaults(defaults: ModelDefaults, folder: str | os.PathLike[str]) -> None:
    """Write `defaults` as the fairy.json of `folder`."""
    entries = {**asdict(defaults), "words": sorted(defaults.words)}
    Path(folder, FILE_NAME).write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


def unknown_words(instruction: str, defaults: ModelDefaults) -> list[str]:
    """Return the words of `instruction` that the model does not know, in order, each once.

    A model that lists no words understands free language, so the result is empty.
    """
    if not defaults.words:
        return []
    words = dict.fromkeys(re.findall(r"[\w']+", instruction.lower()))
    return [word for word in words if word not in defaults.words | COMMON_WORDS]


def nearest_edit(instruction: str, edits: Sequence[KnownEdit]) -> KnownEdit | None:
    """Return the listed edit that `instruction` asks for, or None if it resembles none of them.

    Scored as by `edits_by_likeness`.
    """
    nearest = edits_by_likeness(instruction, edits)
    return nearest[0][0] if nearest else None


def edits_by_likeness(
    instruction: str, edits: Collection[KnownEdit], least: float | None = None
) -> list[tuple[KnownEdit, float]]:
    """Return the listed edits and their scores, from `least` on, the nearest first.

    The score is the weight of the words that two instructions share, divided by that of all their
    words. A word weighs log((n + 1) / m) if m of the n edits use it: "make" little, "sepia" much.
    All shapes are one word and so are all colours: "make the square blue" is the same edit as
    "make the circle red". Words that no edit uses are ignored.
    """
    phrases = _phrase_words(tuple(edits))
    weight = _weights(tuple(edits))
    target = _content(instruction) & weight.keys()

    def likeness(words: frozenset[str]) -> float:
        shared = sum(weight[word] for word in words & target)
        return shared / sum(weight[word] for word in words | target) if shared else 0.0

    scored = [(edit, max(map(likeness, sets))) for edit, sets in zip(edits, phrases, strict=True)]
    bound = LEAST_LIKENESS if least is None else least
    return sorted((one for one in scored if one[1] >= bound), key=lambda one: -one[1])


@lru_cache(maxsize=4)
def _phrase_words(edits: tuple[KnownEdit, ...]) -> list[list[frozenset[str]]]:
    """Return the words that matter of every phrasing of every edit."""
    return [[_content(text) for text in (edit.instruction, *edit.phrases)] for edit in edits]


@lru_cache(maxsize=4)
def _weights(edits: tuple[KnownEdit, ...]) -> dict[str, float]:
    """Return what each word counts for: much if few edits use it."""
    num_uses = Counter(word for sets in _phrase_words(edits) for word in set().union(*sets))
    return {word: math.log((len(edits) + 1) / uses) for word, uses in num_uses.items()}


def _content(instruction: str) -> frozenset[str]:
    """Return the words that carry meaning, with shapes and colours as `{shape}` and `{colour}`."""
    words = re.findall(r"\{\w+\}|[\w']+", instruction.lower())
    return frozenset(_CLASSES.get(word, word) for word in words) - COMMON_WORDS - {"{it}"}


_CLASSES = {
    "{other}": "{shape}",
    **dict.fromkeys(SHAPE_NAMES, "{shape}"),
    **dict.fromkeys(COLOUR_NAMES, "{colour}"),
}
# Instructions that share only words of most edits ("make it ...") score below this
LEAST_LIKENESS = 0.25

_LEAST = {"size": 16, "num_inference_steps": 1, "guidance_scale": 0, "image_guidance_scale": 0}


def _parse(base: ModelDefaults, entries: dict[str, Any]) -> ModelDefaults:
    known = {field.name for field in fields(ModelDefaults)}
    if unknown := sorted(entries.keys() - known):
        raise ValueError(f"unknown entry {unknown[0]!r}")
    entries["instructions"] = tuple(entries.get("instructions", ()))
    entries["edits"] = tuple(
        KnownEdit(**{**edit, "phrases": tuple(edit.get("phrases", ()))})
        for edit in entries.get("edits", ())
    )
    entries["words"] = frozenset(word.lower() for word in entries.get("words", ()))
    for name, least in _LEAST.items():
        if name in entries and not isinstance(entries[name], int | float):
            raise TypeError(f"{name} is {entries[name]!r}: it must be a number")
        if entries.get(name, least) < least:
            raise ValueError(f"{name} is {entries[name]}: it must be at least {least}")
    return replace(base, **entries)
