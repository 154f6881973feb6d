"""benchmarks/evidence.py: what is done is not done again, and quick runs leave the documents."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

import pytest

from benchmarks import evidence
from benchmarks.evidence import PAGES, SCALES, Step, main, parser, run_step, steps, weights_hash
from benchmarks.lib.record import ROOT
from tests.tiny import save_tiny_pipeline


def counting(tmp_path: Path, code: int = 0) -> Step:
    """A step that adds a line to a file."""
    script = tmp_path / "step.py"
    script.write_text(f"open({str(tmp_path / 'log')!r}, 'a').write('x'); raise SystemExit({code})")
    return Step("count", (str(script),))


def times_run(tmp_path: Path) -> int:
    return len((tmp_path / "log").read_text())


def test_a_step_that_is_done_is_not_run_again(tmp_path):
    step = counting(tmp_path)
    assert run_step(step, tmp_path, "weights") and run_step(step, tmp_path, "weights")
    assert times_run(tmp_path) == 1


def test_new_weights_options_or_a_wish_run_it_again(tmp_path):
    step = counting(tmp_path)
    run_step(step, tmp_path, "weights")
    run_step(step, tmp_path, "other weights")
    run_step(Step("count", (*step.words, "--more")), tmp_path, "other weights")
    run_step(Step("count", (*step.words, "--more")), tmp_path, "other weights", again=True)
    assert times_run(tmp_path) == 4


def test_stamp_has_commit_machine_and_time(tmp_path):
    run_step(counting(tmp_path), tmp_path, "weights")
    stamp = json.loads((tmp_path / "count.json").read_text())
    assert {"commit", "processor", "seconds", "weights", "words", "torch"} <= stamp.keys()


def test_a_failed_step_has_no_stamp_and_is_run_again(tmp_path):
    run_step(counting(tmp_path), tmp_path, "weights")
    failing = counting(tmp_path, code=3)
    assert not run_step(failing, tmp_path, "weights", again=True)
    assert not (tmp_path / "count.json").exists()
    assert not run_step(failing, tmp_path, "weights")
    assert times_run(tmp_path) == 3


def options(*words: str) -> argparse.Namespace:
    return parser().parse_args(words)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("clips", [(), ("--clips", "clips", "--photos", "photos")])
def test_every_step_s_words_are_understood(scale, clips, tmp_path):
    args = options(scale, *clips, "--also", "tuned=model")
    for step in steps(args, SCALES[scale], tmp_path, tmp_path):
        script, *words = step.words
        if script == "-m":
            continue
        module = ".".join(Path(script).relative_to(ROOT).with_suffix("").parts)
        importlib.import_module(module).parser().parse_args(words)


def test_real_clips_are_never_required(tmp_path):
    def names(*words: str) -> set[str]:
        return {s.name for s in steps(options(*words), SCALES["quick"], tmp_path, tmp_path)}

    added = names("quick", "--clips", "clips") - names("quick")
    assert added == {"ablation-real-open", "ablation-real-exact"}


def test_a_quick_run_writes_copies_of_the_pages(tmp_path, monkeypatch):
    monkeypatch.setattr(evidence, "run_step", lambda *given, **how: True)
    before = [(ROOT / name).read_bytes() for name in PAGES]
    with pytest.raises(SystemExit) as ended:
        main(["quick", "--out", str(tmp_path)])
    assert ended.value.code == 0
    assert [(ROOT / name).read_bytes() for name in PAGES] == before
    assert all((tmp_path / "pages" / name).exists() for name in PAGES)


def test_the_hash_of_weights_ignores_the_card(tmp_path):
    model = save_tiny_pipeline(tmp_path / "model", size=32)
    before = weights_hash(str(model))
    (model / "README.md").write_text("a new card")
    assert weights_hash(str(model)) == before
    (model / "fairy.json").write_text('{"size": 64}')
    assert weights_hash(str(model)) != before
