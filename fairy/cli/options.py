"""Make a command's options from a settings class, and list them in groups in its help.

`@with_options(EditConfig)` replaces a command's parameter `config` by options for `EditConfig`'s
fields. Values stay text until the settings convert them, so the command line, job lists and files
share one conversion. Tests: tests/cli/test_options.py.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from fairy.jobs.settings_file import read_settings
from fairy.options import OptionField, Settings, options_of
from fairy.settings import GROUPS, OUTPUT

OTHER = "Other options"
LAST = (*GROUPS, OTHER)
PLACEHOLDERS = {int: "INTEGER", float: "NUMBER", str: "TEXT", Path: "PATH"}
FROM_FILE = typer.Option(
    help="Read settings from a file of --save-settings or a report; other options win.",
    metavar="FILE",
    rich_help_panel=OUTPUT,
)

# The settings that decide which model is loaded, for commands that do not edit files
LOADED = ("model", "device", "dtype", "lora", "control", "quantize", "offload")


def with_options(
    settings: type[Settings],
    into: str = "config",
    *,
    only: Collection[str] | None = None,
    build: Callable[..., Any] | None = None,
    from_file: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Replace a command's parameter `into` by the options of a settings class.

    Args:
        settings: the class whose fields become options.
        into: the parameter that receives the settings.
        only: the fields that the command has; all when None.
        build: makes the parameter's value from the given options, as keywords; the class itself
            when None. `dict` keeps them as text.
        from_file: add `--settings FILE`; a parameter `settings_file` of the command receives it.
    """
    fields = [field for field in options_of(settings) if only is None or field.name in only]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        own = inspect.signature(command, eval_str=True).parameters
        takes_file = from_file and "settings_file" in own

        @functools.wraps(command)
        def wrapped(**words: Any) -> Any:
            given = {field.name: words.pop(field.name) for field in fields}
            given = {name: value for name, value in given.items() if value not in (None, [])}
            path = words.pop("settings") if from_file else None
            if path is not None:
                given = read_settings(path, settings) | given
            if takes_file:
                words["settings_file"] = path
            return command(**words, **{into: (build or settings)(**given)})

        hidden = {into, "settings_file"} if takes_file else {into}
        parameters = [parameter for name, parameter in own.items() if name not in hidden]
        parameters += [_parameter(field, from_file, build is None) for field in fields]
        if from_file:
            parameters.append(_keyword("settings", Annotated[Path | None, FROM_FILE]))
        wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapped.__annotations__ = {one.name: one.annotation for one in parameters}
        return wrapped

    return decorate


def _keyword(name: str, hint: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint)


def _parameter(field: OptionField, negatable: bool, defaults: bool) -> inspect.Parameter:
    """Return a keyword parameter that typer reads as the option; None means it was not given.

    A flag that is off by default can be negated only if a file may have turned it on.
    """
    option, flag = field.option, field.flag
    default = field.default_text if defaults else ""
    placeholder: str | None = option.metavar or PLACEHOLDERS.get(field.plain_type, "TEXT")
    if option.choices:
        placeholder = f"[{'|'.join(option.choices)}]"
    if field.plain_type is bool:
        placeholder = None
        if negatable or field.default:
            flag = f"{flag}/--no-{flag[2:]}"
        else:
            default = ""
    record = typer.Option(
        *([flag, option.short] if option.short else [flag]),
        help=f"{option.help} [default: {default}]" if default else option.help,
        metavar=placeholder,
        rich_help_panel=option.group or None,
    )
    return _keyword(field.name, Annotated[_word_type(field) | None, record])


def _word_type(field: OptionField) -> Any:
    """Return the type of the typed value: a flag, a word, or several for a metavar "A B"."""
    words = (str,) * len((field.option.metavar or "").split())
    if field.plain_type is bool:
        return bool
    if field.option.many:
        return list[str]
    return tuple.__class_getitem__(words) if len(words) > 1 else str


def words_given(context: typer.Context, without: Collection[str]) -> list[str]:
    """Return the words that a command was called with, but for some of its parameters by name."""
    words: list[str] = []
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if name in without or source is None or source.name != "COMMANDLINE":
            continue
        value = context.params[name]
        if parameter.param_type_name == "argument":
            words.append(str(value))
        elif isinstance(value, bool):
            words.append((parameter.opts if value else parameter.secondary_opts)[0])
        else:
            # A list is an option that was given several times, a tuple one with several values
            for one in value if isinstance(value, list) else [value]:
                words += [parameter.opts[0], *map(str, one if isinstance(one, tuple) else [one])]
    return words


class GroupedCommand(TyperCommand):
    """A command whose `--help` lists options by group."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options by group."""
        for heading, records in self._by_heading(ctx):
            with formatter.section(heading):
                formatter.write_dl(records)

    def _by_heading(self, ctx: Any) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        headings: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                argument = parameter.param_type_name == "argument"
                heading = getattr(parameter, "rich_help_panel", None) or OTHER
                headings.setdefault("Arguments" if argument else heading, []).append(record)
        # The command's own groups first
        order = ["Arguments", *(name for name in headings if name not in LAST), *LAST]
        yield from ((name, headings[name]) for name in dict.fromkeys(order) if name in headings)
