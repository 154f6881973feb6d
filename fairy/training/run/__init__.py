"""One training run: the loop, checkpoints, metrics and pictures."""
