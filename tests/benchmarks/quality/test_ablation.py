"""benchmarks/quality/ablation.py on the tiny pipeline with random weights."""

from __future__ import annotations

import pytest

from benchmarks.quality import ablation
from benchmarks.quality.ablation import REAL_EXACT, main
from fairy.evaluation.results import Results, read_results
from fairy.media.write import write_video
from fairy.synthetic.free_looks import FREE_LOOKS
from tests.tiny import make_frames, save_tiny_pipeline

LOOKS = ("neon", "pop_art")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Results]:
    """Measure one clip of two kinds; return the results by part."""
    folder = tmp_path_factory.mktemp("ablation")
    model = save_tiny_pipeline(folder / "m", size=32, num_inference_steps=1, guidance_scale=1.0)
    (folder / "clips").mkdir()
    write_video(make_frames(8, 24, 32), folder / "clips" / "a.mp4", fps=10)
    words = ["--model", model, "--device", "cpu", "--clips", folder / "clips", "--size", 24]
    words += ["--frames", 4, "--limit", 1, "--out", folder / "out"]
    words += ["--parts", "real-open", "rendered-exact"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ablation, "FREE_LOOKS", {name: FREE_LOOKS[name] for name in LOOKS})
        main([str(word) for word in words])
    return {path.stem: read_results(path) for path in (folder / "out").glob("*.json")}


def test_only_the_parts_that_were_asked_for_are_measured(run):
    assert run.keys() == {"real-open", "rendered-exact"}
    assert {case.edit for case in run["rendered-exact"].cases} == {REAL_EXACT[0]}


def test_a_real_clip_is_edited_in_every_free_way_by_every_method(run):
    results = run["real-open"]
    assert results.methods == [
        "frame by frame, own noise", "frame by frame, shared noise", "3 anchors"
    ]  # fmt: skip
    assert {case.edit for case in results.cases} == set(LOOKS)
    assert len(results.cases) == len(LOOKS) * len(results.methods)


def test_free_edits_are_held_against_their_best_choice(run):
    for case in run["real-open"].cases:
        assert case.scores.values["hold_db"] <= case.scores.values["edit_db"] + 1e-3
    assert all("psnr_db" in case.scores.values for case in run["rendered-exact"].cases)
