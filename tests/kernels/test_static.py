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
SHAPES = [(capability, *shape) for capability in GENERATIONS for shape in static.SHAPES]
# What multiplies matrices: mma.sync, wgmma, tcgen05
MMA = {80: "HMMA", 90: "HGMMA", 100: "UTCHMMA"}
needs_tools = pytest.mark.skipif(
    not (TOOLS / "cuobjdump").exists(), reason="this Triton comes without NVIDIA's tools"
)


@pytest.fixture(scope="module")
def compiled():
    """Figures of what is launched at every tuned shape, by (capability, head dim, tokens)."""
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    command = [sys.executable, "-m", "fairy_kernels.static", "--capability"]
    # Beside one another: six shapes take some 25 s of a core
    runs = [
        subprocess.Popen(
            [*command, str(capability)], cwd=KERNELS, env=environment, stdout=subprocess.PIPE
        )
        for capability in MMA
    ]
    documents = [json.loads(run.communicate()[0].splitlines()[-1]) for run in runs]
    rows = [row for document in documents for row in document["rows"]]
    return {(row["capability"], row["head_dim"], row["num_tokens"]): row for row in rows}


@needs_tools
@pytest.mark.timeout(900)  # this one waits for the compiler
def test_every_tuned_shape_compiles(compiled):
    assert set(compiled) == set(SHAPES)


@needs_tools
@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_spilled(compiled, shape):
    assert compiled[shape]["spill_bytes"] == 0


@needs_tools
@pytest.mark.parametrize("shape", SHAPES)
def test_shared_memory_is_within_the_cards_limit(compiled, shape):
    assert 0 < compiled[shape]["shared_bytes"] <= SHARED_BYTES[shape[0]]


@needs_tools
@pytest.mark.parametrize("shape", SHAPES)
def test_matrices_are_multiplied_by_the_generations_instruction(compiled, shape):
    assert set(compiled[shape]["mmas"]) == {MMA[shape[0]]}


@needs_tools
@pytest.mark.parametrize("shape", SHAPES)
def test_a_fixed_shift_takes_fewer_instructions_a_score(compiled, shape):
    loops = {loop["online"]: loop["instructions"] for loop in compiled[shape]["loops"]}
    assert loops[False] < loops[True]


@needs_tools
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape[0] == 90])
def test_matrix_instructions_are_not_waited_for_one_by_one(compiled, shape):
    # ptxas does so when it must keep the accumulator of each apart
    assert all(loop["waits"] <= 2 for loop in compiled[shape]["loops"])


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
