"""Draw instructions for an edit from its phrasings, and list all phrasings and words.

The phrasings are in phrase_table.py. Tests: tests/synthetic/test_phrases.py.
"""

from __future__ import annotations

import itertools
import re
import string

import torch

from fairy.synthetic.names import COLOUR_NAMES, SHAPE_NAMES
from fairy.synthetic.phrase_table import IT, PHRASES, PREFIXES

# Share of instructions with American spelling.
US_SHARE = 0.3
US_SPELLING = (("colour", "color"), ("grey", "gray"))
FIELDS = re.compile(r"(\{\w+\})")


def phrase(name: str, split: str, generator: torch.Generator, **words: str) -> str:
    """Return a random instruction for edit `name`, with its `words` filled in.

    Args:
        name: key of `PHRASES`.
        split: "train" or "test".
        generator: chooses the phrasing and the word for the clip.
        **words: the edit's own words, such as shape="circle".
    """
    choices = PHRASES[name][0 if split == "train" else 1]
    template = choices[_pick(len(choices), generator)]
    noun = IT[_pick(len(IT), generator)]
    prefix = PREFIXES[_pick(len(PREFIXES), generator)]
    text = prefix + template.format(it=noun, **words)
    us = float(torch.rand((), generator=generator)) < US_SHARE
    return us_spelling(text) if us else text


def us_spelling(text: str) -> str:
    """Return `text` in American spelling.

    >>> us_spelling("turn the colours grey")
    'turn the colors gray'
    """
    for british, american in US_SPELLING:
        text = text.replace(british, american)
    return text


def training_templates(name: str) -> tuple[str, ...]:
    """Return the training phrasings of edit `name` in both spellings, with placeholders."""
    british = PHRASES[name][0]
    american = ["".join(map(_us_outside_braces, FIELDS.split(text))) for text in british]
    return tuple(dict.fromkeys((*british, *american)))


def _us_outside_braces(piece: str) -> str:
    return piece if piece.startswith("{") else us_spelling(piece)


def _pick(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def all_phrases() -> list[str]:
    """Return every training phrasing with every word filled in, to train the tokenizer on."""
    fills = {"it": IT, "shape": SHAPE_NAMES, "other": SHAPE_NAMES, "colour": COLOUR_NAMES}
    texts = [prefix.strip() for prefix in PREFIXES]
    for train, _ in PHRASES.values():
        for template in train:
            names = [field for _, field, _, _ in string.Formatter().parse(template) if field]
            for values in itertools.product(*(fills[name] for name in names)):
                text = template.format(**dict(zip(names, values, strict=True)))
                texts += dict.fromkeys((text, us_spelling(text)))
    return [text for text in texts if text]


def known_instruction(name: str) -> str:
    """Return the example instruction for edit `name` that users see."""
    example = {"it": "it", "shape": "circle", "other": "star", "colour": "red"}
    return PHRASES[name][0][0].format(**example)


def known_words() -> list[str]:
    """Return every word of the training phrasings, sorted."""
    return sorted({word for text in all_phrases() for word in text.split()})
