"""The method: everything between frames and edited frames. `pipeline.py` is the way in."""
