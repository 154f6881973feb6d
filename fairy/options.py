"""Options, each declared once: `Annotated[type, Option(...)]` on a field of a frozen dataclass.

Checks of values, the command line, the columns of a job list and the tables of the documentation
are made from that record. A class with such fields inherits from `Settings`.
Tests: tests/test_options.py.
"""

from __future__ import annotations

import inspect
import math
import operator
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from functools import cache
from numbers import Real
from pathlib import Path
from types import NoneType
from typing import (
    Any,
    Literal,
    NamedTuple,
    SupportsIndex,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

from fairy.errors import SettingsError

# No setting has more items; a longer list is a mistake that must not fill the memory
MAX_ITEMS = 100_000
FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

SettingsT = TypeVar("SettingsT", bound="Settings")


@dataclass(frozen=True, kw_only=True)
class Option:
    """What a setting means and which values it may have.

    Attributes:
        help: its meaning, for `--help` and tables; if empty, the field's entry under "Attributes:"
            in the class's docstring.
        group: heading under which the setting is listed.
        min: smallest allowed number, also for each number in a tuple.
        max: largest allowed number.
        choices: the allowed texts; any text when empty.
        allowed: advice for a number out of range, if "it must be at least 1" is not enough.
        form: what a value looks like ("a whole number"), if the type does not say it.
        unset: what None means, as in "the model's".
        flag: name on the command line, if it differs from the field's.
        short: a one-letter name on the command line, as in "-o".
        metavar: placeholder for the value in `--help`.
        is_time: whether the number is of seconds, and may be typed as 1:30 or 0:01:30.5.
        counts_frames: whether a text may be a number of frames, and so be given as a number.
        many: whether it can be given several times on the command line.
        file: whether the value names files to be "read" or "written"; checks that no output
            replaces an input, or another output, go by this.
        paths: the files that a text names, if it is more than a path.
    """

    help: str = ""
    group: str = ""
    min: float | None = None
    max: float | None = None
    choices: tuple[str, ...] = ()
    allowed: str = ""
    form: str = ""
    unset: str = ""
    flag: str | None = None
    short: str | None = None
    metavar: str | None = None
    is_time: bool = False
    counts_frames: bool = False
    many: bool = False
    file: Literal["read", "written"] | None = None
    paths: Callable[[str], Iterable[Path]] = lambda text: (Path(text),)


class OptionField(NamedTuple):
    """One field of a settings class; `default` is `dataclasses.MISSING` if a value is required."""

    name: str
    type: Any
    default: Any
    option: Option

    @property
    def flag(self) -> str:
        """Name on the command line, as in "--num-anchors"."""
        return "--" + (self.option.flag or self.name).replace("_", "-")

    @property
    def plain_type(self) -> Any:
        """The type X of a field `X | None`, or the type itself."""
        return _plain(self.type)

    @property
    def default_text(self) -> str:
        """The default as shown to users: what None means, on or off, or the value; may be empty."""
        if self.default is None or self.default is MISSING:
            return self.option.unset
        if isinstance(self.default, bool):
            return "on" if self.default else "off"
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)

    def files(self, value: Any) -> list[Path]:
        """Return the files and folders that a value of this field names."""
        values = value if isinstance(value, tuple) else () if value is None else (value,)
        named = [[one] if isinstance(one, Path) else self.option.paths(one) for one in values]
        return [path for paths in named for path in paths]


class Settings:
    """Base of frozen dataclasses whose fields are checked and converted by their `Option`."""

    def __post_init__(self) -> None:
        """Convert every field to its type and check it."""
        for name, kind, _, option in options_of(self):
            object.__setattr__(self, name, checked(name, getattr(self, name), kind, option))

    @classmethod
    def part_of(cls: type[SettingsT], settings: Settings) -> SettingsT:
        """Return only the fields of this class, from an object of a class that inherits them."""
        return cls(**{field.name: getattr(settings, field.name) for field in options_of(cls)})


def options_of(settings: Any) -> tuple[OptionField, ...]:
    """Return the fields of a settings class, or of its object, in order.

    Raises:
        TypeError: a field has neither an `Option` with a help nor an entry in the docstring.
    """
    return _options_of(settings if isinstance(settings, type) else type(settings))


def named_files(
    settings: type[Settings], values: Any, use: Literal["read", "written"]
) -> dict[str, Path]:
    """Return the files and folders to be read or written, by their role in messages.

    Args:
        settings: a class with options.
        values: an object with its fields.
        use: which files.
    """
    found: dict[str, Path] = {}
    for field in options_of(settings):
        if field.option.file == use:
            paths = field.files(getattr(values, field.name))
            found |= {field.flag if len(paths) == 1 else f"{field.flag} {p}": p for p in paths}
    return found


@cache
def _options_of(settings: Any) -> tuple[OptionField, ...]:
    hints, described = get_type_hints(settings, include_extras=True), _described(settings)
    listed = []
    for field in fields(settings):
        kind, option = _declared(hints[field.name])
        if not option.help and field.name not in described:
            raise TypeError(
                f"{settings.__name__}.{field.name} has no help: declare it as "
                "Annotated[type, Option(help=...)]"
            )
        option = option if option.help else replace(option, help=described[field.name])
        listed.append(OptionField(field.name, kind, field.default, option))
    return tuple(listed)


def _declared(hint: Any) -> tuple[Any, Option]:
    """Return the type and the record of `Annotated[type, Option(...)]`, or a bare type."""
    for record in getattr(hint, "__metadata__", ()):
        if isinstance(record, Option):
            return get_args(hint)[0], record
    return hint, Option()


def _described(settings: Any) -> dict[str, str]:
    """Return the entries under "Attributes:" in a class's docstring, each as one sentence."""
    entries = _ENTRY.findall(inspect.getdoc(settings) or "")
    texts = {name: " ".join(text.split()).rstrip(".") + "." for name, text in entries}
    return {name: text[0].upper() + text[1:] for name, text in texts.items()}


# A name, a colon, and text that may continue in lines indented further
_ENTRY = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)


def checked(name: str, value: Any, kind: Any, option: Option) -> Any:
    """Return `value` converted to the type `kind`: 7.0, "7" and numpy's 7 are the int 7.

    Raises:
        SettingsError: the value has another form, is out of range, or is not one of the choices.
    """
    if option.counts_frames and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    try:
        converted = convert(_seconds(value) if option.is_time else value, kind)
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise SettingsError(
            f"{name} is {_shown(value)}: give {option.form or _form(_plain(kind))}"
        ) from error
    for number in _numbers(converted):
        if advice := _out_of_range(number, option):
            raise SettingsError(f"{name} is {_shown(converted)}: {advice}")
    if option.choices and converted is not None and converted not in option.choices:
        known = ", ".join(option.choices)
        raise SettingsError(f"{name} {_shown(converted)} is unknown: use {known}")
    return converted


def _seconds(value: Any) -> Any:
    """Return hours, minutes and seconds in a text as seconds; anything else as it is."""
    if not isinstance(value, str) or ":" not in value:
        return value
    *larger, seconds = value.split(":")
    total = 0
    for part in larger:
        total = 60 * total + int(part)
    return 60 * total + float(seconds)


def convert(value: Any, kind: Any) -> Any:
    """Convert a Python value, text or JSON value to the type `kind`.

    `kind` is bool, int, float, str, Path, a tuple of these, or one of them or None.

    Raises:
        TypeError, KeyError, ValueError, OverflowError: the value does not fit the type.
    """
    if NoneType in get_args(kind) and value is None:
        return None
    plain = _plain(kind)
    if get_origin(plain) is tuple:
        return _items(value, get_args(plain))
    return _CONVERTERS[plain](value)


def _plain(kind: Any) -> Any:
    """Return the type X of `X | None`, or the type itself."""
    others = [part for part in get_args(kind) if part is not NoneType]
    return others[0] if NoneType in get_args(kind) else kind


def _flag(value: Any) -> bool:
    return FLAGS[str(value).strip().lower()]


def _whole(value: Any) -> int:
    if isinstance(value, SupportsIndex) and not isinstance(value, bool):
        return operator.index(value)
    # An integer beyond 2**53 is not exact as a float
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,40}\s*", value):
        return int(value)
    number = _number(value)
    if not number.is_integer():
        raise ValueError(f"{number} is not a whole number")
    return int(number)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, str | Real | SupportsIndex):
        raise TypeError(f"{type(value).__name__} is not a number")
    return float(value)


def _text(value: Any) -> str:
    text = os.fspath(value)
    if not isinstance(text, str):
        raise TypeError(f"{type(value).__name__} is not text")
    return text


def _path(value: Any) -> Path:
    return Path(_text(value))


def _items(value: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the items of a sequence, an array, or a text separated by commas or spaces."""
    if isinstance(value, str):
        value = re.split(r"[,\s]+", value.strip())
    elif hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, Sequence) or len(value) > MAX_ITEMS:
        raise TypeError(f"{type(value).__name__} is not a list of at most {MAX_ITEMS} items")
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    return tuple(convert(part, kind) for part, kind in zip(value, kinds, strict=True))


_CONVERTERS = {bool: _flag, int: _whole, float: _number, str: _text, Path: _path}
_FORMS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "the name of a file or folder",
}


def _form(kind: Any) -> str:
    """Describe what a value of a type looks like."""
    if get_origin(kind) is not tuple:
        return _FORMS[kind]
    first, *others = get_args(kind)
    if others == [Ellipsis]:
        return f"a list, each {_form(first)}"
    return f"a list of {1 + len(others)}, each {_form(first)}"


def _numbers(value: Any) -> Iterator[float]:
    """Yield the numbers of a converted value."""
    if isinstance(value, tuple):
        for part in value:
            yield from _numbers(part)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def _out_of_range(number: float, option: Option) -> str:
    """Return advice for a number that is not allowed; empty if it is allowed."""
    if isinstance(number, float) and not math.isfinite(number):
        return option.allowed or "it must be a finite number"
    if option.min is not None and number < option.min:
        return option.allowed or f"it must be at least {option.min}"
    if option.max is not None and number > option.max:
        return option.allowed or f"it must be at most {option.max}"
    return ""


def _shown(value: Any) -> str:
    """Return a value as one short line for a message."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"
    text = " ".join((repr(value) if isinstance(value, str) else str(value)).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
