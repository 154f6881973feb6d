"""The command `fairy`, also `python -m fairy`. Tests: tests/test_main.py."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; entry point of the console script."""
    try:
        from fairy.cli.app import main as run
    except KeyboardInterrupt:
        # Ctrl-C while importing
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
