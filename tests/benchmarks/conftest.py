"""A small pipeline with Stable Diffusion 1.5's levels, and rows as benchmarks write them."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def pipe():
    """Return random weights with the levels of Stable Diffusion 1.5, but few layers."""
    from benchmarks.lib.models import load_model

    return load_model("sd15-tiny", "cpu")


@pytest.fixture
def make_row():
    """Make a row as `record.keep` writes it, with some entries in place of its own."""

    def make(benchmark: str, **entries: object) -> dict[str, object]:
        machine = {"commit": "abc1234", "processor": "CPU x 2", "device": "cpu", "card": None}
        versions = {"threads": 2, "load": 0.1, "torch": "2.13.0", "diffusers": "0.42.1"}
        edit = {"model": "mini", "mode": "exact", "size": "64x48", "num_frames": 120, "steps": 4}
        seconds = {"vae_encode_s": 1.0, "anchors_s": 2.0, "frames_s": 3.0, "vae_decode_s": 0.5}
        rest = {"decode_s": 0.1, "encode_s": 0.2, "idle_s": 0.25, "total_s": 6.75, "fps": 17.8}
        ends = {"F": 8, "run": "steady", "peak_mb": 600.0, "%_of_bound": 40.0}
        whole = {**machine, **versions, **edit, **seconds, **rest, **ends, **entries}
        return {"benchmark": benchmark, **whole}

    return make
