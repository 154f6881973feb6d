"""What is said of this process is so."""

from __future__ import annotations

import numpy as np

from fairy.system import peak_memory_bytes


def test_peak_memory_is_in_bytes_and_sees_an_allocation():
    held = np.ones(300_000_000, dtype=np.uint8)
    assert held.nbytes < peak_memory_bytes() < 1e12
