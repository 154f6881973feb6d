"""A finetune of toy size, as the training's tests have it."""

from __future__ import annotations

from tests.training.conftest import finetune_config, tiny_model, tiny_pairs

__all__ = ["finetune_config", "tiny_model", "tiny_pairs"]
