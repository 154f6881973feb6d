"""One run: the loop, its checkpoints, what it writes down."""
