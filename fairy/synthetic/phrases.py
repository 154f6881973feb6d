"""How each edit is asked for: phrasings to train on and others kept for testing.

`{it}` is any word for the clip, `{shape}`, `{other}` and `{colour}` are the edit's own words. The
test phrasings are other sentences made of words that training has seen.
Tests: tests/synthetic/test_phrases.py.
"""

from __future__ import annotations

import itertools
import re
import string

import torch

from fairy.synthetic.scenes import COLOUR_NAMES
from fairy.synthetic.shapes import SHAPE_NAMES

IT = ("it", "this", "the video", "the scene", "the picture", "the image", "everything")
PREFIXES = ("", "", "", "please ", "now ")

# name: (training phrasings, test phrasings); the first is the one that users are shown.
PHRASES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "black_and_white": (
        (
            "make {it} black and white",
            "turn {it} into a black and white photo",
            "remove all colour",
            "a black and white film",
            "make {it} monochrome",
            "greyscale",
            "turn {it} grey",
            "take the colour out of {it}",
            "convert {it} to greyscale",
            "show {it} without colour",
            "black and white",
        ),
        ("turn {it} black and white", "a monochrome photo", "convert {it} to black and white"),
    ),
    "sepia": (
        (
            "make {it} sepia",
            "turn {it} into a sepia photo",
            "an old brown photograph",
            "give {it} a sepia tone",
            "sepia",
            "make {it} look like an old photograph",
            "an old photo in brown tones",
            "convert {it} to sepia",
            "sepia toned",
            "show {it} as an old brown photo",
        ),
        ("turn {it} sepia", "an old sepia photograph"),
    ),
    "negative": (
        (
            "make {it} a negative",
            "invert the colours",
            "turn {it} into a photographic negative",
            "negative",
            "invert {it}",
            "show the negative of {it}",
            "inverted colours",
            "swap light and dark",
            "a photo negative",
            "convert {it} to a negative",
        ),
        ("turn {it} into a negative", "invert all the colours"),
    ),
    "night": (
        (
            "make {it} night",
            "turn {it} into night",
            "it is night",
            "at night under the moon",
            "change {it} to night time",
            "make {it} dark like at night",
            "moonlight",
            "show {it} at night",
            "set {it} at night",
            "a dark night",
        ),
        ("turn {it} to night time", "make {it} at night", "show {it} under the moon"),
    ),
    "sunset": (
        (
            "make {it} sunset",
            "turn {it} into a sunset",
            "at sunset",
            "give {it} the light of a sunset",
            "change {it} to evening light",
            "golden sunset light",
            "make {it} a golden evening",
            "show {it} at sunset",
            "at dusk in orange light",
            "set {it} at sunset",
        ),
        ("change {it} to sunset", "give {it} golden evening light"),
    ),
    "winter": (
        (
            "make it snow",
            "turn {it} into winter",
            "make {it} winter",
            "cover {it} in snow",
            "a cold winter day",
            "add snow",
            "make {it} cold and snowy",
            "show {it} in winter",
            "let it snow",
            "snowy weather",
            "put snow on everything",
        ),
        ("change {it} to winter", "make {it} a snowy winter day", "cover {it} with snow"),
    ),
    "fog": (
        (
            "add fog",
            "make {it} foggy",
            "cover {it} in fog",
            "a foggy day",
            "put fog over {it}",
            "turn {it} into a foggy morning",
            "fill {it} with mist",
            "misty weather",
            "make {it} misty",
            "show {it} in thick fog",
            "haze over {it}",
        ),
        ("put mist over {it}", "make {it} a foggy day", "cover {it} in mist"),
    ),
    "pencil_sketch": (
        (
            "make {it} a pencil sketch",
            "turn {it} into a pencil drawing",
            "a pencil sketch",
            "draw {it} with a pencil",
            "sketch {it}",
            "make {it} look like a drawing",
            "a pencil drawing on paper",
            "a hand drawn sketch",
            "show {it} as a sketch",
            "draw {it} in pencil",
        ),
        ("turn {it} into a pencil sketch", "make {it} a pencil drawing"),
    ),
    "poster": (
        (
            "make {it} a poster",
            "turn {it} into a poster with few colours",
            "a screen print poster",
            "posterize {it}",
            "use only a few flat colours",
            "make {it} look like a poster",
            "posterise {it}",
            "a poster with few flat colours",
            "reduce {it} to a few colours",
            "show {it} as a poster",
        ),
        ("turn {it} into a poster", "a poster with flat colours"),
    ),
    "pixel_art": (
        (
            "make {it} pixel art",
            "turn {it} into pixel art",
            "pixelate {it}",
            "an old video game with big pixels",
            "make {it} look like a video game",
            "show {it} in big square pixels",
            "pixel art",
            "pixelated",
            "a retro game with square pixels",
            "draw {it} as pixel art",
        ),
        ("change {it} to pixel art", "pixel art with big pixels"),
    ),
    "emboss": (
        (
            "emboss {it}",
            "make {it} a stone relief",
            "turn {it} into a relief",
            "carve {it} in stone",
            "an embossed picture",
            "make {it} look carved in stone",
            "a grey relief",
            "show {it} as a relief",
            "press {it} into stone",
            "embossed",
        ),
        ("turn {it} into a stone relief", "make {it} embossed"),
    ),
    "warm_film": (
        (
            "make {it} look like warm film",
            "give {it} a faded film look",
            "a warm vintage film",
            "turn {it} into vintage film",
            "faded vintage colours",
            "make {it} warm and faded",
            "vintage",
            "a retro film look",
            "make {it} look vintage",
            "warm faded colours like old film",
        ),
        ("give {it} a vintage film look", "make {it} look like faded film"),
    ),
    "high_contrast": (
        (
            "make {it} high contrast",
            "increase the contrast",
            "turn up the contrast",
            "give {it} strong contrast",
            "high contrast",
            "make {it} hard and contrasty",
            "more contrast",
            "raise the contrast of {it}",
            "boost the contrast",
            "deep blacks and bright whites",
        ),
        ("give {it} high contrast", "make the contrast strong", "give {it} more contrast"),
    ),
    "blueprint": (
        (
            "make {it} a blueprint",
            "turn {it} into a blueprint",
            "a technical drawing on blueprint paper",
            "draw white lines on blueprint paper",
            "blueprint",
            "show {it} as a blueprint",
            "white lines on blue paper",
            "make {it} a technical drawing",
            "convert {it} to a blueprint",
            "an architect's blueprint",
        ),
        ("change {it} to a blueprint", "draw {it} as a blueprint"),
    ),
    "thermal": (
        (
            "make {it} thermal",
            "show {it} through a thermal camera",
            "turn {it} into a heat map",
            "a thermal image",
            "heat camera",
            "make {it} look like a heat map",
            "thermal camera",
            "thermal vision",
            "an infrared heat image",
            "show the heat of {it}",
        ),
        ("turn {it} into a thermal image", "show {it} as a heat map"),
    ),
    "comic": (
        (
            "make {it} a comic",
            "turn {it} into a comic book",
            "a cartoon with black outlines",
            "make {it} look like a cartoon",
            "draw {it} as a comic",
            "cartoon",
            "comic book style",
            "make {it} a cartoon",
            "show {it} as a cartoon",
            "flat colours with black outlines",
        ),
        ("turn {it} into a cartoon", "a comic book with black outlines"),
    ),
    "recolour": (
        (
            "make the {shape} {colour}",
            "turn the {shape} {colour}",
            "paint the {shape} {colour}",
            "change the colour of the {shape} to {colour}",
            "the {shape} should be {colour}",
            "give the {shape} a {colour} colour",
            "let the {shape} be {colour}",
            "a {colour} {shape}",
            "dye the {shape} {colour}",
            "fill the {shape} with {colour}",
        ),
        ("change the {shape} to {colour}", "colour the {shape} {colour}"),
    ),
    "reshape": (
        (
            "turn the {shape} into a {other}",
            "make the {shape} a {other}",
            "replace the {shape} with a {other}",
            "change the {shape} into a {other}",
            "swap the {shape} for a {other}",
            "the {shape} should be a {other}",
            "a {other} instead of the {shape}",
            "let the {shape} become a {other}",
            "put a {other} in place of the {shape}",
            "transform the {shape} into a {other}",
        ),
        ("change the {shape} for a {other}", "swap the {shape} with a {other}"),
    ),
    "remove": (
        (
            "remove the {shape}",
            "take the {shape} away",
            "delete the {shape}",
            "erase the {shape}",
            "get rid of the {shape}",
            "make the {shape} disappear",
            "hide the {shape}",
            "no {shape}",
            "without the {shape}",
            "make the {shape} vanish",
        ),
        ("take away the {shape}", "get the {shape} away"),
    ),
    "grey_background": (
        (
            "keep only the shapes in colour",
            "make the background black and white",
            "turn the background grey",
            "a grey background",
            "remove the colour of the background",
            "make everything but the shapes grey",
            "only the shapes keep their colour",
            "take the colour out of the background",
            "convert the background to greyscale",
            "colour only on the shapes",
        ),
        ("turn the background black and white", "make the background grey"),
    ),
    "duotone": (
        (
            "make {it} a duotone",
            "turn {it} into a duotone",
            "use two colours",
            "print {it} in two colours",
            "a two colour print",
            "duotone",
            "show {it} in two colours",
            "only two colours",
            "reduce {it} to two colours",
            "tint {it} in two colours",
        ),
        ("a duotone print", "turn {it} into a two colour print"),
    ),
    "pop_art": (
        (
            "make {it} pop art",
            "turn {it} into pop art",
            "a pop art print",
            "show {it} as pop art",
            "pop art",
            "draw {it} as pop art",
            "pop art in bright colours",
            "a pop art poster",
            "paint {it} as pop art",
            "convert {it} to pop art",
        ),
        ("change {it} to pop art", "print {it} as pop art"),
    ),
    "paint_by_numbers": (
        (
            "paint {it} by numbers",
            "turn {it} into paint by numbers",
            "paint {it} in new colours",
            "a painting by numbers",
            "give everything new colours",
            "paint by numbers",
            "paint everything in new colours",
            "show {it} as paint by numbers",
            "repaint {it}",
            "paint each part in a new colour",
        ),
        ("make {it} a painting by numbers", "paint all of {it} in new colours"),
    ),
    "neon": (
        (
            "make {it} neon",
            "turn {it} into neon",
            "draw {it} with neon lines",
            "neon outlines",
            "show {it} in neon light",
            "neon",
            "glowing neon lines",
            "a neon sign",
            "make {it} glow in neon",
            "neon lines in the dark",
        ),
        ("draw {it} in neon", "turn {it} into a neon sign"),
    ),
    "other_hues": (
        (
            "turn the colours of {it}",
            "change the colours",
            "give {it} other colours",
            "use other colours",
            "turn all colours",
            "shift the hue",
            "other hues",
            "shift all colours of {it}",
            "change the hues of {it}",
            "rotate the colours",
        ),
        ("change {it} to other colours", "shift the colours"),
    ),
    "stage_light": (
        (
            "light {it} with lamps of two colours",
            "put coloured light on {it}",
            "coloured light",
            "give {it} coloured light",
            "show {it} in coloured light",
            "stage light",
            "light {it} like a stage",
            "disco light",
            "put {it} on a stage with coloured lamps",
            "coloured lamps from both sides",
        ),
        ("turn on coloured light", "light {it} with coloured lamps"),
    ),
    "random_shape_colours": (
        (
            "give the shapes new colours",
            "paint the shapes in other colours",
            "recolour the shapes",
            "change the colours of the shapes",
            "make the shapes colourful",
            "new colours for all shapes",
            "paint the shapes",
            "give each shape a new colour",
            "other colours on the shapes",
            "repaint the shapes",
        ),
        ("paint the shapes in new colours", "change the shapes to other colours"),
    ),
}

# How often an instruction is spelled as in the United States.
US_SHARE = 0.3
US_SPELLING = (("colour", "color"), ("grey", "gray"))
FIELDS = re.compile(r"(\{\w+\})")


def phrase(name: str, split: str, generator: torch.Generator, **words: str) -> str:
    """Return one instruction for edit `name`, with its own `words` filled in.

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
    """Return `text` as it is spelled in the United States.

    >>> us_spelling("turn the colours grey")
    'turn the colors gray'
    """
    for british, american in US_SPELLING:
        text = text.replace(british, american)
    return text


def training_templates(name: str) -> tuple[str, ...]:
    """Return the training phrasings of edit `name` in both spellings, words not filled in."""
    british = PHRASES[name][0]
    american = ["".join(map(_us_outside_braces, FIELDS.split(text))) for text in british]
    return tuple(dict.fromkeys((*british, *american)))


def _us_outside_braces(piece: str) -> str:
    return piece if piece.startswith("{") else us_spelling(piece)


def _pick(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def all_phrases() -> list[str]:
    """Return every training phrasing with every word filled in: the tokenizer's text."""
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
    """Return an instruction for edit `name`, as shown to users."""
    example = {"it": "it", "shape": "circle", "other": "star", "colour": "red"}
    return PHRASES[name][0][0].format(**example)


def known_words() -> list[str]:
    """Return every word of the training phrasings, sorted."""
    return sorted({word for text in all_phrases() for word in text.split()})
