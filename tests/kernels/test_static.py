"""The kernel compiled for absent cards: every row of the table, and how it is read.

Compiled in a separate process, because Triton interprets in this one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

from fairy_kernels import static
from fairy_kernels.launch_config import SHARED_BYTES
from fairy_kernels.static import GENERATIONS, TOOLS, key_loops, parse_sass, programs_per_sm

KERNELS = Path(__file__).parents[2] / "kernels"
# What multiplies matrices: mma.sync, wgmma, tcgen05
MMA = {80: "HMMA", 90: "HGMMA", 100: "UTCHMMA"}
needs_tools = pytest.mark.skipif(
    not (TOOLS / "cuobjdump").exists(), reason="this Triton comes without NVIDIA's tools"
)


# `make test` compiles one head dimension for one generation, `make test-full` all for all
COMPILED = [
    pytest.param((90, 40), id="90-40"),
    *(pytest.param((one, None), id=str(one), marks=pytest.mark.slow) for one in GENERATIONS),
]


@pytest.fixture(scope="module", params=COMPILED)
def compiled(request):
    """Figures of what is launched on a generation of cards, by (head dim, tokens)."""
    capability, head_dim = request.param
    command = [sys.executable, "-m", "fairy_kernels.static", "--capability", str(capability)]
    command += [] if head_dim is None else ["--head-dim", str(head_dim)]
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    done = subprocess.run(command, cwd=KERNELS, env=environment, stdout=subprocess.PIPE, check=True)
    rows = json.loads(done.stdout.splitlines()[-1])["rows"]
    assert {row["capability"] for row in rows} == {capability}
    return {(row["head_dim"], row["num_tokens"]): row for row in rows}


@needs_tools
@pytest.mark.timeout(900)  # this one waits for the compiler
def test_every_tuned_shape_compiles(compiled, request):
    _, head_dim = request.node.callspec.params["compiled"]
    assert set(compiled) == {shape for shape in static.SHAPES if head_dim in (None, shape[0])}


@needs_tools
def test_nothing_is_spilled(compiled):
    assert {row["spill_bytes"] for row in compiled.values()} == {0}


@needs_tools
def test_shared_memory_is_within_the_cards_limit(compiled):
    for row in compiled.values():
        assert 0 < row["shared_bytes"] <= SHARED_BYTES[row["capability"]]


@needs_tools
def test_matrices_are_multiplied_by_the_generations_instruction(compiled):
    for row in compiled.values():
        assert set(row["mmas"]) == {MMA[row["capability"]]}


@needs_tools
def test_a_fixed_shift_takes_fewer_instructions_a_score(compiled):
    for row in compiled.values():
        loops = {loop["online"]: loop["instructions"] for loop in row["loops"]}
        assert loops[False] < loops[True]


@needs_tools
def test_matrix_instructions_are_not_waited_for_one_by_one(compiled):
    # On the 90s, ptxas does so when it must keep the accumulator of each apart
    rows = [row for row in compiled.values() if row["capability"] == 90]
    assert all(loop["waits"] <= 2 for row in rows for loop in row["loops"])


SASS = """
.L_x_1:
        /*0010*/                   MUFU.EX2 R1, R2 ;
        /*0020*/              @!P0 MUFU.EX2 R3, R4 ;
        /*0030*/                   FMNMX R1, R2, R3, !PT ;
        /*0040*/                   HGMMA.64x64x16.F32.BF16 R24, gdesc[UR4], R24 ;
        /*0050*/                   WARPGROUP.DEPBAR.LE gsb0, 0x0 ;
        /*0060*/              @!P1 BRA `(.L_x_1) ;
        /*0070*/                   EXIT ;
"""


def test_sass_is_read_without_predicates():
    code, labels = parse_sass(SASS)
    assert len(code) == 7
    assert code[1] == "MUFU.EX2 R3, R4"
    assert labels == {".L_x_1": 0}


def test_loop_over_keys_is_found():
    (loop,) = key_loops(*parse_sass(SASS), scores=2)
    assert (loop.online, loop.instructions, loop.exps, loop.waits) == (True, 3.0, 1.0, 1)


def test_loop_with_other_exponentials_is_no_loop_over_keys():
    assert key_loops(*parse_sass(SASS), scores=20) == []


def test_registers_or_shared_memory_limit_the_resident_programs():
    assert programs_per_sm(164, 61440, num_warps=8, capability=90) == 1
    assert programs_per_sm(120, 30720, num_warps=4, capability=90) == 4
    assert programs_per_sm(64, 100_000, num_warps=4, capability=90) == 2
