"""The command `fairy`, also as `python -m fairy`. Tests: tests/test_main.py."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; the console script's entry."""
    try:
        from fairy.cli.app import main as run
    except KeyboardInterrupt:
        # Ctrl-C before anything began
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
