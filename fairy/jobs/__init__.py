"""Edits of files: a clip and an instruction in, an edited clip out."""
