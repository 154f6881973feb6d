"""fairy/synthetic/photos.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fairy.errors import MediaError
from fairy.synthetic.photos import PhotoPool


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (90, 150, 3), dtype=np.uint8)
    (tmp_path / "deep").mkdir()
    Image.fromarray(pixels).save(tmp_path / "deep" / "a.png")
    Image.fromarray(pixels[:20, :20]).save(tmp_path / "small.jpg")
    return tmp_path


def test_crops_have_the_asked_size(folder: Path) -> None:
    crops = PhotoPool(folder).crops(5, (32, 48), torch.Generator().manual_seed(0))
    assert crops.shape == (5, 3, 32, 48)
    assert crops.amin() >= 0 <= crops.amax() <= 1


def test_same_seed_same_crops(folder: Path) -> None:
    pool = PhotoPool(folder)
    first = pool.crops(3, (16, 16), torch.Generator().manual_seed(7))
    assert torch.equal(first, pool.crops(3, (16, 16), torch.Generator().manual_seed(7)))


def test_photographs_are_shrunk_to_the_longer_side(folder: Path) -> None:
    assert max(PhotoPool(folder, max_side=100).photos[0].shape[1:]) == 100


def test_turned_photographs_stand_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "turned.jpg", exif=exif)
    assert PhotoPool(tmp_path).photos[0].shape == (3, 40, 20)


def test_a_folder_without_photographs_is_named(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no photographs found"):
        PhotoPool(tmp_path)
