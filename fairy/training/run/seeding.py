"""Generators that depend on (seed, step) alone, so that resuming needs no random state.

Tests: tests/training/run/test_seeding.py.
"""

from __future__ import annotations

import hashlib

import torch


def generator(
    seed: int, step: int, purpose: str, *, part: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return a fresh generator for one purpose of one step.

    Args:
        seed: the run's seed.
        step: the optimizer step, or any counter.
        purpose: a word that keeps the draws of one step apart ("data", "noise", ...).
        part: which part of the step's global batch, where it is split over processes or in time.
        device: where the numbers are drawn. CPU and CUDA draw different ones.
    """
    key = f"{seed}/{step}/{part}/{purpose}".encode()
    number = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> 1
    return torch.Generator(device).manual_seed(number)
