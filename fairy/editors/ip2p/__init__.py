"""Edits by UNets of the InstructPix2Pix type: own loop, frame batches."""
