"""`python -m fairy.training RECIPE ...` is `fairy train`, for launchers such as torchrun."""

from fairy.cli.train import main

if __name__ == "__main__":
    main()
