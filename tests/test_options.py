"""Options: one record converts, checks and describes a setting."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest

from fairy.errors import SettingsError
from fairy.options import Option, Settings, options_of

PLAIN = Option(help="Something.")


@dataclass(frozen=True, kw_only=True)
class Made(Settings):
    number: Annotated[int, Option(help="A number.", min=1, max=9)] = 1
    weight: Annotated[float | None, Option(help="A weight.", min=0)] = None
    on: Annotated[bool, PLAIN] = False
    word: Annotated[str, Option(help="A word.", choices=("a", "b"), flag="the-word")] = "a"
    file: Annotated[Path | None, PLAIN] = None
    pair: Annotated[tuple[float, float], Option(help="Two.", form="two numbers, as in 0 1")] = (
        0,
        1,
    )
    many: Annotated[tuple[int, ...], Option(help="Many.", min=0)] = ()
    sizes: Annotated[tuple[tuple[int, int], ...], PLAIN] = ()


@dataclass(frozen=True, kw_only=True)
class MadeLarger(Made):
    more: Annotated[str, PLAIN] = ""


@pytest.mark.parametrize("seven", [7, 7.0, "7", " 7 ", "7.0", "7e0", np.int64(7), np.float32(7)])
def test_whole_numbers_of_any_form_become_an_int(seven: object):
    number = Made(number=seven).number
    assert (type(number), number) == (int, 7)


def test_a_large_whole_number_stays_exact():
    assert Made(many=("9007199254740993",)).many == (2**53 + 1,)


@pytest.mark.parametrize("value", [7.5, "7.5", "seven", True, None, "", "nan", math.inf, [7], b"7"])
def test_what_is_no_whole_number_is_refused(value: object):
    with pytest.raises(SettingsError, match=r"number is .*: give a whole number"):
        Made(number=value)


HUGE = {"digits": 10**100_000, "text": "9" * 1_000_000, "power": "1e999999999"}
HUGE |= {"range": range(10**12), "float": 1e300}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", HUGE)
def test_huge_values_are_refused_at_once_in_a_short_line(kind: str):
    for settings in ({"number": HUGE[kind]}, {"many": HUGE[kind], "number": 0}):
        with pytest.raises(SettingsError) as caught:
            Made(**settings)
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize("half", [0.5, "0.5", "5e-1", Fraction(1, 2), np.float32(0.5)])
def test_numbers_of_any_form_become_a_float(half: object):
    weight = Made(weight=half).weight
    assert (type(weight), weight) == (float, 0.5)


@pytest.mark.parametrize("value", [math.nan, math.inf, "nan", "-inf"])
def test_numbers_that_are_not_finite_are_refused(value: object):
    with pytest.raises(SettingsError, match=r"weight is -?(nan|inf): it must be a finite number"):
        Made(weight=value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"number": 0}, "number is 0: it must be at least 1"),
        ({"number": 10}, "number is 10: it must be at most 9"),
        ({"weight": -1}, "weight is -1.0: it must be at least 0"),
        ({"many": (3, -1)}, r"many is \(3, -1\): it must be at least 0"),
        ({"on": "maybe"}, "on is 'maybe': give true or false"),
        ({"word": "c"}, "word 'c' is unknown: use a, b"),
        ({"word": 3}, "word is 3: give text"),
        ({"pair": "0.5"}, "pair is '0.5': give two numbers, as in 0 1"),
        ({"pair": (0, 1, 2)}, r"pair is \(0, 1, 2\): give two numbers"),
        ({"many": {1, 2}}, r"many is \{1, 2\}: give a list, each a whole number"),
        (
            {"sizes": [[1]]},
            r"sizes is \[\[1\]\]: give a list, each a list of 2, each a whole number",
        ),
    ],
)
def test_an_error_says_what_it_was_and_what_is_allowed(settings: dict[str, object], words: str):
    with pytest.raises(SettingsError, match=words):
        Made(**settings)


@pytest.mark.parametrize(
    "values", ["1,2,3", "1 2 3", "1, 2,3 ", [1, 2.0, "3"], np.array([1, 2, 3])]
)
def test_tuples_come_from_text_lists_and_arrays(values: object):
    assert Made(many=values).many == (1, 2, 3)


def test_the_other_types():
    made = Made(on="yes", file="a.png", sizes=[[1, 2], [3, 4]])
    assert (made.on, made.file, made.sizes) == (True, Path("a.png"), ((1, 2), (3, 4)))
    assert Made(on=np.bool_(True), word="b").on is True


def test_fields_are_listed_in_order_with_their_flags():
    listed = options_of(MadeLarger)
    assert [field.name for field in listed] == [f.name for f in dataclasses.fields(MadeLarger)]
    assert listed[0] == ("number", int, 1, Option(help="A number.", min=1, max=9))
    assert listed[3].flag == "--the-word"


def test_a_part_has_the_fields_of_its_class_only():
    part = Made.part_of(MadeLarger(number=3, more="x"))
    assert part == Made(number=3)


def test_a_help_may_be_in_the_docstring():
    @dataclass(frozen=True, kw_only=True)
    class Described(Settings):
        """Settings with a description.

        Attributes:
            number: a number, described in more
                than one line.
            share: a share of it
        """

        number: int = 1
        share: Annotated[float, Option(max=1)] = 0.5

    # Local names are not seen by annotations that are text
    assert [field.option.help for field in options_of(Described)] == [
        "A number, described in more than one line.",
        "A share of it.",
    ]
    with pytest.raises(SettingsError, match=r"share is 2\.0: it must be at most 1"):
        Described(share=2)


def test_a_field_without_a_help_is_our_own_mistake():
    @dataclass(frozen=True)
    class Bare(Settings):
        number: int = 1

    with pytest.raises(TypeError, match=r"Bare\.number has no help"):
        Bare()
