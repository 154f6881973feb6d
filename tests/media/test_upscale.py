"""Finished frames are enlarged by exactly the factor, tile by tile without seams."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import fairy.media.upscale
from fairy.errors import ModelError, NumbersError, SettingsError
from fairy.media.upscale import ModelUpscaler, Upscaler, load_upscaler, upscaled
from fairy.options import named_files
from fairy.settings import EditConfig
from tests.super_resolution import require_spandrel, save_model
from tests.tiny import make_frames

CPU = torch.device("cpu")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_model(tmp_path / "tiny.pth", scale=2)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_without_a_model_colours_and_places_stay(factor: int):
    image = np.kron(make_frames(1, 6, 9)[0], np.ones((8, 8, 1), np.uint8))
    larger = load_upscaler(f"{factor}x", CPU)(image)
    assert larger.shape == (factor * 48, factor * 72, 3)
    middles = larger[4 * factor :: 8 * factor, 4 * factor :: 8 * factor]
    assert np.abs(middles.astype(int) - image[4::8, 4::8]).max() <= 2


@pytest.mark.parametrize("size", [(70, 100), (64, 64), (1, 33), (33, 129)])
def test_tiles_give_what_the_whole_picture_gives(
    model: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
):
    image = make_frames(1, *size)[0]
    whole = load_upscaler(str(model), CPU)(image)
    monkeypatch.setattr(fairy.media.upscale, "TILE_PX", 32)
    # The model sees 4 pixels in each direction
    monkeypatch.setattr(fairy.media.upscale, "MARGIN_PX", 4)
    tiled = load_upscaler(str(model), CPU)(image)
    assert whole.shape == (2 * size[0], 2 * size[1], 3)
    # Convolutions of another size round differently
    assert np.abs(whole.astype(int) - tiled).max() <= 1


def test_too_small_a_margin_would_show(model: Path, monkeypatch: pytest.MonkeyPatch):
    image = make_frames(1, 64, 64)[0]
    whole = load_upscaler(str(model), CPU)(image)
    monkeypatch.setattr(fairy.media.upscale, "TILE_PX", 32)
    monkeypatch.setattr(fairy.media.upscale, "MARGIN_PX", 0)
    assert np.abs(whole.astype(int) - load_upscaler(str(model), CPU)(image)).max() > 1


def test_the_model_never_sees_more_than_a_tile(model: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fairy.media.upscale, "TILE_PX", 32)
    upscaler = load_upscaler(str(model), CPU)
    assert isinstance(upscaler, ModelUpscaler)
    seen = []
    enlarged = upscaler._enlarged
    monkeypatch.setattr(
        upscaler, "_enlarged", lambda tile: (seen.append(tile.shape), enlarged(tile))[1]
    )
    upscaler(make_frames(1, 200, 300)[0])
    assert max(max(shape) for shape in seen) <= 32 + 2 * fairy.media.upscale.MARGIN_PX


def test_a_model_that_computes_nan_is_one_line(model: Path):
    state = torch.load(model)
    state["params"]["body.0.bias"] *= torch.nan
    torch.save(state, model)
    with pytest.raises(NumbersError, match="NaN or infinity: use another"):
        load_upscaler(str(model), CPU)(make_frames(1)[0])


@pytest.mark.parametrize("content", [b"no model", b"", b"\x80\x02."])
def test_a_file_that_is_no_model_is_one_line(tmp_path: Path, content: bytes):
    require_spandrel()
    (tmp_path / "bad.pth").write_bytes(content)
    with pytest.raises(ModelError, match=r"bad\.pth: spandrel cannot load it") as error:
        load_upscaler(str(tmp_path / "bad.pth"), CPU)
    assert "\n" not in str(error.value)


def test_a_missing_file_says_what_to_give(tmp_path: Path):
    with pytest.raises(SettingsError, match="no such file: give 2x, 3x, 4x, or the file"):
        load_upscaler(str(tmp_path / "none.pth"), CPU)


def test_a_missing_package_is_named(model: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(SettingsError, match=r"pip install 'fairy-video\[upscale\]', or use 2x"):
        load_upscaler(str(model), CPU)


def test_too_large_a_result_is_refused():
    assert upscaled((2160, 4096), 2) == (4320, 8192)
    with pytest.raises(SettingsError, match="16384x8640, and 8192 is the limit"):
        upscaled((2160, 4096), 4)


def test_a_factor_is_not_a_file_and_a_model_is_one():
    assert (
        named_files(EditConfig, EditConfig(upscale="2x"), "read").keys().isdisjoint(["--upscale"])
    )
    assert named_files(EditConfig, EditConfig(upscale="a.pth"), "read")["--upscale"] == Path(
        "a.pth"
    )


def test_both_ways_fit_the_protocol(model: Path):
    ways: list[Upscaler] = [load_upscaler("2x", CPU), load_upscaler(str(model), CPU)]
    assert [way.factor for way in ways] == [2, 2]
