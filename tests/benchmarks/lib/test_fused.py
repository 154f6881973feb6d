"""benchmarks/lib/fused.py: the candidates, by Triton's interpreter, against torch in float64."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton")

from benchmarks.lib.fused import geglu, group_norm_silu
from benchmarks.speed import bench_fusions

ROOT = Path(bench_fusions.__file__).parents[2]


def inputs(channels, height, width, groups, mean=1.0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, channels, height, width, generator=generator) + mean
    weight, bias = torch.randn(2, channels, generator=generator)
    x = x.to(dtype).contiguous(memory_format=torch.channels_last)
    return x, groups, weight.to(dtype), bias.to(dtype)


@pytest.mark.parametrize(
    ("channels", "height", "width", "groups"),
    # One run of pixels and several, whole and not; group widths that are no power of two
    [
        (32, 4, 4, 8),
        (40, 5, 7, 4),
        (160, 8, 8, 32),
        (20, 17, 19, 2),
        pytest.param(320, 12, 24, 32, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_group_norm_silu_is_torchs(channels, height, width, groups, dtype):
    args = inputs(channels, height, width, groups, dtype=dtype)
    assert bench_fusions.refusal(bench_fusions.group_norm_silu, group_norm_silu, args) is None


def test_group_norm_silu_keeps_channels_last():
    out = group_norm_silu(*inputs(32, 4, 4, 8))
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_a_mean_far_from_zero_does_not_cancel_the_spread():
    args = inputs(32, 8, 8, 8, mean=1000.0)
    assert bench_fusions.refusal(bench_fusions.group_norm_silu, group_norm_silu, args) is None


def test_channels_of_a_group_may_lie_far_apart():
    x, *rest = inputs(32, 8, 8, 8)
    x += torch.arange(32)[:, None, None] * 10.0
    assert bench_fusions.refusal(bench_fusions.group_norm_silu, group_norm_silu, (x, *rest)) is None


def test_images_of_another_layout_are_refused():
    x, *rest = inputs(32, 4, 4, 8)
    with pytest.raises(ValueError, match="channels_last"):
        group_norm_silu(x.contiguous(), *rest)


@pytest.mark.parametrize("width", [8, 100, 1024, 1500])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_geglu_is_torchs(width, dtype):
    x = (torch.randn(2, 3, 2 * width, generator=torch.Generator().manual_seed(0)) * 3).to(dtype)
    assert bench_fusions.refusal(bench_fusions.geglu, geglu, (x,)) is None


COMPILE = """
import triton
from benchmarks.lib import fused
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
tile = dict(RUN=fused.RUN, ROWS=fused.ROWS, CHANNELS=fused.CHANNELS)
constants = {
    "sum_kernel": tile, "combine_kernel": dict(RUNS=16, WIDTH=16), "apply_kernel": tile,
    "geglu_kernel": dict(COLUMNS=fused.COLUMNS),
}
for name, given in constants.items():
    kernel = getattr(fused, name)
    signature = dict.fromkeys(kernel.arg_names, "i32") | dict.fromkeys(given, "constexpr")
    for argument in kernel.arg_names:
        if argument.endswith("_ptr"):
            signature[argument] = "*fp32" if argument[:3] in ("sum", "fac") else "*bf16"
    signature |= {"eps": "fp32"} if "eps" in kernel.arg_names else {}
    compiled = triton.compile(ASTSource(kernel, signature, given), target=GPUTarget("cuda", 90, 32))
    assert compiled.asm["cubin"], name
"""


@pytest.mark.slow
def test_candidates_compile_for_a_gpu():
    # In a process of its own, since in this one Triton interprets
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    subprocess.run([sys.executable, "-c", COMPILE], cwd=ROOT, env=environment, check=True)
