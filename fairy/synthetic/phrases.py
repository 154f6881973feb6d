"""How each edit is asked for: phrasings to train on and others kept for testing.

`{it}` is any word for the clip, `{shape}`, `{other}` and `{colour}` are the edit's own words. The
test phrasings are other sentences made of words that training has seen.
Tests: tests/synthetic/test_phrases.py.
"""

from __future__ import annotations

import itertools
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
        ),
        ("turn {it} black and white", "a monochrome photo"),
    ),
    "sepia": (
        (
            "make {it} sepia",
            "turn {it} into a sepia photo",
            "an old brown photograph",
            "give {it} a sepia tone",
            "sepia",
            "make {it} look like an old photograph",
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
        ),
        ("turn {it} to night time", "make {it} at night"),
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
        ),
        ("change {it} to winter", "make {it} a snowy winter day"),
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
        ),
        ("put mist over {it}", "make {it} a foggy day"),
    ),
    "pencil_sketch": (
        (
            "make {it} a pencil sketch",
            "turn {it} into a pencil drawing",
            "a pencil sketch",
            "draw {it} with a pencil",
            "sketch {it}",
            "make {it} look like a drawing",
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
        ),
        ("give {it} high contrast", "make the contrast strong"),
    ),
    "blueprint": (
        (
            "make {it} a blueprint",
            "turn {it} into a blueprint",
            "a technical drawing on blueprint paper",
            "draw white lines on blueprint paper",
            "blueprint",
            "show {it} as a blueprint",
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
        ),
        ("a duotone print", "turn {it} into a two colour print"),
    ),
    "stained_glass": (
        (
            "make {it} stained glass",
            "turn {it} into stained glass",
            "a stained glass window",
            "make {it} look like a church window",
            "show {it} in coloured glass",
            "stained glass",
        ),
        ("turn {it} into a stained glass window", "show {it} in stained glass"),
    ),
    "brush_strokes": (
        (
            "paint {it} with brush strokes",
            "turn {it} into a painting",
            "an oil painting",
            "make {it} look painted",
            "make {it} an oil painting with a brush",
            "wide brush strokes",
        ),
        ("turn {it} into an oil painting", "make {it} a painting with brush strokes"),
    ),
    "random_shape_colours": (
        (
            "give the shapes new colours",
            "paint the shapes in other colours",
            "recolour the shapes",
            "change the colours of the shapes",
            "make the shapes colourful",
            "new colours for all shapes",
        ),
        ("paint the shapes in new colours", "change the shapes to other colours"),
    ),
    "stripes": (
        (
            "put stripes on the shapes",
            "make the shapes striped",
            "paint stripes on all shapes",
            "give the shapes stripes",
            "striped shapes",
            "cover the shapes in stripes",
        ),
        ("paint the shapes with stripes", "make all shapes striped"),
    ),
    "dots": (
        (
            "put dots on the shapes",
            "make the shapes dotted",
            "paint dots on all shapes",
            "give the shapes dots",
            "dotted shapes",
            "cover the shapes in dots",
        ),
        ("paint the shapes with dots", "make all shapes dotted"),
    ),
}


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
    return prefix + template.format(it=noun, **words)


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
                texts.append(template.format(**dict(zip(names, values, strict=True))))
    return [text for text in texts if text]


def known_instructions() -> list[str]:
    """Return one instruction for each edit, as shown to users."""
    example = {"it": "it", "shape": "circle", "other": "star", "colour": "red"}
    return [train[0].format(**example) for train, _ in PHRASES.values()]


def known_words() -> list[str]:
    """Return every word of the training phrasings, sorted."""
    return sorted({word for text in all_phrases() for word in text.split()})
