"""Frames and an instruction in, edited frames out."""
