"""Which settings a launch takes: integers only, no GPU."""

from __future__ import annotations

import json

import pytest
import torch

from fairy_kernels import launch_config
from fairy_kernels.launch_config import (
    FLOAT32,
    INTERPRETED,
    SHARED_BYTES,
    SMALL,
    TABLE,
    TUNED_HEAD_DIMS,
    LaunchConfig,
    choose_config,
    find_measured,
    fit_queries,
    generation,
    split_head_dim,
    table_config,
    tuned_file,
    write_row,
)

CUDA = torch.device("cuda")
LARGE = LaunchConfig(block_m=128, block_n=64, num_warps=8, num_stages=2)
ROW = {"device": "Some Card", "head_dim": 40, "ms": 1.0, "sdpa_ms": 1.5}


@pytest.fixture
def card(monkeypatch, tmp_path):
    """A fake CUDA card without a measured row."""
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "Some Card")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))
    monkeypatch.setenv(launch_config.TUNED_FILE_VARIABLE, str(tmp_path / "tuned.json"))
    return tmp_path / "tuned.json"


@pytest.mark.parametrize("head_dim", range(8, 257, 8))
def test_both_parts_hold_the_head_and_no_power_of_two_is_smaller(head_dim):
    main, rest = split_head_dim(head_dim)
    assert main + rest >= head_dim
    padded, none = split_head_dim(head_dim, split=False)
    assert main + rest <= padded
    assert none == 0
    assert all(
        part == 0 or (part >= 16 and part & (part - 1) == 0) for part in (main, rest, padded)
    )


@pytest.mark.parametrize(("head_dim", "parts"), [(40, (32, 16)), (80, (64, 16)), (160, (128, 32))])
def test_head_dims_of_stable_diffusion_waste_little(head_dim, parts):
    assert split_head_dim(head_dim) == parts


def test_every_tuned_head_dim_has_a_row_in_every_generation():
    generations = {capability for capability, _ in TABLE}
    assert set(TABLE) == {(c, d) for c in generations for d in TUNED_HEAD_DIMS}


@pytest.mark.parametrize(("num_queries", "block_m"), [(3072, 128), (192, 64), (48, 64), (128, 128)])
def test_short_sequences_take_smaller_blocks(num_queries, block_m):
    assert fit_queries(LARGE, num_queries).block_m == block_m


def test_few_keys_take_smaller_tiles():
    assert fit_queries(LARGE, num_queries=48).block_n == 32
    assert fit_queries(LARGE, num_queries=192).block_n == 64


def test_other_head_dims_take_the_next_row():
    assert table_config(48, 90) == TABLE[90, 64]


def test_head_dims_over_the_table_take_small_blocks():
    assert table_config(256, 90) == SMALL


@pytest.mark.parametrize(
    ("capability", "rows"), [((8, 0), 80), ((8, 7), 80), ((9, 0), 90), ((10, 3), 100)]
)
def test_card_takes_its_generations_rows(capability, rows, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    assert generation(CUDA) == rows


@pytest.mark.parametrize("capability", [(8, 6), (8, 9), (12, 0), (13, 0)])
def test_cards_with_little_shared_memory_and_unknown_ones_take_small_blocks(
    capability, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    assert table_config(40, generation(CUDA)) == SMALL


def test_float32_takes_small_blocks(card):
    assert choose_config(40, 3072, torch.float32, CUDA) == FLOAT32


def test_the_interpreter_takes_small_blocks():
    cpu = torch.device("cpu")
    assert choose_config(40, 3072, torch.float16, cpu) == INTERPRETED


def test_the_table_is_taken_without_a_row_of_ones_own(card):
    assert choose_config(40, 3072, torch.bfloat16, CUDA) == TABLE[90, 40]
    assert find_measured(40, CUDA) is None


def test_a_row_of_ones_own_goes_before_the_table(card):
    write_row(card, ROW, LARGE)
    assert find_measured(40, CUDA) == LARGE
    assert choose_config(40, 3072, torch.bfloat16, CUDA) == LARGE


def test_a_row_that_was_slower_than_sdpa_is_not_taken(card):
    write_row(card, {**ROW, "sdpa_ms": 0.5}, LARGE)
    assert find_measured(40, CUDA) is None


def test_another_cards_row_is_not_taken(card):
    write_row(card, {**ROW, "device": "Another"}, LARGE)
    assert find_measured(40, CUDA) is None


def test_a_second_row_for_the_same_shape_replaces_the_first(card):
    write_row(card, ROW, LARGE)
    write_row(card, ROW, SMALL)
    assert len(json.loads(card.read_text())) == 1
    assert find_measured(40, CUDA) == SMALL


def test_a_broken_file_is_said_and_ignored(card, caplog):
    card.write_text("{")
    assert find_measured(40, CUDA) is None
    assert "cannot be read" in caplog.text


def test_rows_are_kept_in_the_users_configuration(monkeypatch, tmp_path):
    monkeypatch.delenv(launch_config.TUNED_FILE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert tuned_file() == tmp_path / "fairy" / "attention.json"


def test_every_card_has_a_limit_of_shared_memory():
    assert {capability for capability, _ in TABLE} <= set(SHARED_BYTES)
