"""The parts of the model that is trained, and how it leaves."""
