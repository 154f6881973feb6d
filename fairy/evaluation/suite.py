"""A fixed set of clips, edited in several ways from the same seeds and measured.

Tests: tests/evaluation/test_suite.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fairy.editing.anchors import select_anchor_indices
from fairy.editing.pipeline import FairyPipeline
from fairy.evaluation.clips import SuiteClip
from fairy.evaluation.measures import Scores, measure
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
from fairy.media.frames import fit_size
from fairy.metrics.semantic import Encoder

NUM_ANCHORS = 3
# Shape of rendered clips, (height, width)
ASPECT = (2, 3)
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Suite:
    """What is edited.

    Attributes:
        name: as on the command line.
        num_clips: rendered clips.
        num_frames: of each clip.
        size_share: longer side, as a share of the size at which the model works best.
        num_swept_clips: the first clips, on which settings are varied.
        sweeps: settings of `FairyPipeline` and their values.
        open_only: whether every instruction leaves a choice open; else every second one does.
    """

    name: str
    num_clips: int
    num_frames: int
    size_share: float
    num_swept_clips: int = 0
    sweeps: dict[str, tuple[int, ...]] = field(default_factory=dict)
    open_only: bool = False

    def size(self, pipe: FairyPipeline, longer: int | None = None) -> tuple[int, int]:
        """Return the (height, width) of rendered clips for a model; `longer` side if asked."""
        longer = longer or round(pipe.defaults.size * self.size_share)
        return fit_size(*ASPECT, size=longer, multiple=pipe.vae_scale_factor)


SUITES = {
    # Twelve clips: with fewer, no paired test survives the correction for all that are made
    "quick": Suite(
        name="quick", num_clips=12, num_frames=8, size_share=0.6, num_swept_clips=2,
        sweeps={"num_anchors": (1, 3, 5), "num_inference_steps": (1, 2, 4)},
    ),
    "open": Suite(name="open", num_clips=20, num_frames=12, size_share=0.6, open_only=True),
    "full": Suite(
        name="full", num_clips=24, num_frames=24, size_share=1.0, num_swept_clips=8,
        sweeps={"num_anchors": (1, 2, 3, 5, 7, 9), "num_inference_steps": (1, 2, 4, 6, 10, 20)},
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that a run needs.

    Attributes:
        pipe: the model under test.
        name: of the model.
        clips: to edit.
        num_clips: how many those are.
        others: further models, edited with anchors as one more method each, by name.
        num_swept_clips: first clips on which settings are varied.
        sweeps: settings and their values.
        encoder: CLIP or its like; without it what needs it is not measured.
        settings: said in the results.
    """

    pipe: FairyPipeline
    name: str
    clips: Iterable[SuiteClip]
    num_clips: int
    others: dict[str, FairyPipeline] = field(default_factory=dict)
    num_swept_clips: int = 0
    sweeps: dict[str, tuple[int, ...]] = field(default_factory=dict)
    encoder: Encoder | None = None
    settings: dict[str, Any] = field(default_factory=dict)


def run_suite(
    plan: Plan, title: str, progress: Progress | None = None
) -> tuple[Results, list[ClipView]]:
    """Edit every clip in every way, measure, and vary settings on the first clips.

    Args:
        plan: what to do.
        title: of the results.
        progress: told (edits done, edits in all).
    """
    methods = suite_methods(plan)
    swept = {name: _swept_methods(plan, name) for name in plan.sweeps}
    counter = _Counter(progress, plan, len(methods), sum(map(len, swept.values())))
    cases, properties, views = list[Case](), list[Case](), list[ClipView]()
    sweeps: dict[str, list[Case]] = {name: [] for name in swept}
    for seed, clip in enumerate(plan.clips):
        made = [_judge(clip, method, seed, plan.encoder, counter) for method in methods]
        cases += [case for _, case in made]
        edits = [(case.method, pair, case.scores) for pair, case in made]
        views.append(view_clip(clip.name, clip.instruction, edits))
        if seed < plan.num_swept_clips:
            for name, ways in swept.items():
                sweeps[name] += [_judge(clip, w, seed, plan.encoder, counter)[1] for w in ways]
            properties += _properties(plan, clip, seed)
    reference = next(m.name for m in methods if m.num_anchors == NUM_ANCHORS)
    names = [method.name for method in methods]
    _add_default(sweeps, plan, [case for case in cases if case.method == reference])
    results = Results(
        title=title, methods=names, reference=reference, cases=cases, sweeps=sweeps,
        properties=properties, settings=plan.settings,
    )  # fmt: skip
    return results, views


def suite_methods(plan: Plan) -> list[Method]:
    """Return the columns: from every frame alone to anchors, then other models' anchors."""
    return [
        frame_by_frame(plan.pipe, own_noise=True),
        frame_by_frame(plan.pipe, own_noise=False),
        first_frame_attention(plan.pipe),
        with_anchors(plan.pipe, NUM_ANCHORS),
        *(
            with_anchors(other, NUM_ANCHORS, name=f"{NUM_ANCHORS} anchors, {name}")
            for name, other in plan.others.items()
        ),
    ]


def _properties(plan: Plan, clip: SuiteClip, seed: int) -> list[Case]:
    """Measure each model itself on a clip."""
    models = {plan.name: plan.pipe, **plan.others}
    return [
        Case(
            clip=clip.name, instruction=clip.instruction, method=name, seed=seed,
            scores=Scores(measure_properties(pipe, clip, NUM_ANCHORS, seed), {}),
        )
        for name, pipe in models.items()
    ]  # fmt: skip


def _swept_methods(plan: Plan, setting: str) -> list[Method]:
    """Return a method for each value of a setting but the default, which is measured anyway."""
    values = [v for v in plan.sweeps[setting] if v != _default(plan, setting)]
    settings = [{"num_anchors": NUM_ANCHORS, setting: value} for value in values]
    return [
        with_anchors(plan.pipe, name=str(value), **given)
        for value, given in zip(values, settings, strict=True)
    ]


def _default(plan: Plan, setting: str) -> int:
    return NUM_ANCHORS if setting == "num_anchors" else plan.pipe.defaults.num_inference_steps


def _add_default(sweeps: dict[str, list[Case]], plan: Plan, reference: Sequence[Case]) -> None:
    """Put the reference's cases among each setting's, under the setting's default."""
    for setting, cases in sweeps.items():
        name = str(_default(plan, setting))
        cases += [replace(case, method=name) for case in reference[: plan.num_swept_clips]]


def _judge(
    clip: SuiteClip, method: Method, seed: int, encoder: Encoder | None, counter: _Counter
) -> tuple[Pair, Case]:
    """Edit a clip in one way and measure it."""
    start_s = time.perf_counter()
    edited = method.edit(clip.frames, clip.instruction, seed).clamp(0, 1)
    seconds = time.perf_counter() - start_s
    pair = Pair(
        source=clip.frames, edited=edited, target=clip.target, flow=clip.flow,
        visible=clip.visible, flow_method=clip.flow_method, fps=clip.fps, captions=clip.captions,
        look_indices=tuple(select_anchor_indices(len(edited), min(NUM_ANCHORS, len(edited)))),
    )  # fmt: skip
    case = Case(
        clip=clip.name, instruction=clip.instruction, method=method.name, seed=seed,
        scores=measure(pair, encoder), seconds=round(seconds, 3),
    )  # fmt: skip
    counter.step()
    return pair, case


class _Counter:
    """Counts edits for a progress bar."""

    def __init__(
        self, progress: Progress | None, plan: Plan, num_methods: int, num_swept: int
    ) -> None:
        swept_clips = min(plan.num_swept_clips, plan.num_clips)
        self.total = plan.num_clips * num_methods + swept_clips * num_swept
        self.done, self.progress = 0, progress

    def step(self) -> None:
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.total)
