"""The command `fairy`, also `python -m fairy`. Tests: tests/test_main.py."""

from __future__ import annotations

import atexit
import gc
import sys


def main() -> None:
    """Run the command line; entry point of the console script."""
    # Half a million objects of torch and diffusers, which the garbage collector would look through
    # several times at the end
    atexit.register(gc.freeze)
    try:
        from fairy.cli.app import main as run
    except KeyboardInterrupt:
        # Ctrl-C while importing
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
