"""`fairy train`: train by a recipe, with overrides from the command line and a progress bar.

Tests: tests/cli/test_train.py.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fairy.cli.console import logged_to, needs_extra, quiet_libraries, terminal, user_facing
from fairy.cli.options import GroupedCommand, with_options
from fairy.training.config import TrainConfig
from fairy.training.recipe import load_recipe, parse_settings, recipe_names

# Settings with their own options; --set changes the others
ON_COMMAND_LINE = (
    "output", "images", "autoencoder", "model", "data", "max_steps", "max_minutes", "resume",
)  # fmt: skip


@with_options(TrainConfig, "overrides", only=ON_COMMAND_LINE, build=dict)
def train(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help=f"{', '.join(recipe_names())}, or a YAML file.")
    ],
    overrides: dict[str, Any],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any setting of the recipe."),
    ] = None,
    explained: Annotated[
        bool, typer.Option("--explain", help="Print every setting with its meaning; train nothing.")
    ] = False,
    preview: Annotated[
        bool, typer.Option("--preview", help="Draw the first step's pictures; train nothing.")
    ] = False,
) -> None:
    """Train a model like `mini`, or finetune one, with a recipe.

    Needs the extra [train]. The run's folder is runs/RECIPE, or --output.
    """
    quiet_libraries()
    with needs_extra("training", "train"):
        from fairy.cli.explain import explain
        from fairy.training.run.trainer import train as run_training

    if explained:
        terminal().print(explain(recipe))
        return
    default = {"output": Path("runs", Path(recipe).stem)}
    config = load_recipe(recipe, {**default, **overrides, **parse_settings(settings or [])})
    console = terminal(stderr=True)
    if preview:
        console.print(f"wrote {draw_preview(config)}", highlight=False)
        return
    # Of several processes, one says what all of them do
    with logged_to(console, verbose=os.environ.get("RANK", "0") == "0"):
        if console.is_terminal:
            _train_shown(config, console)
        else:
            run_training(config)


def draw_preview(config: TrainConfig) -> Path:
    """Draw the first step's sources and targets as OUTPUT/preview.png."""
    import torch

    from fairy.training.data.pairs import Parts
    from fairy.training.run.contact_sheet import write_sheet
    from fairy.training.stages import build_stage

    # With pools, a whole pool would be rendered for one batch.
    config = replace(config, pool_batches=0)
    stage = build_stage(config, torch.device("cpu"), Parts())
    sheet = config.output / "preview.png"
    try:
        write_sheet(sheet, *stage.examples(1, 0))
    finally:
        stage.close()
    return sheet


def _train_shown(config: TrainConfig, console: Console) -> None:
    """Train with a progress bar that shows the newest loss and speed."""
    from fairy.training.run.trainer import train as run_training

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[newest]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(config.stage, total=config.max_steps, newest="")

        def show(step: int, metrics: dict[str, float]) -> None:
            newest = ""
            if "loss" in metrics:
                newest = f"loss {metrics['loss']:.4f}, {metrics['images_per_second']:.1f} images/s"
            bar.update(task, completed=step, newest=newest)

        run_training(config, show)


def main() -> None:
    """Run `fairy train`; used by `python -m fairy.training`."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(cls=GroupedCommand)(user_facing(train))
    sys.exit(app())
