"""`python -m fairy.training RECIPE ...`: the trainer without the rest of the command line."""

import logging
import sys

import typer

from fairy.errors import FairyError
from fairy.training.command import train_command

if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        typer.run(train_command)
    except FairyError as error:
        sys.stderr.write(f"fairy: {error}\n")
        sys.exit(2)
