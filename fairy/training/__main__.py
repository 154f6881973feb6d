"""`python -m fairy.training RECIPE ...`: the trainer without the rest of the command line."""

from fairy.cli.train import main

if __name__ == "__main__":
    main()
