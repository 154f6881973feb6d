"""Random generators that depend only on (seed, step), so resuming needs no random state.

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
        purpose: a word that separates the draws of one step ("data", "noise", ...).
        part: the part of the step's global batch, if it is split over processes or passes.
        device: where the numbers are drawn; CPU and CUDA draw different numbers.
    """
    key = f"{seed}/{step}/{part}/{purpose}".encode()
    number = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> 1
    return torch.Generator(device).manual_seed(number)
