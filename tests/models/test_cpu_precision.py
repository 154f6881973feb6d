"""bfloat16 on a CPU only where the CPU has it and a check, made once, shows it to be faster."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fairy import system
from fairy.models import cpu_precision
from fairy.models.cpu_precision import fast_cpu_dtype
from fairy.models.registry import resolve_dtype

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def asked_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("FAIRY_CPU_DTYPE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    info = tmp_path / "cpuinfo"
    info.write_text("model name : Some CPU\nflags : avx2 avx512_bf16 sse\n")
    monkeypatch.setattr(system, "CPU_INFO", info)
    fast_cpu_dtype.cache_clear()
    yield
    fast_cpu_dtype.cache_clear()


@pytest.mark.parametrize(("speed_up", "dtype"), [(1.9, torch.bfloat16), (1.1, torch.float32)])
def test_the_faster_precision_is_taken(
    monkeypatch: pytest.MonkeyPatch, speed_up: float, dtype: torch.dtype
):
    monkeypatch.setattr(cpu_precision, "measure_speed_up", lambda: speed_up)
    assert resolve_dtype("auto", CPU) == dtype
    assert resolve_dtype("float32", CPU) == torch.float32


def test_the_check_is_made_once(monkeypatch: pytest.MonkeyPatch):
    checks = []
    monkeypatch.setattr(cpu_precision, "measure_speed_up", lambda: checks.append(1) or 2.0)
    for _ in range(2):
        assert fast_cpu_dtype() == torch.bfloat16
        # As a new process would
        fast_cpu_dtype.cache_clear()
    assert checks == [1]
    cpu_precision.cache_file().write_text("damaged")
    assert fast_cpu_dtype() == torch.bfloat16
    assert checks == [1, 1]


def test_a_cpu_without_it_is_not_checked(monkeypatch: pytest.MonkeyPatch):
    system.CPU_INFO.write_text("flags : avx2 sse\n")
    monkeypatch.setattr(cpu_precision, "measure_speed_up", lambda: 1 / 0)
    assert fast_cpu_dtype() == torch.float32


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_the_variable_decides(monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setenv("FAIRY_CPU_DTYPE", name)
    monkeypatch.setattr(cpu_precision, "measure_speed_up", lambda: 1 / 0)
    assert fast_cpu_dtype() == getattr(torch, name)


# Slow where the CPU has no bfloat16
@pytest.mark.slow
def test_the_check_gives_a_ratio():
    assert 0.001 < cpu_precision.measure_speed_up() < 1000
