"""The command `fairy`, also `python -m fairy`. Tests: tests/test_main.py."""

from __future__ import annotations

import atexit
import gc
import sys


def main() -> None:
    """Run the command line; entry point of the console script."""
    # Torch and diffusers make half a million objects that stay. The garbage collector need not look
    # through them again and again while they are imported, and never at the end
    gc.set_threshold(50_000, 20, 100)
    atexit.register(gc.freeze)
    try:
        from fairy.cli.app import main as run
    except KeyboardInterrupt:
        # Ctrl-C while importing
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
