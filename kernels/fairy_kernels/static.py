"""Compile the kernel for a card and report its resource use; no GPU is needed.

Reads the output of cuobjdump and nvdisasm, which come with Triton: registers, spills, shared
memory, programs per multiprocessor, matrix instructions, and the instructions per score in the
loops over the keys (a score is one query times one key).

    python -m fairy_kernels.static                        # every row of the table, at its tokens
    python -m fairy_kernels.static --capability 90 --head-dim 40

Prints a table and, as the last line, one JSON document. Results: README.md.
Tests: tests/kernels/test_static.py.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from fairy_kernels.kernel import MAX_TOTAL, VEC, anchor_attention_kernel
from fairy_kernels.launch_config import (
    SHARED_BYTES,
    TABLE,
    TUNED_TOKENS,
    LaunchConfig,
    fit_queries,
    split_head_dim,
)

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
TYPES = {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "fp32"}
# (head dimension, tokens): the tuned ones, and Stable Diffusion 1.5's smallest level at 512×384
SHAPES = (*TUNED_TOKENS.items(), (160, 48))
GENERATIONS = sorted({capability for capability, _ in TABLE})
HEADER = (
    "capability head_dim tokens block_m block_n warps | registers spill shared programs | per score"
)
REGISTERS_PER_SM = 65536
# The driver reserves this for each program; a multiprocessor has this beyond a program's limit
RESERVED_SHARED_BYTES = 1024


@dataclass(frozen=True, kw_only=True)
class KeyLoop:
    """One loop over tiles of keys, per score and thread.

    Attributes:
        online: whether it subtracts the running maximum; otherwise the shift is fixed.
        instructions: all instructions.
        exps: exponentials.
        waits: waits for matrix instructions (wgmma), per tile.
    """

    online: bool
    instructions: float
    exps: float
    waits: int


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """Resource use of one compiled kernel.

    Attributes:
        registers: per thread.
        spill_bytes: local memory per thread.
        shared_bytes: shared memory per program.
        programs_per_sm: resident programs, by registers and shared memory.
        mmas: number of matrix instructions by kind, such as {"HGMMA": 41} for wgmma.
        loops: the loops over the keys.
    """

    registers: int
    spill_bytes: int
    shared_bytes: int
    programs_per_sm: int
    mmas: dict[str, int]
    loops: list[KeyLoop]


def compile_kernel(
    head_dim: int,
    capability: int,
    config: LaunchConfig,
    *,
    dtype: torch.dtype = torch.bfloat16,
    mask_keys: bool = False,
) -> Compiled:
    """Compile the kernel for a head dimension and a compute capability (80, 90 ...)."""
    d_main, d_rest = split_head_dim(head_dim, split=config.split)
    constants = {
        "D": head_dim,
        "D_MAIN": d_main,
        "D_REST": d_rest,
        "BLOCK_M": config.block_m,
        "BLOCK_N": config.block_n,
        "MASK_KEYS": mask_keys,
        "FIXED_SHIFT": config.fixed_shift,
        "MAX_TOTAL": MAX_TOTAL[dtype],
        "VEC": VEC,
    }
    names = anchor_attention_kernel.arg_names
    pointers = [name for name in names if name.endswith("_ptr")]
    signature = dict.fromkeys(names, "i32") | dict.fromkeys(pointers, f"*{TYPES[dtype]}")
    signature |= dict.fromkeys(("scale_log2", "bias_log2"), "fp32")
    signature |= dict.fromkeys(constants, "constexpr")
    # As at a launch, pointers are aligned to 16 bytes
    aligned = {(names.index(name),): [["tt.divisibility", 16]] for name in pointers}
    compiled = triton.compile(
        ASTSource(anchor_attention_kernel, signature, constants, aligned),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": config.num_warps, "num_stages": config.num_stages},
    )
    return _examine(compiled.asm["cubin"], compiled.metadata.shared, capability, config)


def _examine(cubin: bytes, shared_bytes: int, capability: int, config: LaunchConfig) -> Compiled:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        usage = _run("cuobjdump", "-res-usage", str(path))
        code, labels = parse_sass(_run("nvdisasm", "-c", str(path)))
    found = re.search(r"REG:(\d+) STACK:(\d+)", usage)
    assert found is not None, usage
    registers, spill_bytes = int(found[1]), int(found[2])
    scores = config.block_m * config.block_n / (config.num_warps * 32)
    return Compiled(
        registers=registers,
        spill_bytes=spill_bytes,
        shared_bytes=shared_bytes,
        programs_per_sm=programs_per_sm(registers, shared_bytes, config.num_warps, capability),
        mmas=dict(Counter(_name(op) for op in code if _name(op).endswith("MMA"))),
        loops=key_loops(code, labels, scores),
    )


def _run(tool: str, *arguments: str) -> str:
    command = [str(TOOLS / tool), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def programs_per_sm(registers: int, shared_bytes: int, num_warps: int, capability: int) -> int:
    """Return how many programs are resident on a multiprocessor."""
    # Each thread of a warp gets registers in units of 8
    by_registers = REGISTERS_PER_SM // (-(-registers // 8) * 8 * 32 * num_warps)
    shared = SHARED_BYTES[capability] + RESERVED_SHARED_BYTES
    return min(by_registers, shared // (shared_bytes + RESERVED_SHARED_BYTES))


def parse_sass(text: str) -> tuple[list[str], dict[str, int]]:
    """Return nvdisasm's instructions without predicates, and the index at each label."""
    code: list[str] = []
    labels: dict[str, int] = {}
    for line in text.splitlines():
        if label := re.match(r"\s*(\.L_x_\d+):", line):
            labels[label[1]] = len(code)
        elif found := re.match(r"\s*/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?(.*?)\s*;", line):
            code.append(found[1])
    return code, labels


def key_loops(code: list[str], labels: dict[str, int], scores: float) -> list[KeyLoop]:
    """Return the loops with one tile's exponentials and matrix instructions, two at most.

    Args:
        code: instructions.
        labels: index of the instruction at each label.
        scores: scores of one tile, per thread.
    """
    loops: dict[bool, KeyLoop] = {}
    for end, instruction in enumerate(code):
        back = re.match(r"BRA.*`\((\.L_x_\d+)\)", instruction)
        start = labels.get(back[1], end + 1) if back else end + 1
        body = code[start : end + 1]
        exps = sum(op.startswith("MUFU.EX2") for op in body) / scores
        if 0.9 <= exps <= 1.2 and any(_name(op).endswith("MMA") for op in body):
            # FMNMX3 takes two at a time
            online = sum(_name(op).startswith("FMNMX") for op in body) >= 0.4 * scores
            loop = KeyLoop(
                online=online,
                instructions=round(len(body) / scores, 2),
                exps=round(exps, 2),
                waits=sum(op.startswith("WARPGROUP.DEPBAR") for op in body),
            )
            # Waits for a barrier jump back further; the shortest of these is the loop itself
            loops[online] = min(loop, loops.get(online, loop), key=lambda x: x.instructions)
    return list(loops.values())


def _name(instruction: str) -> str:
    return instruction.split()[0].split(".")[0]


def main() -> None:
    """Print the resource use of the kernels that are launched at the tuned shapes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--capability", type=int, help="80, 90 or 100; all by default")
    parser.add_argument("--head-dim", type=int, help="one of the table's; all by default")
    args = parser.parse_args()
    rows = []
    print(HEADER)  # noqa: T201
    for capability, (head_dim, num_tokens) in product(GENERATIONS, SHAPES):
        if args.capability in (None, capability) and args.head_dim in (None, head_dim):
            config = fit_queries(TABLE[capability, head_dim], num_tokens)
            mask_keys = num_tokens % config.block_n != 0
            compiled = compile_kernel(head_dim, capability, config, mask_keys=mask_keys)
            shape = {"capability": capability, "head_dim": head_dim, "num_tokens": num_tokens}
            rows.append({**shape, **asdict(config), **asdict(compiled)})
            print(_line(shape, config, compiled), flush=True)  # noqa: T201
    print(json.dumps({"triton": triton.__version__, "dtype": "bfloat16", "rows": rows}))  # noqa: T201


def _line(shape: dict[str, int], config: LaunchConfig, compiled: Compiled) -> str:
    loops = ", ".join(
        f"{'online' if loop.online else 'fixed'} {loop.instructions}" for loop in compiled.loops
    )
    return (
        f"{shape['capability']:10} {shape['head_dim']:8} {shape['num_tokens']:6} "
        f"{config.block_m:7} {config.block_n:7} {config.num_warps:5} | "
        f"{compiled.registers:9} {compiled.spill_bytes:5} {compiled.shared_bytes:6} "
        f"{compiled.programs_per_sm:8} | {loops}; {compiled.mmas}"
    )


if __name__ == "__main__":
    main()
