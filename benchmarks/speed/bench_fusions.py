"""GroupNorm with SiLU and GEGLU on a CUDA device: is our own kernel worth it?

Ways, on the same random data in one run, at Stable Diffusion 1.5's shapes at 512×384:
    eager         torch, as in an edit without --compile
    compiled      the same with torch.compile, as with --compile
    candidate     benchmarks/lib/fused.py
A candidate whose error from float64 is more than twice eager's is refused. Each row has the time,
and the rate of its minimal memory traffic relative to a plain copy: GroupNorm reads twice and
writes once, GEGLU reads once and writes half.

    python benchmarks/speed/bench_fusions.py            part of make bench-gpu
Prints a table and, as the last line, one JSON document; --out also writes it to a file.
Tests: tests/benchmarks/speed/test_bench_fusions.py.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.record import show
from fairy_kernels.testing import ERROR_FACTOR

NUM_GROUPS = 32
# A batch of 8 frames with three branches: 24 images
IMAGES = 24
# (channels, height, width) of SD 1.5's norms at 512x384, through the UNet
NORMED = [(320, 48, 64), (640, 48, 64), (960, 48, 64), (640, 24, 32), (1280, 12, 16)]
# (tokens, width of value and of gate)
GATED = [(3072, 1280), (768, 2560), (192, 5120)]

Way = Callable[..., Tensor]


def group_norm_silu(
    x: Tensor, num_groups: int, weight: Tensor, bias: Tensor, eps: float = 1e-5
) -> Tensor:
    """Return silu(group_norm(x)) by torch; x (B,C,H,W)."""
    return F.silu(F.group_norm(x, num_groups, weight, bias, eps))


def geglu(x: Tensor) -> Tensor:
    """Return value * gelu(gate) (...,W) by torch; x (...,2W), value first."""
    value, gate = x.chunk(2, dim=-1)
    return value * F.gelu(gate)


def main(words: list[str] | None = None) -> None:
    """Measure both at all shapes and print the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float16"))
    parser.add_argument("--out", type=Path, help="file for the JSON document")
    args = parser.parse_args(words)
    if not torch.cuda.is_available():
        print("bench_fusions: no CUDA device, nothing measured")
        return
    if importlib.util.find_spec("triton") is None:
        print("bench_fusions: Triton is not installed, nothing measured")
        return
    from benchmarks.lib import fused

    make = {"dtype": getattr(torch, args.dtype), "device": "cuda"}
    rows: list[dict[str, Any]] = []
    with torch.no_grad():
        rate = copy_bytes_per_s(torch.empty(2**28, **make))
        for channels, height, width in NORMED:
            inputs = norm_inputs(IMAGES, channels, height, width, **make)
            ways = (group_norm_silu, fused.group_norm_silu)
            rows += measure("GroupNorm + SiLU", *ways, inputs, rate, reads=2)
        for num_tokens, width in GATED:
            gated = (torch.randn(IMAGES, num_tokens, 2 * width, **make),)
            rows += measure("GEGLU", geglu, fused.geglu, gated, rate, reads=1)
    settings = {"dtype": args.dtype, "copy_bytes_per_s": rate}
    show("Fusions", rows, out=args.out, **settings)


def norm_inputs(
    num_images: int, channels: int, height: int, width: int, **make: Any
) -> tuple[Tensor, int, Tensor, Tensor]:
    """Return the arguments of `group_norm_silu`: images whose mean is not zero."""
    x = torch.randn(num_images, channels, height, width, **make) + 1
    weight, bias = torch.randn(channels, **make), torch.randn(channels, **make)
    return x.contiguous(memory_format=torch.channels_last), NUM_GROUPS, weight, bias


def measure(
    name: str, eager: Way, candidate: Way, inputs: tuple[Any, ...], rate: float, *, reads: int
) -> list[dict[str, Any]]:
    """Return a row for each way.

    Args:
        name: the layer's name.
        eager: the layer in torch.
        candidate: our kernel.
        inputs: their arguments; the first is the large one.
        rate: rate of a copy in bytes per second.
        reads: how often the first argument must be read.
    """
    from triton.testing import do_bench

    compiled = torch.compile(eager, dynamic=False)
    x = inputs[0]
    row = {"layer": name, "shape": " ".join(map(str, x.shape))}
    least = reads * x.nbytes + eager(*inputs).nbytes
    rows = []
    for way, compute in {"eager": eager, "compiled": compiled, "candidate": candidate}.items():
        if way == "candidate" and (why := refusal(eager, candidate, inputs)) is not None:
            rows.append({**row, "way": way, "ms": None, "% of a copy": None, "note": why})
            continue
        ms = do_bench(partial(compute, *inputs), return_mode="median")
        share = 100 * least / rate / (ms * 1e-3)
        rows.append({**row, "way": way, "ms": ms, "% of a copy": share, "note": ""})
    return rows


def refusal(eager: Way, candidate: Way, inputs: tuple[Any, ...]) -> str | None:
    """Return why a candidate is wrong; None if it is as close to float64 as eager."""
    exact = eager(*(part.double() if isinstance(part, Tensor) else part for part in inputs))
    rounding = torch.finfo(inputs[0].dtype).eps * exact.abs().max().item()
    limit = ERROR_FACTOR * max(_error(eager(*inputs), exact), rounding)
    found = _error(candidate(*inputs), exact)
    # Also refuses NaN
    return None if found <= limit else f"REFUSED: error {found:.2g}, limit {limit:.2g}"


def _error(out: Tensor, exact: Tensor) -> float:
    return (out.double() - exact).abs().max().item()


def copy_bytes_per_s(x: Tensor) -> float:
    """Return the bytes that a copy of `x` reads and writes in a second."""
    from triton.testing import do_bench

    to = torch.empty_like(x)
    return 2 * x.nbytes / (do_bench(lambda: to.copy_(x), return_mode="median") * 1e-3)


if __name__ == "__main__":
    main()
