"""Pairs of a data set by step number."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fairy.errors import SettingsError
from fairy.training.config import TrainConfig
from fairy.training.data.dataset import DatasetPairs
from fairy.training.data.pairs import Parts
from tests.training.pairs_on_disk import NUM_PAIRS, pair, picture, write_pairs

CPU = torch.device("cpu")
SIZE = (16, 16)


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return TrainConfig(
        stage="finetune",
        model="mini",
        output=tmp_path / "run",
        data=str(write_pairs(tmp_path / "pairs", "folder")),
        sizes=(SIZE,),
        num_validation=2,
        shuffle_window=4,
    )


def texts(config: TrainConfig, steps: range, parts: Parts, batch_size: int) -> list[list[str]]:
    """The instructions of each step, those of the process's parts in order."""
    source = DatasetPairs(config, CPU, parts)

    def of_step(step: int) -> list[str]:
        batches = [source.pairs(step, batch_size, SIZE, part=part) for part in parts.own]
        return [text for batch in batches for text in batch.instructions]

    return [of_step(step) for step in steps]


def test_pixels_are_those_of_the_files(config: TrainConfig) -> None:
    batch = DatasetPairs(config, CPU, Parts()).pairs(0, 2, (20, 20), split="test")
    for row, number in enumerate((0, 1)):
        with Image.open(io.BytesIO(pair(number)[2])) as image:
            wanted = np.asarray(image).astype(np.float32) / 127.5 - 1
        got = batch.target[row].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_a_later_step_needs_no_earlier_one(config: TrainConfig) -> None:
    through = texts(config, range(1, 9), Parts(), 3)
    assert texts(config, range(6, 9), Parts(), 3) == through[5:]


def test_an_epoch_has_each_trained_pair_once(config: TrainConfig) -> None:
    (epoch,) = texts(config, range(1, 2), Parts(), NUM_PAIRS - 2)
    assert sorted(epoch) == [pair(number)[1] for number in range(2, NUM_PAIRS)]


def test_two_processes_share_what_one_sees_in_two_passes(config: TrainConfig) -> None:
    steps = range(1, 6)
    one = texts(config, steps, Parts(0, 1, 2), 2)
    first, second = (texts(config, steps, Parts(process, 2, 1), 2) for process in (0, 1))
    assert [a + b for a, b in zip(first, second, strict=True)] == one


def test_source_and_target_are_cropped_at_the_same_place(config: TrainConfig) -> None:
    for path in Path(str(config.data), "images").iterdir():
        path.write_bytes(picture(int(path.stem.split("-")[0]), (20, 60)))
    batch = DatasetPairs(config, CPU, Parts()).pairs(1, 4, SIZE)
    assert torch.equal(batch.source, batch.target)
    assert batch.source.shape == (4, 3, *SIZE)


def test_small_data_set_is_refused(config: TrainConfig) -> None:
    settings = {**vars(config), "num_validation": NUM_PAIRS}
    with pytest.raises(SettingsError, match="too small"):
        DatasetPairs(TrainConfig(**settings), CPU, Parts())
