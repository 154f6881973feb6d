"""Edit a fixed set of clips with several methods from the same seeds, and measure them.

Tests: tests/evaluation/test_suite.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from fairy.analysis.track import tracked_clips
from fairy.analysis.tracking import TrackingAccuracy, tracking_accuracy
from fairy.anchors.selection import select_anchor_indices
from fairy.editors.loading import LoadedEditor
from fairy.evaluation.clips import MakeClip, SuiteClip
from fairy.evaluation.methods import (
    Method,
    first_frame_attention,
    frame_by_frame,
    with_anchors,
)
from fairy.evaluation.pair import Pair
from fairy.evaluation.pictures import ClipView, view_clip
from fairy.evaluation.properties import measure_properties
from fairy.evaluation.results import Case, Results
from fairy.evaluation.scores import Scores, measure
from fairy.evaluation.workers import working
from fairy.interrupt import Progress
from fairy.media.frames import fit_size
from fairy.metrics.semantic import Encoder

NUM_ANCHORS = 3
# Shape of rendered clips, (height, width)
ASPECT = (2, 3)
# Methods that anchors are compared with, by their name in suites
BASELINES: dict[str, Callable[[LoadedEditor], Method]] = {
    "own noise": partial(frame_by_frame, own_noise=True),
    "shared noise": partial(frame_by_frame, own_noise=False),
    "first frame": first_frame_attention,
}


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Which clips are edited, and how they are judged.

    Attributes:
        name: its name on the command line.
        num_open: rendered clips whose instruction leaves a choice open.
        num_exact: rendered clips whose instruction determines the result.
        num_frames: frames of each clip.
        size_share: longer side, as a share of the model's default size.
        baselines: methods that anchors are compared with, keys of `BASELINES`.
        num_swept_clips: on this many first clips, settings are varied and models measured.
        sweeps: settings of `EditConfig` and their values.
        num_shown_clips: the report shows this many first clips.
        num_tracked_clips: rendered clips with exact tracks, on which attention is measured.
    """

    name: str
    num_open: int
    num_exact: int
    num_frames: int
    size_share: float
    baselines: tuple[str, ...] = tuple(BASELINES)
    num_swept_clips: int = 0
    sweeps: dict[str, tuple[int, ...]] = field(default_factory=dict)
    num_shown_clips: int = 8
    num_tracked_clips: int = 0

    def size(self, editor: LoadedEditor, longer: int | None = None) -> tuple[int, int]:
        """Return the (height, width) of rendered clips for a model; `longer` overrides the side."""
        longer = longer or round(editor.defaults.size * self.size_share)
        return fit_size(*ASPECT, size=longer, multiple=editor.grid)


SUITES = {
    # Twelve clips: with fewer, no paired test stays significant after the correction
    "quick": Suite(
        name="quick", num_open=6, num_exact=6, num_frames=8, size_share=0.6, num_swept_clips=2,
        sweeps={"num_anchors": (1, 3, 5), "num_inference_steps": (1, 2, 4)}, num_tracked_clips=2,
    ),
    "open": Suite(name="open", num_open=20, num_exact=0, num_frames=12, size_share=0.6),
    # Figures 2, 19 and 20 of the paper
    "full": Suite(
        name="full", num_open=12, num_exact=12, num_frames=24, size_share=0.5, num_swept_clips=6,
        sweeps={"num_anchors": (1, 2, 3, 5, 7), "num_inference_steps": (1, 2, 4, 5, 10, 20)},
        num_shown_clips=6, num_tracked_clips=8,
    ),
    # The paper's ablation: frame by frame, anchors, and finetuned models by --also
    "ablation": Suite(
        name="ablation", num_open=100, num_exact=0, num_frames=8, size_share=0.5,
        baselines=("own noise", "shared noise"),
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that a run of a suite needs; fields that `Suite` has too mean the same.

    Attributes:
        editor: the model under test.
        name: the model's name.
        clips: functions that make each clip.
        others: other models by name; each is one more method with anchors.
        baselines: as in `Suite`.
        num_swept_clips: as in `Suite`.
        sweeps: as in `Suite`.
        num_shown_clips: as in `Suite`.
        num_tracked_clips: as in `Suite`.
        encoder: such as CLIP; without it, measures that need it are not taken.
        settings: settings to show in the results.
    """

    editor: LoadedEditor
    name: str
    clips: Sequence[MakeClip]
    others: dict[str, LoadedEditor] = field(default_factory=dict)
    baselines: tuple[str, ...] = tuple(BASELINES)
    num_swept_clips: int = 0
    sweeps: dict[str, tuple[int, ...]] = field(default_factory=dict)
    num_shown_clips: int = 8
    num_tracked_clips: int = 0
    encoder: Encoder | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def models(self) -> dict[str, LoadedEditor]:
        """The model under test and the others, by name."""
        return {self.name: self.editor, **self.others}


@dataclass(frozen=True)
class Judged:
    """The results of one clip.

    Attributes:
        cases: one per method, in their order.
        swept: by setting, one per value except the default.
        properties: one per model.
        view: for the report; None for clips that it does not show.
    """

    cases: list[Case]
    swept: dict[str, list[Case]]
    properties: list[Case]
    view: ClipView | None


def run_suite(
    plan: Plan, title: str, progress: Progress | None = None, *, workers: int = 1
) -> tuple[Results, list[ClipView]]:
    """Edit every clip with every method, measure, and vary settings on the first clips.

    Args:
        plan: what to do.
        title: title of the results.
        progress: called with the number of clips done and of all clips.
        workers: processes that share the clips; useful on a CPU.
    """
    judged: list[Judged] = []
    with working(replace(plan, clips=()), workers) as each:
        for one in each(judge_clip, enumerate(plan.clips)):
            judged.append(one)
            if progress is not None:
                progress(len(judged), len(plan.clips))
        names = list(plan.models) if plan.num_tracked_clips else []
        tracking = dict(zip(names, each(track_model, names), strict=True))
    cases = [case for one in judged for case in one.cases]
    methods = suite_methods(plan)
    reference = next(m.name for m in methods if m.num_anchors == NUM_ANCHORS)
    sweeps = {name: [c for one in judged for c in one.swept.get(name, [])] for name in plan.sweeps}
    _add_default(sweeps, plan, [case for case in cases if case.method == reference])
    results = Results(
        title=title, methods=[method.name for method in methods], reference=reference,
        cases=cases, sweeps=sweeps, properties=[c for one in judged for c in one.properties],
        tracking=tracking, settings=plan.settings,
    )  # fmt: skip
    return results, [one.view for one in judged if one.view is not None]


def judge_clip(plan: Plan, numbered: tuple[int, MakeClip]) -> Judged:
    """Edit and measure one clip as planned; its number is the seed."""
    seed, clip = numbered[0], numbered[1]()
    made = [judge_edit(clip, method, seed, plan.encoder) for method in suite_methods(plan)]
    view, swept, properties = None, dict[str, list[Case]](), list[Case]()
    if seed < plan.num_shown_clips:
        edits = [(case.method, pair, case.scores) for pair, case in made]
        view = view_clip(clip.name, clip.instruction, edits)
    if seed < plan.num_swept_clips:
        for name in plan.sweeps:
            ways = _swept_methods(plan, name)
            swept[name] = [judge_edit(clip, way, seed, plan.encoder)[1] for way in ways]
        properties = _properties(plan, clip, seed)
    return Judged([case for _, case in made], swept, properties, view)


def track_model(plan: Plan, name: str) -> TrackingAccuracy:
    """Measure how well one model's attention tracks, as `fairy track -o` does."""
    return tracking_accuracy(
        plan.models[name], tracked_clips(plan.num_tracked_clips), num_anchors=NUM_ANCHORS
    )


def suite_methods(plan: Plan) -> list[Method]:
    """Return the methods: single frames, then anchors, then other models with anchors."""
    return [
        *(BASELINES[name](plan.editor) for name in plan.baselines),
        with_anchors(plan.editor, NUM_ANCHORS),
        *(
            with_anchors(other, NUM_ANCHORS, name=f"{NUM_ANCHORS} anchors, {name}")
            for name, other in plan.others.items()
        ),
    ]


def _properties(plan: Plan, clip: SuiteClip, seed: int) -> list[Case]:
    """Measure each model itself on a clip."""
    return [
        Case(
            clip=clip.name, instruction=clip.instruction, method=name, seed=seed,
            scores=Scores(measure_properties(editor, clip, NUM_ANCHORS, seed), {}),
        )
        for name, editor in plan.models.items()
    ]  # fmt: skip


def _swept_methods(plan: Plan, setting: str) -> list[Method]:
    """Return a method for each value of a setting except the default, which all clips have."""
    values = [v for v in plan.sweeps[setting] if v != _default(plan, setting)]
    settings = [{"num_anchors": NUM_ANCHORS, setting: value} for value in values]
    return [
        with_anchors(plan.editor, name=str(value), **given)
        for value, given in zip(values, settings, strict=True)
    ]


def _default(plan: Plan, setting: str) -> int | None:
    """Return the value that all clips were edited with; None if the edits differ in it."""
    if setting == "num_anchors":
        return NUM_ANCHORS
    return None if plan.editor.defaults.edits else plan.editor.defaults.num_inference_steps


def _add_default(sweeps: dict[str, list[Case]], plan: Plan, reference: Sequence[Case]) -> None:
    """Add the reference's cases to each setting's, as its default value."""
    for setting, cases in sweeps.items():
        if (default := _default(plan, setting)) is not None:
            kept = reference[: plan.num_swept_clips]
            cases += [replace(case, method=str(default)) for case in kept]


def judge_edit(
    clip: SuiteClip, method: Method, seed: int, encoder: Encoder | None
) -> tuple[Pair, Case]:
    """Edit a clip with one method and measure it."""
    start_s = time.perf_counter()
    edited = method.edit(clip.frames, clip.instruction, seed).clamp(0, 1)
    seconds = time.perf_counter() - start_s
    pair = Pair(
        source=clip.frames, edited=edited, target=clip.target, flow=clip.flow,
        visible=clip.visible, flow_method=clip.flow_method, fps=clip.fps, captions=clip.captions,
        nearest=clip.nearest,
        look_indices=tuple(select_anchor_indices(len(edited), min(NUM_ANCHORS, len(edited)))),
    )  # fmt: skip
    case = Case(
        clip=clip.name, instruction=clip.instruction, method=method.name, seed=seed,
        scores=measure(pair, encoder), seconds=round(seconds, 3), edit=clip.edit,
    )  # fmt: skip
    return pair, case
