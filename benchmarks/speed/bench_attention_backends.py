"""Anchor attention by SDPA: one call on the concatenation, or two calls merged by log-sum-exp.

Every way is first held against the float64 reference and refused over the allowed error; then all
are timed in one run on the same random data. FLOPs are 4*B*N*(N+M)*H*D; bytes are what the inputs
and the output take, each once. Prints a table and, as its last line, one JSON document.

    python benchmarks/speed/bench_attention_backends.py --device cpu
Figures: benchmarks/NOTES.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]

from benchmarks.lib.record import machine  # noqa: E402
from fairy.anchors.backends import anchor_attention_merged  # noqa: E402
from fairy_kernels.sdpa import anchor_attention_concatenated  # noqa: E402
from fairy_kernels.testing import Inputs, allowed_error, make_inputs, max_error  # noqa: E402

WAYS = [anchor_attention_concatenated, anchor_attention_merged]
# (G, F, N, A, H, D). `mini` at 256x144 has some hundred tokens; SD 1.5 at 512x384 has these
SHAPES = {
    "cpu": [
        (1, 8, 576, 3, 4, 32),
        (1, 8, 144, 3, 4, 64),
        (3, 2, 576, 3, 4, 32),
        (3, 2, 36, 3, 8, 64),
        (1, 1, 3072, 3, 8, 40),
    ],
    "cuda": [
        (3, 8, 3072, 3, 8, 40),
        (3, 8, 768, 3, 8, 80),
        (3, 8, 192, 3, 8, 160),
        (3, 8, 48, 3, 8, 160),
    ],
}


def main() -> None:
    """Measure all shapes and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default=None, help="float32 on the CPU, float16 on CUDA")
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    device = torch.device(args.device)
    dtype = getattr(torch, args.dtype or ("float32" if device.type == "cpu" else "float16"))
    with torch.no_grad():
        rows = [row for s in SHAPES[device.type] for row in measure(s, device, dtype, args.repeats)]
    print(json.dumps({"machine": machine(), "dtype": str(dtype), "rows": rows}))


def measure(
    shape: tuple[int, ...], device: torch.device, dtype: torch.dtype, repeats: int
) -> list[dict[str, Any]]:
    """Return one row per way for a shape (G,F,N,A,H,D), in turns, so that load hits all alike."""
    inputs = make_inputs(*shape, dtype, device=device)
    limit = allowed_error(inputs)
    errors = {way.__name__: max_error(way(*inputs), inputs) for way in WAYS}
    times: dict[str, list[float]] = {name: [] for name in errors}
    for _ in range(repeats):
        for way in WAYS:
            times[way.__name__].append(seconds(way, inputs))
    rows = [row_of(name, shape, times[name], errors[name], limit, inputs) for name in errors]
    for row in rows:
        refused = "" if row["allowed"] else "  REFUSED: error over the limit"
        median_ms = row["ms"]["0.5"] if row["ms"] else float("nan")
        print(f"{shape!s:26} {row['way']:30} {median_ms:9.2f} ms{refused}")
    return rows


def seconds(way: Any, inputs: Inputs) -> float:
    """Return how long one call takes."""
    cuda = inputs.q.device.type == "cuda"
    if cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    way(*inputs)
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def row_of(
    name: str,
    shape: tuple[int, ...],
    times: list[float],
    error: float,
    limit: float,
    inputs: Inputs,
) -> dict[str, Any]:
    """Return a row: quantiles in ms (first call left out), error, FLOPs and bytes."""
    measured = torch.tensor(times[1:]) * 1e3
    num_groups, num_frames, num_tokens, num_anchors, num_heads, head_dim = shape
    scores = num_groups * num_frames * num_tokens**2 * (1 + num_anchors) * num_heads
    allowed = error <= limit
    return {
        "way": name,
        "shape_GFNAHD": shape,
        "ms": {str(q): measured.quantile(q).item() for q in (0.2, 0.5, 0.8)} if allowed else None,
        "error": error,
        "limit": limit,
        "allowed": allowed,
        "flops": 4 * scores * head_dim,
        "bytes": sum(tensor.nbytes for tensor in inputs) + inputs.q.nbytes,
    }


if __name__ == "__main__":
    main()
