"""The search for settings, with clocks that lie: what is right and fastest wins."""

from __future__ import annotations

import sys

import pytest
import torch

pytest.importorskip("triton")

from fairy_kernels import tune as module
from fairy_kernels.availability import interpreted
from fairy_kernels.launch_config import LaunchConfig
from fairy_kernels.testing import make_inputs
from fairy_kernels.tune import changes, first_candidates, main, measure, tune

pytestmark = pytest.mark.skipif(not interpreted(), reason="needs TRITON_INTERPRET=1")
CONFIG = LaunchConfig(block_m=16, block_n=16, num_warps=4, num_stages=2)


@pytest.fixture
def run(monkeypatch):
    """Settings that `measure` ran, in order; results of the plain way instead of the kernel's."""
    settings = []

    def launch(*inputs, scale, anchor_bias, config):
        settings.append(config)
        return module.anchor_attention_concatenated(*inputs)

    monkeypatch.setattr(module.kernel, "launch", launch)
    return settings


def test_the_fastest_settings_win(run):
    inputs = make_inputs(1, 1, 8, 1, 1, 40)

    def timer(attend):
        config = run[-1]
        return config.block_m + config.block_n + config.num_stages + (config.fixed_shift is True)

    config, ms = tune(inputs, timer)
    assert (config.block_m, config.block_n, config.num_stages) == (64, 32, 1)
    assert ms == 64 + 32 + 1 + 1


def test_every_change_is_one_change():
    for changed in changes(CONFIG, 40):
        assert sum(getattr(CONFIG, f) != getattr(changed, f) for f in vars(CONFIG)) == 1


def test_a_whole_head_is_not_tried_split():
    assert all(changed.split for changed in changes(CONFIG, 64))


def test_candidates_are_distinct():
    candidates = first_candidates()
    assert len(set(candidates)) == len(candidates)


def test_wrong_settings_have_no_time(monkeypatch):
    monkeypatch.setattr(module.kernel, "launch", lambda q, *args, **kwargs: torch.zeros_like(q))
    assert measure(make_inputs(1, 1, 8, 1, 1, 16), CONFIG, lambda attend: 1.0) == float("inf")


def test_right_settings_have_the_clocks_time():
    assert measure(make_inputs(1, 1, 8, 1, 1, 16), CONFIG, lambda attend: 1.0) == 1.0


def test_nothing_that_runs_is_an_error(monkeypatch):
    def launch(*args, **kwargs):
        raise RuntimeError("out of resources")

    monkeypatch.setattr(module.kernel, "launch", launch)
    with pytest.raises(RuntimeError, match="no settings compile"):
        tune(make_inputs(1, 1, 8, 1, 1, 16), lambda attend: 1.0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="would measure")
def test_without_a_card_it_says_so(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tune"])
    with pytest.raises(SystemExit, match="nothing to measure: no CUDA device"):
        main()
