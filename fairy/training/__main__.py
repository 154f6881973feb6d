"""`python -m fairy.training RECIPE ...`: the trainer without the rest of the command line."""

import logging
import sys

import typer

from fairy.console import user_facing
from fairy.training.command import train_command

if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(user_facing(train_command))
    sys.exit(app())
