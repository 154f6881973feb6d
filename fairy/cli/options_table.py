"""The options of `fairy edit` as a document: `python -m fairy.cli.options_table docs/options.md`.

Tests: tests/cli/test_options_table.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from fairy.options import OptionField, Settings, options_of
from fairy.settings import ANCHORS, CLIP, GROUPS, MODEL, OUTPUT, QUALITY, EditConfig, EditRun

INTRODUCTION = """\
# Options of `fairy edit`

This page is written by `python -m fairy.cli.options_table docs/options.md`; do not edit it by hand.

A setting has the same name in Python (`EditConfig(num_anchors=4)`), in the files of
`--save-settings` and in the lists of `fairy batch`, where its name on the command line is allowed
too. A list may have the columns `compare`, `report`, `overwrite` and `restart` as well.
`fairy batch` takes all settings as options for the edits of its list.
"""


# Pages that explain a group in detail
MORE = {
    MODEL: "[memory](memory.md)",
    ANCHORS: "[how many anchors](ablation.md)",
    QUALITY: "[what each mode costs and saves](speed.md)",
    CLIP: "[shots](shots.md), [files](media.md)",
    OUTPUT: "[files](media.md), [how an interrupted edit continues](resume.md)",
}


def options_document() -> str:
    """Return the whole document as Markdown."""
    return "\n".join([INTRODUCTION, *options_table(EditConfig, EditRun)])


def options_table(*settings: type[Settings]) -> Iterator[str]:
    """Yield the lines of one table per group of these classes' options."""
    fields = [(field, one is EditRun) for one in settings for field in options_of(one)]
    groups = dict.fromkeys([*GROUPS, *(field.option.group for field, _ in fields)])
    for group in groups:
        rows = [
            _row(field, of_the_run) for field, of_the_run in fields if field.option.group == group
        ]
        if rows:
            yield f"## {group}\n"
            if group in MORE:
                yield f"More: {MORE[group]}.\n"
            yield "| option | in Python | default | meaning |\n|---|---|---|---|"
            yield from rows
            yield ""


def _row(field: OptionField, of_the_run: bool) -> str:
    option = field.option
    flag = field.flag
    if field.plain_type is bool and field.default is True:
        flag = f"--no-{flag[2:]}"
    words = f"`{flag} {option.metavar}`" if option.metavar else f"`{flag}`"
    python = "" if of_the_run else f"`{field.name}`"
    meaning = option.help
    if option.choices:
        meaning += f" One of {', '.join(f'`{choice}`' for choice in option.choices)}."
    return f"| {words} | {python} | {field.default_text} | {meaning} |"


def main() -> None:
    """Write the document to the file on the command line."""
    Path(sys.argv[1]).write_text(options_document(), encoding="utf-8")


if __name__ == "__main__":
    main()
