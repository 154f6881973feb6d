"""fairy/evaluation/suite.py, on the tiny pipeline with random weights."""

from __future__ import annotations

import pytest

from fairy import FairyPipeline
from fairy.evaluation.clips import rendered_clips
from fairy.evaluation.pictures import ClipView
from fairy.evaluation.results import Results
from fairy.evaluation.suite import SUITES, Plan, run_suite
from tests.tiny import make_tiny_pipeline

NUM_CLIPS, NUM_FRAMES, SIZE = 3, 4, (16, 24)


@pytest.fixture(scope="module")
def ran() -> tuple[Results, list[ClipView], list[tuple[int, int]]]:
    pipe = FairyPipeline.from_pipe(make_tiny_pipeline())
    pipe.defaults = type(pipe.defaults)(num_inference_steps=2, guidance_scale=1, size=32)
    plan = Plan(
        pipe=pipe, name="tiny", clips=rendered_clips(NUM_CLIPS, NUM_FRAMES, SIZE),
        num_clips=NUM_CLIPS, others={"other": pipe}, num_swept_clips=2,
        sweeps={"num_anchors": (1, 3), "num_inference_steps": (1, 2)},
        settings={"model": "tiny"},
    )  # fmt: skip
    told = []
    results, views = run_suite(plan, "tiny", lambda done, total: told.append((done, total)))
    return results, views, told


def test_every_clip_is_edited_in_every_way(ran):
    results, views, _ = ran
    assert results.methods == [
        "frame by frame, own noise", "frame by frame, shared noise", "first-frame attention",
        "3 anchors", "3 anchors, other",
    ]  # fmt: skip
    assert len(results.cases) == NUM_CLIPS * len(results.methods)
    assert len(views) == NUM_CLIPS
    assert results.reference == "3 anchors"


def test_the_same_model_under_another_name_scores_the_same(ran):
    results, _, _ = ran
    own, other = (results.of(name) for name in ("3 anchors", "3 anchors, other"))
    for a, b in zip(own, other, strict=True):
        assert a.scores.values == pytest.approx(b.scores.values, abs=1e-5)


def test_the_default_is_among_the_swept_values_without_being_edited_again(ran):
    results, _, told = ran
    for setting, default in (("num_anchors", "3"), ("num_inference_steps", "2")):
        swept = results.sweeps[setting]
        assert {case.method for case in swept} == {"1", default}
        assert len(swept) == 4
        kept = next(case for case in swept if case.method == default)
        assert kept.scores == results.of("3 anchors")[0].scores
    assert told[-1] == (NUM_CLIPS * 5 + 2 * 2, NUM_CLIPS * 5 + 2 * 2)


def test_every_model_itself_is_measured_on_the_first_clips(ran):
    results, _, _ = ran
    assert [case.method for case in results.properties] == ["tiny", "other"] * 2
    own, other = (results.property_of(name, "equivariance_error") for name in ("tiny", "other"))
    assert own.mean == pytest.approx(other.mean, abs=1e-6)


def test_clips_are_shown_with_their_target_where_it_is_known(ran):
    _, views, _ = ran
    assert [len(view.versions) for view in views] == [6, 7, 6]


def test_suites_hold_enough_clips_for_a_test_to_tell():
    for suite in SUITES.values():
        assert 2 / 2**suite.num_clips * 100 < 0.05
        assert suite.num_swept_clips <= suite.num_clips
