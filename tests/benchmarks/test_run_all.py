"""benchmarks/run_all.py: the GPU's path on a CPU, and what a spent budget does."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from benchmarks import run_all
from benchmarks.run_all import DRY, Scale, Step, cpu_plan, gpu_plan, main, run_steps

HERE = Path(run_all.__file__).parent


@pytest.fixture
def in_this_process(monkeypatch) -> list[str]:
    """Call a step's `main` here instead of in its own process, which is slow to start."""
    called: list[str] = []

    def call(command: list[object], limit_s: float | None = None) -> int:
        _, script, *words = map(str, command)
        name = Path(script).relative_to(HERE).as_posix()
        called.append(name)
        module = name.removesuffix(".py").replace("/", ".")
        importlib.import_module(f"benchmarks.{module}").main(words)
        return 0

    monkeypatch.setattr(run_all, "call", call)
    return called


@pytest.mark.slow
def test_dry_run_goes_the_gpu_s_path_to_tables_and_a_plot(in_this_process, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["gpu", "--dry-run", "--out", str(tmp_path)])
    assert ended.value.code == 0
    assert in_this_process == [step.script for step in gpu_plan(DRY)] + ["report.py"]
    lines = (tmp_path / "dry-run" / "rows.jsonl").read_text().splitlines()
    assert {json.loads(line)["benchmark"] for line in lines} == {"edit", "baselines"}
    assert (tmp_path / "dry-run" / "speed.png").exists()
    assert "| ours (3 anchors)" in capsys.readouterr().out


def test_dry_run_differs_from_the_real_one_in_scale_alone():
    def options(scale: Scale) -> list[tuple[str, list[str]]]:
        steps = [s for s in gpu_plan(scale) if "compile" not in s.options]
        return [(s.script, [w for w in s.options.split() if w.startswith("--")]) for s in steps]

    real = Scale(device=DRY.device, modes=DRY.modes)
    assert options(real) == options(DRY)


@pytest.mark.parametrize("plan", [cpu_plan(), gpu_plan(Scale())])
def test_plans_name_scripts_that_are_there(plan):
    assert all((HERE / step.script).exists() for step in plan)


def test_spent_budget_leaves_steps_out_and_says_so(tmp_path, capsys):
    assert run_steps([Step("speed/bench_edit.py", "")], tmp_path, budget_s=0) == 1
    assert "not reached" in capsys.readouterr().out


def test_step_that_takes_too_long_is_stopped(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_all, "HERE", tmp_path)
    (tmp_path / "slow.py").write_text("import time; time.sleep(60)")
    assert run_steps([Step("slow.py", "")], tmp_path, budget_s=0.5) == 1
    assert "stopped" in capsys.readouterr().out


def test_step_that_fails_does_not_stop_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(run_all, "HERE", tmp_path)
    (tmp_path / "bad.py").write_text("raise SystemExit(3)")
    (tmp_path / "good.py").write_text("import sys; open(sys.argv[-1], 'w').write('done')")
    assert run_steps([Step("bad.py", ""), Step("good.py", "")], tmp_path, 60) == 1
    assert (tmp_path / "rows.jsonl").read_text() == "done"
