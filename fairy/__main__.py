"""`python -m fairy` is the command `fairy`."""

from fairy.cli import main

main()
