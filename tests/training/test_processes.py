"""Two processes: exchanging gradients equals accumulating them; averaging resumes exactly."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fairy.cli.train import main
from fairy.system import end_with_parent
from fairy.training.config import TrainConfig
from fairy.training.run.trainer import train
from tests.jobs.worker import forking_context
from tests.training.conftest import MakeConfig


def read(output: Path) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    """The lines of the metrics and the averaged weights after two steps."""
    lines = (output / "metrics.jsonl").read_text().splitlines()
    return list(map(json.loads, lines)), load_file(output / "checkpoint-000002" / "ema.safetensors")


def words_for(config: TrainConfig, output: Path, *words: str) -> list[str]:
    """The command line of a finetuning recipe with these settings, and more words."""
    settings = [
        f"{name}={json.dumps(getattr(config, name))}"
        for name in ("sizes", "validation_size", "batch_size", "global_batch_size", "warmup_steps",
                     "decay_steps", "log_every", "num_validation", "validate_every",
                     "own_guess_share", "channel_weight_power", "timestep_set", "average_every",
                     "pool_batches")
    ]  # fmt: skip
    return [
        *("mini-equivariant", "--from", str(config.model), "--data", str(config.data)),
        *("--output", str(output)),
        *(word for setting in settings for word in ("--set", setting)),
        *words,
    ]


def train_by_torchrun(words: list[str]) -> None:
    """Train as people do: three new processes."""
    torchrun = ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [sys.executable, "-m", *torchrun, "-m", "fairy.training", *words],
        capture_output=True, text=True, timeout=850,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def train_by_forks(words: list[str]) -> None:
    """Train in two processes that start at once, with what torchrun gives to its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        forking_context().Process(target=train_as_rank, args=(rank, port, words))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]


def train_as_rank(rank: int, port: int, words: list[str]) -> None:
    end_with_parent()
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    sys.argv = ["fairy.training", *words]
    main()


TRAIN = [
    pytest.param(train_by_forks, marks=pytest.mark.forks),
    pytest.param(train_by_torchrun, marks=pytest.mark.slow),
]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("train_on_two", TRAIN)
def test_two_gloo_processes_equal_one_with_the_same_global_batch(
    train_on_two: Callable[[list[str]], None], finetune_config: MakeConfig, tmp_path: Path
) -> None:
    config = finetune_config(tmp_path / "one", global_batch_size=4, max_steps=2)
    train(config)
    train_on_two(words_for(config, tmp_path / "two", "--max-steps", "2"))
    (one, weights), (two, weights_of_two) = read(tmp_path / "one"), read(tmp_path / "two")
    for first, second in zip(one, two, strict=True):
        assert second["gradient_norm"] == pytest.approx(first["gradient_norm"], rel=1e-4)
    for name, weight in weights.items():
        # Adam makes a whole step of a gradient of rounding errors: two steps of 2e-4 at most.
        difference = (weight - weights_of_two[name]).abs()
        assert difference.max() <= 5e-4
        assert difference.mean() < 1e-5


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_processes_that_average_agree_now_and_then_and_resume_exactly(
    finetune_config: MakeConfig, tmp_path: Path
) -> None:
    """Averages after steps 2 and 4; in between, at step 3, each process has its own weights."""
    config = finetune_config(tmp_path, average_every=2, global_batch_size=4)
    train_by_torchrun(words_for(config, tmp_path / "whole", "--max-steps", "4"))
    train_by_torchrun(words_for(config, tmp_path / "halves", "--max-steps", "3"))
    first, second = weights_of_both(tmp_path / "halves" / "checkpoint-000003")
    assert any(not torch.equal(first[name], second[name]) for name in first)
    train_by_torchrun(words_for(config, tmp_path / "halves", "--max-steps", "4", "--resume"))
    whole = weights_of_both(tmp_path / "whole" / "checkpoint-000004")
    halves = weights_of_both(tmp_path / "halves" / "checkpoint-000004")
    for name, weight in whole[0].items():
        assert torch.equal(weight, whole[1][name])
        for other in halves:
            torch.testing.assert_close(other[name], weight, atol=1e-6, rtol=1e-5)


def weights_of_both(checkpoint: Path) -> list[dict[str, torch.Tensor]]:
    folders = (checkpoint, checkpoint / "process-1")
    return [load_file(folder / "model.safetensors") for folder in folders]
