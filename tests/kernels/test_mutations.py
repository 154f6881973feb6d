"""Planted bugs: each must be caught by a test of test_anchor_attention.py, named beside it.

A bug is one piece of kernel.py replaced by another; the test then runs on that copy.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
import torch

pytest.importorskip("triton")

from fairy_kernels import anchor_attention as module
from fairy_kernels.availability import interpreted
from tests.kernels import test_anchor_attention as tests

pytestmark = [
    pytest.mark.skipif(not interpreted(), reason="needs TRITON_INTERPRET=1"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
SOURCE = Path(module.kernel.__file__).read_text(encoding="utf-8")


class Bug(NamedTuple):
    """A piece of kernel.py, what replaces it, and the test that must fail."""

    right: str
    wrong: str
    caught_by: Callable[[], None]


odd_shape = partial(tests.test_equals_the_reference, (1, 2, 19, 1, 2, 24), torch.float32)
split_heads = partial(tests.test_equals_the_reference, (1, 1, 33, 1, 1, 40), torch.float32)
biased = partial(tests.test_anchor_bias_is_added_to_the_anchors_scores, math.log(3.0))

BUGS = {
    "anchors of another group": Bug(
        "ka_ptr + (group * ka_row",
        "ka_ptr + (0 * ka_row",
        tests.test_two_groups_two_frames_two_heads,
    ),
    "values of another group": Bug(
        "va_ptr + (group * va_row",
        "va_ptr + (0 * va_row",
        tests.test_frame_reads_anchors_of_its_own_group,
    ),
    "frame-major rows": Bug(
        "row = group * num_frames + frame",
        "row = frame * (tl.num_programs(0) // (num_tiles * num_frames * num_heads)) + group",
        tests.test_two_groups_two_frames_two_heads,
    ),
    "keys of another frame": Bug(
        "k_own = k_ptr + (row * k_row",
        "k_own = k_ptr + (group * num_frames * k_row",
        tests.test_two_groups_two_frames_two_heads,
    ),
    "values of another frame": Bug(
        "v_own = v_ptr + (row * v_row",
        "v_own = v_ptr + (group * num_frames * v_row",
        tests.test_frame_reads_its_own_keys,
    ),
    "keys of another head": Bug(
        "k_own = k_ptr + (row * k_row + head * k_head)",
        "k_own = k_ptr + (row * k_row)",
        tests.test_two_groups_two_frames_two_heads,
    ),
    "anchor values where keys belong": Bug(
        "k_base = tl.where(own, k_own, k_anchor)",
        "k_base = tl.where(own, k_own, v_anchor)",
        partial(odd_shape, tests.ONLINE),
    ),
    "keys past the end take part": Bug(
        'scores = tl.where(keys[None, :], scores, float("-inf"))',
        "scores = scores",
        partial(odd_shape, tests.ONLINE),
    ),
    "one key too few": Bug(
        "keys = tl.arange(0, BLOCK_N) < num_keys - first",
        "keys = tl.arange(0, BLOCK_N) < num_keys - first - 1",
        partial(odd_shape, tests.FIXED),
    ),
    "memory past the end is read": Bug(
        "in_rows = (tokens < num_tokens - first)[:, None]",
        "in_rows = (tokens < num_tokens - first + 1)[:, None]",
        partial(tests.test_nothing_outside_the_tensors_is_read, tests.ONLINE),
    ),
    "channels past the end are read": Bug(
        "in_channels = (channels < D)[None, :]",
        "in_channels = (channels < D + 1)[None, :]",
        partial(tests.test_nothing_outside_the_tensors_is_read, tests.ONLINE),
    ),
    "off by one tile": Bug(
        "for tile in tl.range(0, num_tiles)",
        "for tile in tl.range(0, num_tiles - 1)",
        tests.test_two_groups_two_frames_two_heads,
    ),
    "the first anchor tile is skipped": Bug(
        "tl.where(own, tile, tile - num_own)",
        "tl.where(own, tile, tile - num_own + 1)",
        tests.test_two_groups_two_frames_two_heads,
    ),
    "numerator not rescaled": Bug(
        "acc = acc * rescale[:, None]", "acc = acc", partial(odd_shape, tests.ONLINE)
    ),
    "second part of the numerator not rescaled": Bug(
        "acc_rest = acc_rest * rescale[:, None]",
        "acc_rest = acc_rest",
        partial(split_heads, tests.ONLINE),
    ),
    "denominator not rescaled": Bug(
        "total = total * rescale", "total = total", partial(odd_shape, tests.ONLINE)
    ),
    "second part of the head left out of the scores": Bug(
        "scores = tl.dot(q_rest, tl.trans(k), scores", "tl.dot(q_rest, tl.trans(k), scores",
        partial(split_heads, tests.FIXED),
    ),
    "scale without log2(e)": Bug(
        "scale * math.log2(math.e)", "scale", partial(odd_shape, tests.FIXED)
    ),
    "bias without log2(e)": Bug(
        "anchor_bias * math.log2(math.e)", "anchor_bias", partial(biased, tests.FIXED)
    ),
    "bias on own keys": Bug(
        "bias = tl.where(own, 0.0, bias_log2)",
        "bias = tl.where(own, bias_log2, 0.0)",
        partial(biased, tests.ONLINE),
    ),
    "no guard": Bug(
        "again = tl.min((total <= MAX_TOTAL).to(tl.int32), 0) == 0",
        "again = False",
        partial(tests.test_one_key_dominates, 400.0, torch.float32, tests.FIXED),
    ),
    "guard of another dtype": Bug(
        "torch.float16: 2.0**15",
        "torch.float16: 2.0**127",
        partial(tests.test_one_key_dominates, 40.0, torch.float16, tests.FIXED),
    ),
    "running maximum not kept": Bug(
        "            shift = raised\n",
        "            shift = shift\n",
        partial(tests.test_large_scores_do_not_overflow, tests.ONLINE, torch.float32),
    ),
    "strides of anchors taken for own": Bug(
        "k_step = tl.where(own, k_stride, ka_stride)",
        "k_step = k_stride",
        tests.test_views_of_a_joint_projection_are_read_in_place,
    ),
}  # fmt: skip


def plant(bug: Bug, folder: Path) -> ModuleType:
    """Return kernel.py as a module with the bug in it."""
    assert SOURCE.count(bug.right) == 1, "the piece must be in kernel.py exactly once"
    path = folder / "mutant.py"
    path.write_text(SOURCE.replace(bug.right, bug.wrong), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("mutant", path)
    mutant = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(mutant)
    return mutant


@pytest.mark.slow
@pytest.mark.parametrize("name", BUGS)
def test_planted_bug_is_caught(name, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "kernel", plant(BUGS[name], tmp_path))
    with pytest.raises(AssertionError):
        BUGS[name].caught_by()
