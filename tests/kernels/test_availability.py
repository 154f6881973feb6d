"""Whether the kernel can run, and in words why not."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from fairy_kernels import availability, launch_config
from fairy_kernels.availability import why_not, why_not_chosen

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def card(monkeypatch, tmp_path):
    """Triton, and a CUDA card, neither of which need be there."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "Some Card")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))
    monkeypatch.setenv(launch_config.TUNED_FILE_VARIABLE, str(tmp_path / "tuned.json"))
    return tmp_path / "tuned.json"


def test_a_card_and_triton_are_enough(card):
    assert why_not(CUDA, [40, 80, 160]) is None


def test_without_triton(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert why_not(CUDA) == "Triton is not installed"


def test_on_a_processor(card, monkeypatch):
    monkeypatch.setattr(availability, "interpreted", lambda: False)
    assert why_not(CPU) == "Triton runs on CUDA devices, not on cpu"


def test_on_an_old_card(card, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (7, 5))
    assert why_not(CUDA) == "compute capability 7.5 is below 8.0"


@pytest.mark.parametrize("head_dim", [20, 512])
def test_with_head_dims_it_does_not_take(card, head_dim):
    assert f"head dim {head_dim}" in why_not(CUDA, [40, head_dim])


def test_unmeasured_it_is_not_chosen(card):
    assert "faster on this card at head dim 40" in why_not_chosen(CUDA, [40])


def test_unmeasured_it_is_not_chosen_for_an_unknown_model(card):
    assert "no measurement" in why_not_chosen(CUDA)


def test_measured_for_all_head_dims_it_is_chosen(card):
    config = launch_config.SMALL
    for head_dim in (40, 80):
        row = {"device": "Some Card", "head_dim": head_dim, "ms": 1.0, "sdpa_ms": 1.5}
        launch_config.write_row(card, row, config)
    assert why_not_chosen(CUDA, [40, 80]) is None
    assert "head dim 160" in why_not_chosen(CUDA, [40, 80, 160])


def test_interpreted_it_is_not_chosen(monkeypatch):
    pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert why_not(CPU) is None
    assert why_not_chosen(CPU) == "on the CPU, Triton only runs in its interpreter"
