"""The work of `fairy eval`: judge one edited clip and its source, or a suite of clips.

Tests: tests/cli/test_evaluate.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fairy.editors.loading import load_editor
from fairy.errors import SettingsError
from fairy.evaluation import tables
from fairy.evaluation.clips import folder_clips, plan_rendered
from fairy.evaluation.pair import load_pair
from fairy.evaluation.pictures import ClipView, view_clip
from fairy.evaluation.results import Case, Results
from fairy.evaluation.scores import measure
from fairy.evaluation.suite import Plan, Suite
from fairy.metrics.semantic import Encoder, load_clip
from fairy.models.registry import resolve_device
from fairy.settings import EditConfig


def evaluate_pair(
    edited: Path, source: Path, target: Path | None, *, encoder: Encoder | None, **how: Any
) -> tuple[Results, list[ClipView]]:
    """Judge one edited clip next to its unedited source; `how` are arguments of `load_pair`."""
    pair, notes = load_pair(edited, source, target, **how)
    scores = measure(pair, encoder)
    unedited = measure(replace(pair, edited=pair.source), encoder)
    cases = [
        Case(clip=source.name, instruction="", method=method, seed=0, scores=taken)
        for method, taken in ((tables.UNEDITED, unedited), (edited.name, scores))
    ]
    height, width = pair.source.shape[2:]
    settings = {
        "edited": edited.name, "source": source.name, "frames": len(pair.source),
        "compared at": f"{width}x{height}", "flow": pair.flow_method,
    }  # fmt: skip
    results = Results(
        title=f"{edited.name} and {source.name}", methods=[tables.UNEDITED, edited.name],
        reference=None, cases=cases, settings=settings, notes=list(notes),
    )  # fmt: skip
    return results, [view_clip(source.name, "", [(edited.name, pair, scores)], first_style=1)]


def plan_suite(
    suite: Suite,
    config: EditConfig,
    *,
    also: Sequence[str] = (),
    clips: Path | None = None,
    instructions: Path | None = None,
    encoder: Encoder | None = None,
) -> Plan:
    """Load the models and plan the clips.

    Args:
        suite: which clips are edited, and how they are judged.
        config: the model, how it is loaded, and the size.
        also: more models, each as "NAME=MODEL".
        clips: a folder of clips to use instead of rendered ones.
        instructions: a file with their instructions.
        encoder: CLIP, if it should be used.

    Raises:
        FairyError: a model or clip cannot be loaded, or the options contradict each other.
    """
    if (clips is None) != (instructions is None):
        raise SettingsError("--clips and --instructions need each other: give both")
    named = [_named(text) for text in also]
    editor = load_editor(config)
    # What is added to the model under test is made for it
    bare = replace(config, lora=(), control=())
    others = {name: load_editor(replace(bare, model=path)) for name, path in named}
    defaults = editor.defaults
    height, width = suite.size(editor, config.size)
    if clips is not None and instructions is not None:
        longer = config.size or defaults.size
        chosen = folder_clips(
            clips, instructions, num_frames=suite.num_frames, size=longer,
            multiple=editor.grid,
        )  # fmt: skip
        shape = f"longer side {longer}, at most {suite.num_frames} frames"
    else:
        chosen = plan_rendered(suite.num_open, suite.num_exact, suite.num_frames, (height, width))
        shape = f"{width}x{height}, {suite.num_frames} frames"
    settings = {
        "suite": suite.name, "model": config.model,
        **{f"also {name}": path for name, path in named},
        "clips": f"{len(chosen)}, {shape}",
        "clips from": "rendered" if clips is None else clips.name,
        "steps": defaults.num_inference_steps,
        "guidance scales": f"{defaults.guidance_scale}, {defaults.image_guidance_scale}",
    }  # fmt: skip
    return Plan(
        editor=editor, name=Path(config.model).name, others=others, clips=chosen,
        baselines=suite.baselines,
        num_swept_clips=suite.num_swept_clips, sweeps=suite.sweeps,
        num_shown_clips=suite.num_shown_clips, num_tracked_clips=suite.num_tracked_clips,
        encoder=encoder, settings=settings,
    )  # fmt: skip


def suite_title(model: str, suite: Suite, clips: Path | None) -> str:
    """Return the title of a suite's results."""
    what = "rendered clips" if clips is None else clips.name
    return f"{Path(model).name or model}: {suite.name} suite, {what}"


def _named(text: str) -> tuple[str, str]:
    """Return (name, model) of "name=model"."""
    name, equals, model = text.partition("=")
    if not (name and equals and model):
        raise SettingsError(f"--also {text}: use NAME=MODEL, as in equivariant=out/model")
    return name, model


def load_encoder(name: str | None, device: str) -> Encoder | None:
    """Load the CLIP model `name`, a folder or a hub id; None if `name` is None."""
    return None if name is None else load_clip(name, device=resolve_device(device))
