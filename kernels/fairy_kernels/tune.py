"""Find the fastest settings of the kernel on this card: `python -m fairy_kernels.tune`.

For each head dimension it measures block sizes and warps first, then one change at a time to the
best. Settings that do not compile, do not fit or exceed `testing.allowed_error` are skipped. The
best row, with SDPA's time on the same data, is written to `launch_config.tuned_file()`. From then
on `--backend auto` uses the kernel where it was faster. A head dimension takes about a minute.
Tests: tests/kernels/test_tune.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
import triton
from torch import Tensor

from fairy_kernels import kernel
from fairy_kernels.availability import why_not
from fairy_kernels.launch_config import (
    TUNED_HEAD_DIMS,
    TUNED_TOKENS,
    LaunchConfig,
    split_head_dim,
    tuned_file,
    write_row,
)
from fairy_kernels.sdpa import anchor_attention_concatenated
from fairy_kernels.testing import (
    Inputs,
    allowed_error,
    make_inputs,
    max_error,
    sampled,
)

# For head dimensions without a row in the table
OTHER_TOKENS = 1024
NUM_GROUPS, NUM_FRAMES, NUM_ANCHORS, NUM_HEADS = 3, 8, 3, 8
BLOCKS = [
    (block_m, block_n, num_warps)
    for block_m, num_warps in ((64, 4), (128, 4), (128, 8), (256, 8))
    for block_n in (32, 64, 128)
]

Timer = Callable[[Callable[[], Tensor]], float]


def first_candidates() -> list[LaunchConfig]:
    """Return the combinations of blocks and warps, with the other settings as in the table."""
    return [
        LaunchConfig(block_m=block_m, block_n=block_n, num_warps=num_warps, num_stages=2)
        for block_m, block_n, num_warps in BLOCKS
    ]


def changes(config: LaunchConfig, head_dim: int) -> Iterator[LaunchConfig]:
    """Yield `config` with one thing changed."""
    for num_stages in (1, 3, 4):
        yield replace(config, num_stages=num_stages)
    yield replace(config, fixed_shift=not config.fixed_shift)
    if split_head_dim(head_dim)[1]:
        yield replace(config, split=not config.split)


def tune(inputs: Inputs, timer: Timer) -> tuple[LaunchConfig, float]:
    """Return the fastest correct settings for the inputs, and their time in ms.

    Raises:
        RuntimeError: no settings compile, fit and give the right result.
    """
    times = {config: measure(inputs, config, timer) for config in first_candidates()}
    best = min(times, key=lambda config: times[config])
    for config in changes(best, inputs.q.shape[-1]):
        times[config] = measure(inputs, config, timer)
    best = min(times, key=lambda config: times[config])
    if times[best] == float("inf"):
        raise RuntimeError("no settings compile, fit and give the right result on this card")
    return best, times[best]


def measure(inputs: Inputs, config: LaunchConfig, timer: Timer) -> float:
    """Return the time of one call in ms; infinite if it cannot run or the result is wrong."""

    def attend() -> Tensor:
        scale = inputs.q.shape[-1] ** -0.5
        return kernel.launch(*inputs, scale=scale, anchor_bias=0.0, config=config)

    try:
        out = attend()
    except (triton.CompilationError, triton.OutOfResources, RuntimeError):
        return float("inf")
    index, part = sampled(inputs)
    if max_error(out[index], part) > allowed_error(part):
        return float("inf")
    return timer(attend)


def gpu_timer(attend: Callable[[], Tensor]) -> float:
    """Return the median time of a call in ms."""
    median: float = triton.testing.do_bench(attend, quantiles=[0.5])
    return median


def tune_head_dim(head_dim: int, path: Path) -> str:
    """Measure one head dimension on the card, write its row and return a summary."""
    shape = (
        NUM_GROUPS,
        NUM_FRAMES,
        TUNED_TOKENS.get(head_dim, OTHER_TOKENS),
        NUM_ANCHORS,
        NUM_HEADS,
        head_dim,
    )
    inputs = make_inputs(*shape, torch.bfloat16, device="cuda")
    config, ms = tune(inputs, gpu_timer)
    sdpa_ms = gpu_timer(lambda: anchor_attention_concatenated(*inputs))
    name = torch.cuda.get_device_name()
    row = {"device": name, "head_dim": head_dim, "ms": ms, "sdpa_ms": sdpa_ms, "shape": shape}
    row |= {"torch": torch.__version__, "triton": triton.__version__}
    write_row(path, row, config)
    return f"{name}, head dim {head_dim}: {ms:.3f} ms, SDPA {sdpa_ms:.3f} ms, {config}"


def main() -> None:
    """Measure the head dimensions of `--head-dim`."""
    parser = argparse.ArgumentParser(prog="python -m fairy_kernels.tune", description=__doc__)
    parser.add_argument("--head-dim", type=int, nargs="+", default=TUNED_HEAD_DIMS)
    parser.add_argument("--out", type=Path, default=tuned_file(), help="file for the rows")
    args = parser.parse_args()
    cuda = torch.device("cuda")
    reason = why_not(cuda, args.head_dim) if torch.cuda.is_available() else "no CUDA device"
    if reason is not None:
        sys.exit(f"nothing to measure: {reason}")
    for head_dim in args.head_dim:
        sys.stdout.write(tune_head_dim(head_dim, args.out) + "\n")


if __name__ == "__main__":
    main()
