"""`fairy models`: which models there are, what they need, and what `mini` knows.

Tests: tests/cli/test_models.py.
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fairy.cli.console import quiet_libraries, say, terminal

# Below this share of held-out cases an edit is marked
WEAK = 0.7


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="List the edits of this model.")
    ] = None,
) -> None:
    """List the models to edit with or, given MODEL, its edits."""
    quiet_libraries()
    console = terminal()
    if name is None:
        show_models(console)
    else:
        show_edits(console, name)


def show_models(console: Console) -> None:
    """Print the known models, and those in the cache of this machine."""
    from fairy.models.catalogue import KNOWN, cached_models, download_command

    cached = {one.name: one.num_bytes for one in cached_models()}
    for model in KNOWN:
        say(console, f"{model.name}: {model.what}")
        if not model.download_gb:
            say(console, f"    {model.licence}, {model.steps} steps, memory {model.memory}")
            continue
        where = "on this machine" if model.name in cached else download_command(model.name)
        steps = f", {model.steps} steps" if model.steps else ""
        say(console, f"    {model.licence}{steps}, memory: {model.memory}")
        say(console, f"    {where}")
    others = {known: size for known, size in cached.items() if known not in {m.name for m in KNOWN}}
    for other, size in others.items():
        say(console, f"{other}: in the cache, {size / 1e9:.1f} GB")
    say(
        console,
        "Any other model of the InstructPix2Pix type works too: a folder in diffusers format, a "
        ".safetensors file or a hub id.",
    )


def show_edits(console: Console, name: str) -> None:
    """Print the edits that a model lists, an example instruction each, weak ones marked.

    Raises:
        ModelError: no such model.
    """
    from fairy.errors import ModelError
    from fairy.models.defaults import model_defaults
    from fairy.models.sources import find_model

    source = find_model(name)
    edits = () if isinstance(source, str) else model_defaults(source).edits
    if not edits:
        raise ModelError(f"model {name}: lists no edits: it is asked in free language")
    table = Table(box=None, pad_edge=False)
    for heading in ("instruction", "steps", ""):
        table.add_column(heading)
    for edit in edits:
        weak = "weak" if edit.right is not None and edit.right < WEAK else ""
        table.add_row(f'"{edit.instruction}"', str(edit.steps), weak)
    console.print(table)
    say(console, "Other phrasings of these are understood, and two of them in one instruction.")
