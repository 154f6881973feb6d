"""Fixtures that any test may use, and what must be set before torch is imported."""

# ruff: noqa: E402

from __future__ import annotations

import copy
import gc
import multiprocessing
import os
from collections.abc import Iterator

# Before torch: Intel's matrix library then rounds the same however its buffers are aligned, which
# the tests of equality to the bit need.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
# One of several processes that share the tests: each with a thread for itself.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# Before triton, which diffusers imports: kernels run by its interpreter. `make test-gpu` sets 0.
os.environ.setdefault("TRITON_INTERPRET", "1")

# Whatever this CPU is fastest in: tests compare results of several runs
os.environ.setdefault("FAIRY_CPU_DTYPE", "float32")

# Fewer rounds of the garbage collector: torch and diffusers alone are half a million objects
gc.set_threshold(50_000, 20, 100)

import pytest
import torch
from diffusers import StableDiffusionInstructPix2PixPipeline

from tests.tiny import make_tiny_pipeline


def pytest_itemcollected(item: pytest.Item) -> None:
    """Skip tests that fork where it is not possible."""
    can_fork = "forkserver" in multiprocessing.get_all_start_methods()
    if item.get_closest_marker("forks") is not None and not can_fork:
        item.add_marker(pytest.mark.skip(reason="needs forks"))


@pytest.fixture(scope="session")
def _built_once() -> StableDiffusionInstructPix2PixPipeline:
    return make_tiny_pipeline()


@pytest.fixture
def tiny_pipeline(_built_once) -> StableDiffusionInstructPix2PixPipeline:
    """diffusers' pipeline with tiny random models, float32 on the CPU (tests/tiny.py)."""
    components = copy.deepcopy(_built_once.components)
    pipe = StableDiffusionInstructPix2PixPipeline(**components, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture
def own_threads() -> Iterator[None]:
    """Lets a test set torch's number of threads, and sets it back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
