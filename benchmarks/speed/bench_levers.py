r"""Compare each exact lever on and off, alternating in one run: time ratio and difference.

    python benchmarks/speed/bench_levers.py                                      mini on the CPU
    python benchmarks/speed/bench_levers.py --model sd15 --device cuda --dtype float16 \
        --size 384 512
    python benchmarks/speed/bench_levers.py --levers compile --repeats 5

Each run edits `--frames` frames and 3 anchors in one batch, without decoding and encoding files.
`ratio` is the median of on/off over the pairs, `least` and `most` their range: a lever whose range
contains 1 showed no gain. Times are processor times on a CPU, so other work matters less, and wall
times on CUDA. `difference` is the largest difference between the two results, in levels of 255.
NOTES.md has the decisions based on it. Tests: tests/benchmarks/speed/test_bench_levers.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.models import load_model
from benchmarks.lib.record import keep, show
from benchmarks.lib.seconds import Seconds
from fairy.anchors.attention import self_attention_layers
from fairy.editors.compute import compile_unet
from fairy.editors.ip2p import denoise
from fairy.editors.ip2p.pipeline import FairyPipeline

NUM_ANCHORS = 3
THREE_BRANCHES = {"guidance_scale": 7.5, "image_guidance_scale": 1.5}
TWO_BRANCHES = {"guidance_scale": 7.5, "image_guidance_scale": 1.0}

Lever = Callable[[FairyPipeline], AbstractContextManager[None]]


@contextmanager
def without_sharing(pipe: FairyPipeline) -> Iterator[None]:
    """Compute the `text` and `image` rows separately everywhere."""
    with patch.object(denoise, "shared_branches", lambda unet, state: nullcontext()):
        yield


@contextmanager
def in_channels_last(module: nn.Module) -> Iterator[None]:
    """Keep a module's weights with channels last."""
    module.to(memory_format=torch.channels_last)
    try:
        yield
    finally:
        module.to(memory_format=torch.contiguous_format)


@contextmanager
def in_inference_mode(pipe: FairyPipeline) -> Iterator[None]:
    """Run in `inference_mode` instead of `no_grad`."""
    with torch.inference_mode():
        yield


@contextmanager
def with_fused_projections(pipe: FairyPipeline) -> Iterator[None]:
    """Compute queries, keys and values of self-attention by one matrix product."""
    layers = list(self_attention_layers(pipe.unet).values())
    before = [(layer.to_q, layer.to_k, layer.to_v) for layer in layers]
    try:
        for layer, projections in zip(layers, before, strict=True):
            fused = _Fused(projections)
            layer.to_q, layer.to_k, layer.to_v = fused, _Part(fused, 1), _Part(fused, 2)
        yield
    finally:
        for layer, projections in zip(layers, before, strict=True):
            layer.to_q, layer.to_k, layer.to_v = projections


class _Fused(nn.Module):
    """Returns queries, and keeps keys and values for the two modules that run after it."""

    def __init__(self, projections: tuple[nn.Linear, ...]) -> None:
        super().__init__()
        self.weight = torch.cat([linear.weight.detach() for linear in projections])

    def forward(self, tokens: Tensor) -> Tensor:
        self.parts = nn.functional.linear(tokens, self.weight).chunk(3, dim=-1)
        return self.parts[0]


class _Part(nn.Module):
    def __init__(self, fused: _Fused, index: int) -> None:
        super().__init__()
        # In a tuple, so it is not a submodule of two layers
        self.fused, self.index = (fused,), index

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fused[0].parts[self.index]


@contextmanager
def with_compiled_unet(pipe: FairyPipeline) -> Iterator[None]:
    """Run the UNet compiled; the compiled code is kept for the next time."""
    compile_unet(pipe.unet)
    try:
        yield
    finally:
        pipe.unet._compiled_call_impl = None


def plain(pipe: FairyPipeline) -> AbstractContextManager[None]:
    """Change nothing."""
    return nullcontext()


# Name: on, off, settings
LEVERS: dict[str, tuple[Lever, Lever, dict[str, Any]]] = {
    "shared branches, G = 2": (plain, without_sharing, TWO_BRANCHES),
    "shared branches, G = 3": (plain, without_sharing, THREE_BRANCHES),
    "UNet channels_last": (lambda pipe: in_channels_last(pipe.unet), plain, TWO_BRANCHES),
    "VAE channels_last": (lambda pipe: in_channels_last(pipe.vae), plain, TWO_BRANCHES),
    "fused QKV": (with_fused_projections, plain, TWO_BRANCHES),
    "inference_mode": (in_inference_mode, plain, TWO_BRANCHES),
    "compile": (with_compiled_unet, plain, TWO_BRANCHES),
    "batch of 1": (plain, plain, {"frame_batch_size": 1}),
    "batch of 2": (plain, plain, {"frame_batch_size": 2}),
    "batch of 4": (plain, plain, {"frame_batch_size": 4}),
    "batch of 8": (plain, plain, {"frame_batch_size": 8}),
}


def measure(
    pipe: FairyPipeline, name: str, frames: np.ndarray, *, steps: int, repeats: int
) -> dict[str, Any]:
    """Return the row of one lever; frames are uint8 (T,H,W,3)."""
    on, off, settings = LEVERS[name]
    common = {"frame_batch_size": len(frames), "num_inference_steps": steps}
    # Batches are compared with a batch of all frames
    with_settings = common | settings
    without = with_settings | common
    with on(pipe):
        began = Seconds.now()
        edit(pipe, frames, with_settings)
        first_s = (Seconds.now() - began).wall
    pairs: list[tuple[float, float]] = []
    for _ in range(repeats):
        with on(pipe):
            seconds_on, one = timed(pipe, frames, with_settings)
        with off(pipe):
            seconds_off, other = timed(pipe, frames, without)
        pairs.append((seconds_on, seconds_off))
    ratios = [on / off for on, off in pairs]
    return {
        "lever": name,
        "ratio": float(np.median(ratios)),
        "least": min(ratios),
        "most": max(ratios),
        "on_s": float(np.median([on for on, _ in pairs])),
        "off_s": float(np.median([off for _, off in pairs])),
        "first_s": first_s,
        "difference": float((one - other).abs().max()) * 255,
    }


def timed(
    pipe: FairyPipeline, frames: np.ndarray, settings: dict[str, Any]
) -> tuple[float, Tensor]:
    """Return the seconds of an edit, and its frames (T,3,H,W) in [0,1]."""
    began = Seconds.now()
    edited = edit(pipe, frames, settings)
    # The frames are on the CPU, so a card has finished
    return (Seconds.now() - began).on(pipe.device), edited


def edit(pipe: FairyPipeline, frames: np.ndarray, settings: dict[str, Any]) -> Tensor:
    """Return the edited frames (T,3,H,W) in [0,1]; the first three are the anchors."""
    result: Tensor = pipe(
        frames,
        "make it snow",
        anchor_indices=range(NUM_ANCHORS),
        generator=0,
        output_type="pt",
        **settings,
    ).frames
    return result


def main() -> None:
    """Measure the levers of the command line and print the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--size", type=int, nargs=2, default=(64, 96), metavar=("H", "W"))
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--levers", nargs="+", choices=LEVERS, default=list(LEVERS))
    parser.add_argument("--out", type=Path, help="append a JSON line for each lever")
    args = parser.parse_args()
    pipe = load_model(args.model, args.device, args.dtype)
    pipe.set_progress_bar_config(disable=True)
    draw = np.random.default_rng(0)
    shape = (NUM_ANCHORS + args.frames, *args.size, 3)
    frames = draw.integers(0, 255, shape, dtype=np.uint8)
    rows = []
    for name in args.levers:
        rows.append(measure(pipe, name, frames, steps=args.steps, repeats=args.repeats))
        keep(args.out, "levers", rows[-1])
    settings = {"model": args.model, "size": list(args.size), "frames": args.frames}
    show("on / off", rows, **settings, steps=args.steps, repeats=args.repeats)


if __name__ == "__main__":
    main()
