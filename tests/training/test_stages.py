"""What a step of the editor stage takes from its pairs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fairy.training.data import PairSource
from fairy.training.stages import EditorStage, psnr_db
from tests.training.conftest import MakeConfig

CPU = torch.device("cpu")


class Recorder(torch.nn.Module):
    """Stands for the model; keeps what it was given."""

    def forward(
        self, noisy: torch.Tensor, image: torch.Tensor, timesteps: torch.Tensor, ids: torch.Tensor
    ) -> torch.Tensor:
        self.noisy, self.image, self.timesteps, self.ids = noisy, image, timesteps, ids
        return torch.zeros_like(noisy)


def record(make: MakeConfig, output: Path, **settings: object) -> Recorder:
    config = make(output, batch_size=4, **settings)
    recorder = Recorder()
    EditorStage(config, PairSource(config, CPU)).loss(recorder, 1)
    return recorder


def test_copies_of_a_pair_get_their_own_noise(editor_config: MakeConfig, tmp_path: Path) -> None:
    seen = record(editor_config, tmp_path, draws_per_pair=2, drop_text=0, drop_image=0, drop_both=0)
    assert torch.equal(seen.image[:2], seen.image[2:])
    assert torch.equal(seen.ids[:2], seen.ids[2:])
    assert not torch.equal(seen.noisy[:2], seen.noisy[2:])


def test_pairs_without_image_see_zeros(editor_config: MakeConfig, tmp_path: Path) -> None:
    seen = record(editor_config, tmp_path, drop_text=0, drop_image=1, drop_both=0)
    assert not seen.image.any()
    assert len(seen.ids.unique(dim=0)) > 1


def test_pairs_without_text_see_the_empty_instruction(
    editor_config: MakeConfig, tmp_path: Path
) -> None:
    seen = record(editor_config, tmp_path, drop_text=1, drop_image=0, drop_both=0)
    assert len(seen.ids.unique(dim=0)) == 1
    assert seen.image.any()


def test_psnr_of_a_tenth_of_the_range_is_20_db() -> None:
    images = torch.zeros(2, 3, 4, 4)
    assert psnr_db(images + 0.2, images) == pytest.approx(20, abs=1e-3)
