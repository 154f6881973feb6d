"""Two processes that exchange gradients do what one does that accumulates them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fairy.training.run.trainer import train
from tests.training.conftest import MakeConfig


def read(output: Path) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    """The lines of the metrics and the averaged weights after two steps."""
    lines = (output / "metrics.jsonl").read_text().splitlines()
    return list(map(json.loads, lines)), load_file(output / "checkpoint-000002" / "ema.safetensors")


# Three interpreters that import torch: seconds on free cores, minutes on busy ones.
@pytest.mark.timeout(900)
def test_two_gloo_processes_equal_one_with_the_same_global_batch(
    finetune_config: MakeConfig, tmp_path: Path
) -> None:
    config = finetune_config(tmp_path / "one", global_batch_size=4, max_steps=2)
    train(config)
    settings = [
        f"{name}={json.dumps(getattr(config, name))}"
        for name in ("sizes", "validation_size", "batch_size", "global_batch_size", "warmup_steps",
                     "decay_steps", "log_every", "num_validation", "validate_every")
    ]  # fmt: skip
    words = [
        *("mini-equivariant", "--from", str(config.model), "--data", str(config.data)),
        *("--output", str(tmp_path / "two"), "--max-steps", "2"),
        *(word for setting in settings for word in ("--set", setting)),
    ]
    torchrun = ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    trainer = ["-m", "fairy.training", *words]
    done = subprocess.run(
        [sys.executable, "-m", *torchrun, *trainer], capture_output=True, text=True, timeout=850
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (one, weights), (two, weights_of_two) = read(tmp_path / "one"), read(tmp_path / "two")
    for first, second in zip(one, two, strict=True):
        assert second["gradient_norm"] == pytest.approx(first["gradient_norm"], rel=1e-4)
    for name, weight in weights.items():
        # Adam makes a whole step of a gradient of rounding errors: two steps of 2e-4 at most.
        difference = (weight - weights_of_two[name]).abs()
        assert difference.max() <= 5e-4
        assert difference.mean() < 1e-5
