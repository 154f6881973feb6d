"""Anchor attention: our Triton kernel compared with every other way to compute it.

Ways on a CUDA device, on the same random data in one run:
    triton            ours: anchors read in place
    concat-*          keys and values concatenated per frame, then SDPA with each torch backend
    merged            two flash calls (own keys; anchors as one batch), merged by log-sum-exp
    concat-flex       then compiled FlexAttention (only F = 8 and K = 3: compiling takes long)
    concat-xformers, concat-fa3    then these libraries, if installed
On a CPU: one SDPA call on concatenated keys and values (concat), and merged.
A way whose error is larger than `fairy_kernels.testing.allowed_error` is refused. Shapes on CUDA:
Stable Diffusion 1.5 at 512×384 and 512×512, all four levels, K = 1, 3, 5 anchors, F = 1, 8, 40
frames, G = 3 branches; SDXL-class heads at 1024×1024. Then, for N = 3072 and D = 40, our settings
with one change at a time. Each row has the scores (query times key) per second, also as a share of
two bounds: the exponential unit (16 a clock and multiprocessor) and the tensor cores (a large
matrix product, measured in the same run).

    python benchmarks/speed/bench_anchor_attention.py     all shapes, about ten minutes
    ... --quick                                     F = 8 and K = 3; part of make bench-gpu
    ... --device cpu                                a few shapes of `mini` and of SD 1.5
Prints a table and, as the last line, one JSON document; --out also writes it to a file.
Results: kernels/fairy_kernels/README.md, benchmarks/NOTES.md.
Tests: tests/benchmarks/speed/test_bench_anchor_attention.py.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.benchmark import Timer

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]

from benchmarks.lib.bound import matmul_flops_per_s  # noqa: E402
from benchmarks.lib.record import card, show  # noqa: E402
from fairy.anchors.backends import anchor_attention_merged  # noqa: E402
from fairy_kernels.availability import why_not  # noqa: E402
from fairy_kernels.sdpa import anchor_attention_concatenated  # noqa: E402
from fairy_kernels.testing import (  # noqa: E402
    Inputs,
    allowed_error,
    make_inputs,
    max_error,
    sampled,
)

NUM_GROUPS = 3
# (tokens, heads, head dimension): 64×48 and 64×64 latents of SD 1.5; 128×128 latents of SDXL
LEVELS = {
    "512x384": [(3072, 8, 40), (768, 8, 80), (192, 8, 160), (48, 8, 160)],
    "512x512": [(4096, 8, 40), (1024, 8, 80), (256, 8, 160), (64, 8, 160)],
    "SDXL": [(4096, 10, 64), (1024, 20, 64)],
}
# (G,F,N,A,H,D): `mini` at 256x144 has some hundred tokens; the last is SD 1.5 at 512x384
CPU_SHAPES = [
    (1, 8, 576, 3, 4, 32),
    (1, 8, 144, 3, 4, 64),
    (3, 2, 576, 3, 4, 32),
    (3, 2, 36, 3, 8, 64),
    (1, 1, 3072, 3, 8, 40),
]
EXPS_PER_CLOCK_AND_SM = 16
QUANTILES = [0.2, 0.5, 0.8]
DTYPES = ("float32", "bfloat16", "float16")
SDP_BACKENDS = {
    "concat-flash": SDPBackend.FLASH_ATTENTION,
    "concat-efficient": SDPBackend.EFFICIENT_ATTENTION,
    "concat-cudnn": SDPBackend.CUDNN_ATTENTION,
}

Way = Callable[..., Tensor]


def main(words: list[str] | None = None) -> None:
    """Measure all shapes and print the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="F = 8 and K = 3 only")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--dtype", choices=DTYPES, help="float32 on a CPU, else bfloat16")
    parser.add_argument("--out", type=Path, help="file for the JSON document")
    args = parser.parse_args(words)
    device = torch.device(args.device)
    dtype = getattr(torch, args.dtype or ("float32" if device.type == "cpu" else "bfloat16"))
    if device.type == "cuda" and not torch.cuda.is_available():
        print("bench_anchor_attention: no CUDA device, nothing measured")
        return
    if device.type == "cuda" and (reason := why_not(device)) is not None:
        sys.exit(f"bench_anchor_attention: {reason}")
    bounds = measure_bounds(device, dtype)
    with torch.no_grad():
        chosen = shapes(device, quick=args.quick)
        rows = [row for shape in chosen for row in measure(shape, device, dtype, bounds)]
        rows += vary(dtype, bounds) if device.type == "cuda" else []
    show("Anchor attention", rows, out=args.out, dtype=str(dtype), bounds=bounds)


def shapes(device: torch.device, *, quick: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield (name, (G,F,N,A,H,D))."""
    if device.type == "cpu":
        yield from (("cpu", shape) for shape in CPU_SHAPES[: 2 if quick else None])
        return
    for name, levels in LEVELS.items():
        for num_tokens, num_heads, head_dim in levels:
            for num_anchors in (3,) if quick else (1, 3, 5):
                for num_frames in (8,) if quick else (1, 8, 40):
                    shape = (NUM_GROUPS, num_frames, num_tokens, num_anchors, num_heads, head_dim)
                    yield name, shape


def ways(device: torch.device, num_frames: int, num_anchors: int) -> dict[str, Way]:
    """Return, by name, every way to compute anchor attention that is available here."""
    if device.type == "cpu":
        return {"concat": anchor_attention_concatenated, "merged": anchor_attention_merged}
    from fairy_kernels.anchor_attention import anchor_attention

    found: dict[str, Way] = {"triton": anchor_attention}
    for name, backend in SDP_BACKENDS.items():
        found[name] = by_backend(backend)
    found["merged"] = anchor_attention_merged
    if (num_frames, num_anchors) == (8, 3):
        found["concat-flex"] = concatenated(flex())
    if importlib.util.find_spec("xformers"):
        from xformers.ops import memory_efficient_attention

        found["concat-xformers"] = concatenated(memory_efficient_attention)
    if importlib.util.find_spec("flash_attn_interface"):
        from flash_attn_interface import flash_attn_func

        found["concat-fa3"] = concatenated(lambda q, k, v: first(flash_attn_func(q, k, v)))
    return found


def by_backend(backend: SDPBackend) -> Way:
    """Return SDPA on concatenated keys with one of torch's backends."""

    def attend(*inputs: Tensor) -> Tensor:
        with sdpa_kernel(backend):
            return anchor_attention_concatenated(*inputs)

    return attend


def concatenated(attend: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Way:
    """Return `attend` (q, k, v (B,N,H,D)) on keys and values concatenated per frame."""

    def attend_anchors(q: Tensor, k: Tensor, v: Tensor, k_anchor: Tensor, v_anchor: Tensor):
        num_frames = q.shape[0] // k_anchor.shape[0]
        k_all = torch.cat([k, k_anchor.repeat_interleave(num_frames, dim=0)], dim=1)
        v_all = torch.cat([v, v_anchor.repeat_interleave(num_frames, dim=0)], dim=1)
        return attend(q, k_all, v_all)

    return attend_anchors


def flex() -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return FlexAttention, compiled, on (B,N,H,D)."""
    from torch.nn.attention.flex_attention import flex_attention

    compiled = torch.compile(flex_attention)
    return lambda q, k, v: compiled(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    ).transpose(1, 2)


def first(result: Any) -> Tensor:
    """Return the output of a library; some versions also return the log-sum-exp."""
    return result[0] if isinstance(result, tuple) else result


def measure(
    named: tuple[str, tuple[int, ...]],
    device: torch.device,
    dtype: torch.dtype,
    bounds: dict[str, float],
) -> list[dict[str, Any]]:
    """Return one row per way for a shape."""
    name, shape = named
    inputs = make_inputs(*shape, dtype, device=device)
    _, num_frames, _, num_anchors, _, _ = shape
    rows = []
    for way, attend in ways(device, num_frames, num_anchors).items():
        row = {"model": name, "way": way, "G F N A H D": " ".join(map(str, shape))}
        rows.append(row | time(attend, inputs, bounds))
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return rows


def time(attend: Way, inputs: Inputs, bounds: dict[str, float]) -> dict[str, Any]:
    """Return times, error and share of the bounds, or why a way does not run."""
    blank = dict.fromkeys(("ms", "ms 0.2", "ms 0.8", "Gscores/s", "% exp", "% tensor", "GB"), "")
    try:
        out = attend(*inputs)
    except (RuntimeError, ValueError, *triton_errors()) as error:
        note = f"does not run: {str(error).strip().splitlines()[0][:60]}"
        return {**blank, "error": "", "limit": "", "note": note}
    index, part = sampled(inputs)
    error, limit = max_error(out[index], part), allowed_error(part)
    del out
    if error > limit:
        return {**blank, "error": error, "limit": limit, "note": "REFUSED: error over the limit"}
    low, median, high = quantiles_ms(partial(attend, *inputs), inputs.q.device)
    num_rows, num_tokens, num_heads, head_dim = inputs.q.shape
    num_keys = num_tokens + inputs.k_anchor.shape[1]
    scores_per_s = num_rows * num_heads * num_tokens * num_keys / (median * 1e-3)
    return {
        "ms": median,
        "ms 0.2": low,
        "ms 0.8": high,
        "Gscores/s": scores_per_s / 1e9,
        "% exp": 100 * scores_per_s / bounds["exps_per_s"] if "exps_per_s" in bounds else "",
        "% tensor": 100 * scores_per_s * 4 * head_dim / bounds["flops_per_s"],
        "GB": (sum(tensor.nbytes for tensor in inputs) + inputs.q.nbytes) / 1e9,
        "error": error,
        "limit": limit,
        "note": "",
    }


def triton_errors() -> tuple[type[Exception], ...]:
    """Return the errors of a kernel that cannot be compiled or launched; none without Triton."""
    if importlib.util.find_spec("triton") is None:
        return ()
    from triton import CompilationError, OutOfResources

    return CompilationError, OutOfResources


def quantiles_ms(call: Callable[[], Tensor], device: torch.device) -> list[float]:
    """Return the quantiles 0.2, 0.5 and 0.8 of the time of a call, after a warm-up."""
    if device.type == "cuda":
        from triton.testing import do_bench

        return list(do_bench(call, quantiles=QUANTILES))
    timer = Timer("call()", globals={"call": call}, num_threads=torch.get_num_threads())
    times_s = torch.tensor(timer.blocked_autorange(min_run_time=0.5).times)
    return (1e3 * times_s.quantile(torch.tensor(QUANTILES))).tolist()


def vary(dtype: torch.dtype, bounds: dict[str, float]) -> list[dict[str, Any]]:
    """Return rows of our kernel at N = 3072, D = 40 with one setting changed at a time."""
    from fairy_kernels import kernel
    from fairy_kernels.launch_config import choose_config
    from fairy_kernels.tune import changes, first_candidates

    inputs = make_inputs(NUM_GROUPS, 8, 3072, 3, 8, 40, dtype, device="cuda")
    chosen = choose_config(40, 3072, dtype, inputs.q.device)
    rows = []
    for config in dict.fromkeys([chosen, *changes(chosen, 40), *first_candidates()]):

        def attend(*inputs: Tensor, config=config) -> Tensor:
            return kernel.launch(*inputs, scale=40**-0.5, anchor_bias=0.0, config=config)

        row = {"model": "varied", "way": "triton", "G F N A H D": "3 8 3072 3 8 40"}
        rows.append({**row, **time(attend, inputs, bounds), "note": words(asdict(config))})
    return rows


def words(config: dict[str, Any]) -> str:
    """Return settings in short form."""
    fixed = "fixed" if config["fixed_shift"] else "online"
    split = "split" if config["split"] else "padded"
    blocks = f"{config['block_m']}x{config['block_n']}"
    return f"{blocks} w{config['num_warps']} s{config['num_stages']} {fixed} {split}"


def measure_bounds(device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """Return the device's rates per second: FLOPs and, on CUDA, exponentials."""
    flops_per_s = matmul_flops_per_s(device, dtype)
    if device.type == "cpu":
        return {"flops_per_s": flops_per_s}
    properties = torch.cuda.get_device_properties(0)
    clock = max_clock_hz()
    return {
        "max_clock_hz": clock,
        "exps_per_s": properties.multi_processor_count * EXPS_PER_CLOCK_AND_SM * clock,
        "flops_per_s": flops_per_s,
    }


def max_clock_hz() -> float:
    """Return the multiprocessors' highest clock, from nvidia-smi."""
    return float(card()["clocks.max.sm"].split()[0]) * 1e6


if __name__ == "__main__":
    main()
