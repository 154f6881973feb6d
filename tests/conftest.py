"""Fixtures that any test may use."""

from __future__ import annotations

import copy

import pytest
from diffusers import StableDiffusionInstructPix2PixPipeline

from tests.tiny import make_tiny_pipeline


@pytest.fixture(scope="session")
def _built_once() -> StableDiffusionInstructPix2PixPipeline:
    return make_tiny_pipeline()


@pytest.fixture
def tiny_pipeline(_built_once) -> StableDiffusionInstructPix2PixPipeline:
    """diffusers' pipeline with tiny random models, float32 on the CPU (tests/tiny.py)."""
    components = copy.deepcopy(_built_once.components)
    return StableDiffusionInstructPix2PixPipeline(**components, requires_safety_checker=False)
