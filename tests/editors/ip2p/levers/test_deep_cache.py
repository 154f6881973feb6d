"""Reuse of the lower levels: what is left out, what comes out, and that the UNet is whole again."""

from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DConditionModel

from fairy.editors.ip2p.guidance import Guidance
from fairy.editors.ip2p.levers import make_levers
from fairy.editors.ip2p.levers.base import Step
from fairy.editors.ip2p.levers.deep_cache import DeepCache, reused_steps
from fairy.errors import SettingsError
from fairy.settings import EXACT, Shortcuts

SIZE = (6, 8)
THREE, ONE = Guidance(7.5, 1.5), Guidance(1.0, 1.0)


def make_unet(*down_block_types: str) -> UNet2DConditionModel:
    torch.manual_seed(0)
    up_block_types = tuple(name.replace("Down", "Up") for name in reversed(down_block_types))
    return UNet2DConditionModel(
        in_channels=8,
        out_channels=4,
        block_out_channels=(16, 32, 32)[: len(down_block_types)],
        down_block_types=down_block_types,
        up_block_types=up_block_types,
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=2,
        norm_num_groups=4,
    ).eval()


@pytest.fixture
def unet() -> UNet2DConditionModel:
    return make_unet("CrossAttnDownBlock2D", "CrossAttnDownBlock2D")


def make_rows(num_rows: int, size: tuple[int, int] = SIZE, seed: int = 0) -> torch.Tensor:
    return torch.randn(num_rows, 8, *size, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def predict(unet: UNet2DConditionModel, rows: torch.Tensor, timestep: int = 500) -> torch.Tensor:
    text = torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(1))
    return unet(rows, timestep, text.expand(len(rows), -1, -1)).sample


def compute(lever: DeepCache, guidance: Guidance = THREE) -> None:
    """Let the UNet compute its lower levels in the step that comes."""
    lever.at_step(Step(0, 2, guidance))


def reuse(lever: DeepCache, guidance: Guidance = THREE) -> None:
    """Let the UNet reuse its lower levels in the step that comes."""
    lever.at_step(Step(1, 2, guidance))


@pytest.mark.parametrize(
    "kinds",
    [
        ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        # As in SDXL: no attention at the top
        ("DownBlock2D", "CrossAttnDownBlock2D"),
        ("AttnDownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
    ],
)
@pytest.mark.parametrize("size", [SIZE, (5, 7)])
def test_with_unchanged_input_the_result_is_unchanged(kinds, size):
    unet, rows = make_unet(*kinds), make_rows(3, size)
    with DeepCache(unet, 2) as lever:
        compute(lever)
        expected = predict(unet, rows)
        reuse(lever)
        assert torch.allclose(predict(unet, rows), expected, atol=1e-5)


def test_the_top_level_follows_new_input_and_the_lower_ones_do_not(unet):
    other = make_rows(2, seed=5)
    with DeepCache(unet, 2) as lever:
        compute(lever)
        before = predict(unet, make_rows(2))
        reuse(lever)
        reused = predict(unet, other)
    assert not torch.allclose(reused, before, atol=1e-3)
    assert not torch.allclose(reused, predict(unet, other), atol=1e-3)


@pytest.mark.slow
def test_a_compiled_unet_notices_when_reuse_begins_and_ends():
    unet = make_unet("DownBlock2D", "DownBlock2D")
    rows, other = make_rows(2), make_rows(2, seed=5)
    plain = [predict(unet, rows), predict(unet, other)]
    unet.compile(backend="eager", dynamic=False)
    assert torch.allclose(predict(unet, rows), plain[0], atol=1e-5)
    with DeepCache(unet, 2) as lever:
        compute(lever)
        predict(unet, rows)
        reuse(lever)
        assert torch.allclose(predict(unet, rows), plain[0], atol=1e-5)
    assert torch.allclose(predict(unet, other), plain[1], atol=1e-5)


def test_fewer_rows_are_the_first_ones(unet):
    rows = make_rows(6)
    with DeepCache(unet, 2) as lever:
        compute(lever)
        expected = predict(unet, rows)
        reuse(lever, ONE)
        assert torch.allclose(predict(unet, rows[:2]), expected[:2], atol=1e-5)


def test_modules_below_the_top_are_not_run(unet):
    run = []
    for name in ("mid_block", "down_blocks.1", "down_blocks.0.downsamplers.0", "up_blocks.0"):
        unet.get_submodule(name).register_forward_hook(
            lambda module, args, out, name=name: run.append(name)
        )
    with DeepCache(unet, 2) as lever:
        compute(lever)
        predict(unet, make_rows(2))
        assert len(run) == 4
        reuse(lever)
        predict(unet, make_rows(2))
        assert len(run) == 4


@pytest.mark.parametrize("prepare", [compute, reuse])
def test_the_unet_is_whole_again_after_an_exception(unet, prepare):
    before = [name for name, _ in unet.named_modules()]
    with pytest.raises(KeyboardInterrupt), DeepCache(unet, 2) as lever:
        compute(lever)
        predict(unet, make_rows(2))
        prepare(lever)
        raise KeyboardInterrupt
    assert [name for name, _ in unet.named_modules()] == before


def test_a_pass_reuses_nothing_of_the_one_before(unet):
    lever = DeepCache(unet, 2)
    with lever:
        compute(lever)
        predict(unet, make_rows(2))
    expected = predict(unet, make_rows(2, seed=5))
    with lever:
        reuse(lever)
        assert torch.equal(predict(unet, make_rows(2, seed=5)), expected)


def test_a_unet_of_one_level_is_refused():
    with pytest.raises(SettingsError, match="one level"):
        DeepCache(make_unet("CrossAttnDownBlock2D"), 2)


def test_lower_levels_are_computed_in_every_nth_step():
    assert reused_steps([3] * 7, every=3) == [False, True, True, False, True, True, False]


def test_a_step_with_branches_that_were_not_computed_reuses_nothing():
    assert reused_steps([1, 1, 1, 3, 3, 3], every=4) == [False, True, True, False, False, True]


def test_lever_reuses_in_the_steps_that_are_planned(unet):
    guidance = [ONE, ONE, ONE, THREE, THREE, THREE]
    whole, reused = unet.mid_block, []
    with DeepCache(unet, 4) as lever:
        for index, here in enumerate(guidance):
            lever.at_step(Step(index, 6, here))
            reused.append(unet.mid_block is not whole)
    assert reused == reused_steps([here.num_groups for here in guidance], every=4)


def test_without_shortcuts_there_are_no_levers(unet):
    assert make_levers(unet, EXACT) == ()
    both = make_levers(unet, Shortcuts(guidance_interval=(0.0, 0.5), reuse=2))
    assert [type(lever).__name__ for lever in both] == ["GuidanceInterval", "DeepCache"]
