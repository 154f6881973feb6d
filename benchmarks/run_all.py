"""Run the benchmarks of an edit's speed with one command, and write the results to files.

    make bench                two CPU cores, `mini`, some minutes
    make bench-gpu            a CUDA device, Stable Diffusion 1.5's shape, under ten minutes
    python benchmarks/run_all.py gpu --dry-run     the same path on a CPU, with tiny models

Each step is a script of these folders, run in its own process. It appends its rows to one file of
JSON lines as it measures them, so an interrupted run keeps them. The most important steps come
first; steps that do not fit into the time budget are skipped and listed. At the end,
benchmarks/report.py makes tables and a plot. Run the other scripts by hand.
Tests: tests/benchmarks/test_run_all.py.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEFAULT_OUT = Path("out/bench")
# A little under ten minutes, to leave time for starting and finishing
BARE_MACHINE_S = 570.0


@dataclass(frozen=True)
class Step:
    """A script, its options, and whether it has `--out` for its rows."""

    script: str
    options: str
    out: str = "rows.jsonl"


@dataclass(frozen=True)
class Scale:
    """Values that a dry run makes smaller; the defaults are those of a real run.

    Attributes:
        model: a model with random weights.
        device: where it runs.
        sizes: small and large, WIDTHxHEIGHT.
        frames: frames of the clip.
        lengths: more clip lengths, for scaling with length.
        steps: denoising steps.
        batches: frame batch sizes to try.
        modes: faster modes to try, each in its own process, because a machine may not have them.
        runs: runs of the first edit, and of each way to edit.
    """

    model: str = "sd15"
    device: str = "cuda --dtype bfloat16"
    sizes: tuple[str, str] = ("512x384", "512x512")
    frames: int = 120
    lengths: str = "480 1920"
    steps: int = 10
    batches: str = "4 8 16 32 64"
    modes: tuple[str, ...] = ("balanced fast", "compile", "compile+fp8")
    runs: int = 3


# A CPU has no float8, and compiling takes minutes
DRY = Scale("sd15-tiny", "cpu", ("64x48", "64x48"), 5, "7", 2, "2 4", ("fast",), 2)


def cpu_plan() -> list[Step]:
    """Return the steps of `make bench`: small pictures and few steps, because a CPU is slow."""
    return [
        Step("speed/bench_edit.py", "--sizes 64x48 --device cpu"),
        Step("speed/bench_baselines.py", "--size 64x48 --steps 2 --device cpu"),
        Step("memory/memory_by_length.py", "--size 64x48 --steps 1 --lengths 60 120 480"),
        Step(
            "speed/bench_edit.py",
            "--sizes 64x48 --device cpu --frames 27 --steps 2 --runs 1 "
            "--frame-batch-sizes 1 2 4 8 16",
        ),
    ]


def gpu_plan(scale: Scale) -> list[Step]:
    """Return the steps of `make bench-gpu`, the most important first."""
    model = f"--model {scale.model} --device {scale.device}"
    small, large = scale.sizes
    whole = f"{model} --frames {scale.frames} --steps {scale.steps}"
    few = max(1, scale.steps // 5)
    return [
        Step("speed/bench_edit.py", f"{whole} --sizes {small} --runs {scale.runs}"),
        *(Step("speed/bench_edit.py", f"{whole} --sizes {small} --modes {m}") for m in scale.modes),
        Step(
            "speed/bench_edit.py",
            f"{model} --frames {scale.frames} --steps {few} --sizes {small} "
            f"--frame-batch-sizes {scale.batches}",
        ),
        Step(
            "speed/bench_baselines.py",
            f"{model} --frames {max(5, scale.frames // 3)} --steps {scale.steps} --size {small} "
            f"--repeats {scale.runs} --budget-s 60",
        ),
        Step(
            "speed/bench_edit.py",
            f"{model} --frames {scale.frames} {scale.lengths} --steps {few} --sizes {small} "
            "--runs 1",
        ),
        Step("speed/bench_edit.py", f"{whole} --sizes {large}"),
        Step("speed/bench_anchor_attention.py", "--quick", out="anchor_attention.json"),
        Step("speed/bench_fusions.py", "", out="fusions.json"),
    ]


def main(words: list[str] | None = None) -> None:
    """Run a plan's steps within the budget, then the report; exit with 1 if a step failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plan", choices=("cpu", "gpu"))
    parser.add_argument("--dry-run", action="store_true", help="gpu: tiny models, on the CPU")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder of results")
    parser.add_argument("--budget-s", type=float, help="570 for a real gpu run, else none")
    args = parser.parse_args(words)
    steps = cpu_plan() if args.plan == "cpu" else gpu_plan(DRY if args.dry_run else Scale())
    bare = args.plan == "gpu" and not args.dry_run
    budget_s = args.budget_s or (BARE_MACHINE_S if bare else float("inf"))
    out = args.out / ("dry-run" if args.dry_run else args.plan)
    out.mkdir(parents=True, exist_ok=True)
    (out / "rows.jsonl").unlink(missing_ok=True)
    failed = run_steps(steps, out, budget_s)
    command = [HERE / "report.py", out / "rows.jsonl", "--plot", out / "speed.png"]
    failed += call([sys.executable, *command]) != 0
    sys.exit(1 if failed else 0)


def run_steps(steps: list[Step], out: Path, budget_s: float) -> int:
    """Run the steps one after the other; return how many failed or were skipped."""
    ends, failed = time.monotonic() + budget_s, 0
    for step in steps:
        left_s = ends - time.monotonic()
        command = [HERE / step.script, *step.options.split(), "--out", out / step.out]
        words = " ".join(map(str, command[1:]))
        if left_s <= 0:
            print(f"== {step.script} {words}: not reached, the budget of {budget_s:g} s is spent")
            failed += 1
            continue
        print(f"== {step.script} {words}", flush=True)
        began = time.monotonic()
        code = call([sys.executable, *command], left_s)
        print(f"== {time.monotonic() - began:.0f} s", "" if code == 0 else f"FAILED ({code})")
        failed += code != 0
    return failed


def call(command: list[object], limit_s: float | None = None) -> int | str:
    """Run a command; return its exit code, or why there is none."""
    limit_s = None if limit_s == float("inf") else limit_s
    try:
        return subprocess.run([str(word) for word in command], timeout=limit_s).returncode
    except subprocess.TimeoutExpired:
        return "stopped: the budget is spent; the rows before are kept"


if __name__ == "__main__":
    main()
