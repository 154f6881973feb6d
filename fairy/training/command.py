"""`fairy train`: a recipe and its overrides from the command line, progress to a terminal.

Tests: tests/training/test_command.py.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fairy.config import TrainConfig
from fairy.training.recipe import load_recipe, parse_settings
from fairy.training.trainer import train


def train_command(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name or a YAML file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")],
    images: Annotated[Path | None, typer.Option(help="Photographs to mix in.")] = None,
    autoencoder: Annotated[Path | None, typer.Option(help="A trained autoencoder.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Stop after this time.")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Steps of the whole run.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from a checkpoint.")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, any setting of the recipe.")
    ] = None,
) -> None:
    """Train a model from a recipe."""
    overrides = {
        "output": output,
        "images": images,
        "autoencoder": autoencoder,
        "max_minutes": max_minutes,
        "max_steps": max_steps,
        "resume": resume or None,
    }
    config = load_recipe(recipe, {**overrides, **parse_settings(settings or [])})
    logging.getLogger("fairy").setLevel(logging.INFO)
    console = Console(stderr=True)
    folder = _train_shown(config, console) if console.is_terminal else train(config)
    console.print(f"wrote {folder}", highlight=False)


def _train_shown(config: TrainConfig, console: Console) -> Path:
    """Train behind a progress bar with the newest loss."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[loss]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(config.stage, total=config.max_steps, loss="")

        def show(step: int, metrics: dict[str, float]) -> None:
            loss = f"loss {metrics['loss']:.4f}" if "loss" in metrics else ""
            bar.update(task, completed=step, loss=loss)

        return train(config, show)
