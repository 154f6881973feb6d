"""fairy/evaluation/suite.py, on the tiny pipeline with random weights."""

from __future__ import annotations

import pytest

from fairy import FairyPipeline
from fairy.evaluation.clips import plan_rendered
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
        editor=pipe, name="tiny", clips=plan_rendered(2, 1, NUM_FRAMES, SIZE),
        others={"other": pipe}, num_swept_clips=2, num_shown_clips=2, num_tracked_clips=1,
        sweeps={"num_anchors": (1, 3), "num_inference_steps": (1, 2)},
        settings={"model": "tiny"},
    )  # fmt: skip
    told = []
    results, views = run_suite(plan, "tiny", lambda done, total: told.append((done, total)))
    return results, views, told


def test_every_clip_is_edited_in_every_way(ran):
    results, _, _ = ran
    assert results.methods == [
        "frame by frame, own noise", "frame by frame, shared noise", "first-frame attention",
        "3 anchors", "3 anchors, other",
    ]  # fmt: skip
    assert len(results.cases) == NUM_CLIPS * len(results.methods)
    assert results.reference == "3 anchors"


def test_the_same_model_under_another_name_scores_the_same(ran):
    results, _, _ = ran
    own, other = (results.of(name) for name in ("3 anchors", "3 anchors, other"))
    for a, b in zip(own, other, strict=True):
        assert a.scores.values == pytest.approx(b.scores.values, abs=1e-5)


def test_the_default_is_among_the_swept_values_without_being_edited_again(ran):
    results, _, _ = ran
    for setting, default in (("num_anchors", "3"), ("num_inference_steps", "2")):
        swept = results.sweeps[setting]
        assert {case.method for case in swept} == {"1", default}
        assert len(swept) == 4
        kept = next(case for case in swept if case.method == default)
        assert kept.scores == results.of("3 anchors")[0].scores


def test_every_model_itself_is_measured_on_the_first_clips(ran):
    results, _, _ = ran
    assert [case.method for case in results.properties] == ["tiny", "other"] * 2
    own, other = (results.property_of(name, "equivariance_error") for name in ("tiny", "other"))
    assert own.mean == pytest.approx(other.mean, abs=1e-6)


def test_the_first_clips_are_shown_with_their_target_where_it_is_known(ran):
    _, views, _ = ran
    assert [len(view.versions) for view in views] == [6, 7]


def test_progress_counts_clips(ran):
    _, _, told = ran
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_attention_of_every_model_is_tracked(ran):
    results, _, _ = ran
    assert list(results.tracking) == ["tiny", "other"]
    own, other = results.tracking.values()
    assert own.num_points == other.num_points > 0


def test_suites_hold_enough_clips_for_a_test_to_tell():
    for suite in SUITES.values():
        num_clips = suite.num_open + suite.num_exact
        assert 2 / 2**num_clips * 100 < 0.05
        assert suite.num_swept_clips <= num_clips
