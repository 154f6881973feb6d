"""fairy/training/data/pools.py: rendered ahead, used some times, the same on every run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from fairy.training.config import TrainConfig
from fairy.training.data.dataset import DatasetPairs
from fairy.training.data.pairs import Parts, draw_size
from fairy.training.data.pools import PooledPairs
from fairy.training.editor import EditorStage
from fairy.training.run.trainer import train
from fairy.training.stages import build_stage
from tests.training.conftest import MakeConfig

CPU = torch.device("cpu")
SIZE = (16, 24)


@pytest.fixture(scope="module")
def config(editor_config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """Pools of three batches, used twice."""
    sizes = [[16, 24], [16, 16]]
    settings = {"pool_batches": 3, "pool_uses": 2, "max_steps": 12, "sizes": sizes}
    return editor_config(tmp_path_factory.mktemp("run"), **settings)


@pytest.fixture(scope="module")
def pooled(config: TrainConfig) -> Iterator[PooledPairs]:
    source = PooledPairs(config, CPU, Parts())
    yield source
    source.close()


def test_every_pair_is_used_as_often_as_asked(pooled: PooledPairs) -> None:
    """Steps 1 to 3 go through the pool of six pairs once, 4 to 6 in another order."""
    rows = [
        row.numpy().tobytes() for step in range(1, 7) for row in pooled.pairs(step, 2, SIZE).source
    ]
    assert set(Counter(rows[:6]).values()) == {1}
    assert set(rows[:6]) == set(rows[6:])
    assert rows[:6] != rows[6:]


def test_the_next_pool_holds_others(pooled: PooledPairs) -> None:
    last, first = pooled.pairs(6, 2, SIZE).source, pooled.pairs(7, 2, SIZE).source
    assert not torch.equal(last, first)


def test_another_run_sees_the_same(pooled: PooledPairs, config: TrainConfig) -> None:
    again = PooledPairs(config, CPU, Parts())
    try:
        first, second = pooled.pairs(5, 2, SIZE), again.pairs(5, 2, SIZE)
    finally:
        again.close()
    assert torch.equal(first.source, second.source)
    assert torch.equal(first.target, second.target)
    assert (first.instructions, first.names) == (second.instructions, second.names)
    assert first.source.shape == (2, 3, *SIZE)
    assert -1 <= float(first.source.min()) < 0 < float(first.source.max()) <= 1


def test_no_more_pools_are_held_than_there_are_workers_and_parts(pooled: PooledPairs) -> None:
    for step in (1, 7, 1):
        pooled.pairs(step, 2, SIZE)
        assert len(pooled._current) == 1
        assert len(pooled._pending) <= 1


def test_a_pool_has_one_size(config: TrainConfig) -> None:
    sizes = [draw_size(config, step) for step in range(1, 601)]
    assert all(len(set(sizes[i : i + 6])) == 1 for i in range(0, 600, 6))
    assert len(set(sizes)) == 2


def test_parts_and_validation_see_other_pairs(pooled: PooledPairs) -> None:
    first = pooled.pairs(1, 2, SIZE)
    assert not torch.equal(first.source, pooled.pairs(1, 2, SIZE, part=1).source)
    assert not torch.equal(first.source, pooled.pairs(1, 2, SIZE, split="test").source)


def test_a_run_with_pools_trains_and_leaves_no_process(
    editor_config: MakeConfig, tmp_path: Path
) -> None:
    import multiprocessing

    before = set(multiprocessing.active_children())
    settings = {"pool_batches": 2, "pool_uses": 1, "sizes": [[16, 16]], "validate_every": 100}
    folder = train(editor_config(tmp_path, **settings))
    assert (folder / "model_index.json").is_file()
    assert set(multiprocessing.active_children()) <= before


PARENT = """
import sys, time, torch
from pathlib import Path
from fairy.training.config import TrainConfig
from fairy.training.data.dataset import DatasetPairs
from fairy.training.data.pairs import Parts
from fairy.training.data.pools import PooledPairs
if __name__ == "__main__":
    config = TrainConfig(
        stage="editor", output=Path("."), autoencoder=Path("."), pool_batches=1, sizes=((16, 16),)
    )
    pooled = PooledPairs(config, torch.device("cpu"), Parts())
    pooled.pairs(1, 2, (16, 16))
    print(pooled._workers._pool[0].pid, flush=True)
    time.sleep(600)
"""


def test_workers_end_when_the_trainer_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 60
    while _is_alive(worker) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _is_alive(worker)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # An orphan that has ended but was not waited for yet.
    status = Path(f"/proc/{pid}/status")
    return not (status.exists() and "State:\tZ" in status.read_text())


def test_a_data_set_needs_no_pools(finetune_config: MakeConfig, tmp_path: Path) -> None:
    config = finetune_config(tmp_path, pool_batches=4)
    stage = build_stage(config, CPU, Parts())
    assert isinstance(stage, EditorStage)
    assert isinstance(stage.source, DatasetPairs)
    assert config.pool_of(2) != config.pool_of(3)
