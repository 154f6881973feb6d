"""fairy/system.py describes this process and this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

import fairy
from fairy import system
from fairy.system import commit, has_fast_bf16, parse_json, peak_memory_bytes, processor


def test_peak_memory_is_in_bytes_and_includes_an_allocation():
    held = np.ones(300_000_000, dtype=np.uint8)
    assert held.nbytes < peak_memory_bytes() < 1e12


def test_processor_has_a_name_and_a_count(tmp_path, monkeypatch):
    info = tmp_path / "cpuinfo"
    info.write_text("model name\t: Some CPU\nflags\t: a b\nmodel name\t: Some CPU\n")
    monkeypatch.setattr(system, "CPU_INFO", info)
    assert processor() == "Some CPU x 2"


@pytest.mark.parametrize(
    ("flags", "fast"), [("fpu amx_bf16 amx_int8", True), ("avx512_bf16", True), ("avx512f", False)]
)
def test_fast_bf16_is_read_from_the_processors_flags(tmp_path, flags, fast):
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor : 0\nflags : {flags}\n")
    assert has_fast_bf16(info) == fast
    assert not has_fast_bf16(tmp_path / "nothing")


def test_commit_can_be_named_where_there_is_no_git(monkeypatch):
    monkeypatch.setenv("FAIRY_COMMIT", "abc1234")
    assert commit() == "abc1234"


def test_commit_is_that_of_the_checkout(monkeypatch):
    monkeypatch.delenv("FAIRY_COMMIT", raising=False)
    root = Path(fairy.__file__).parents[1]
    if not (root / ".git").exists():
        pytest.skip("not a checkout")
    head = subprocess.run(
        ["git", "rev-parse", "--short=7", "HEAD"], cwd=root, capture_output=True, text=True
    ).stdout.strip()
    assert commit().removesuffix("-dirty").startswith(head)


def test_code_outside_a_checkout_has_no_commit(tmp_path, monkeypatch):
    monkeypatch.delenv("FAIRY_COMMIT", raising=False)
    monkeypatch.setattr(fairy, "__file__", str(tmp_path / "fairy" / "__init__.py"))
    assert commit() is None


def test_json_that_is_nested_too_deeply_is_no_json():
    with pytest.raises(ValueError, match="recursion"):
        parse_json("[" * 100_000)
