"""What `fairy eval` does: one clip of anyone's tool, a suite, or two evaluations compared.

Tests: tests/cli/test_evaluate.py.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from fairy.cli.console import logged_to, say
from fairy.cli.scores import edit_progress, show_comparison, show_results
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import SettingsError
from fairy.evaluation import tables
from fairy.evaluation.clips import folder_clips, plan_rendered
from fairy.evaluation.compare import compare
from fairy.evaluation.measures import measure
from fairy.evaluation.pair import DEFAULT_SIZE, Fit, PairBy, load_pair
from fairy.evaluation.pictures import ClipView, view_clip
from fairy.evaluation.report import check_report, report_paths, write_report
from fairy.evaluation.results import Case, Results, read_results
from fairy.evaluation.suite import SUITES, Plan, Suite, run_suite
from fairy.metrics.semantic import Encoder, load_clip

EXIT_REGRESSION = 1


def eval_command(
    edited: Annotated[
        Path | None, typer.Argument(metavar="EDITED", help="An edited clip, by any tool.")
    ] = None,
    source: Annotated[Path | None, typer.Option(help="The clip it was made from.")] = None,
    target: Annotated[Path | None, typer.Option(help="What it should be, where known.")] = None,
    captions: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="SOURCE TARGET", help="What the source shows, and what the edit should show."
        ),
    ] = None,
    pair_by: Annotated[
        PairBy, typer.Option(help="Which frames belong together, where files do not tell.")
    ] = "auto",
    fit: Annotated[
        Fit, typer.Option(help="What the editor did to a picture of another shape.")
    ] = "refuse",
    suite: Annotated[
        Literal["quick", "open", "full", "ablation"] | None,
        typer.Option(help="Edit and judge a fixed set of clips."),
    ] = None,
    clips: Annotated[Path | None, typer.Option(help="A folder of clips for the suite.")] = None,
    instructions: Annotated[
        Path | None, typer.Option(help="What to ask of them: one a line, or a CSV.")
    ] = None,
    model: Annotated[str, typer.Option(help="As for fairy edit.")] = "mini",
    also: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=MODEL", help="One more model, with anchors: its own column."),
    ] = None,
    clip_model: Annotated[
        str | None, typer.Option(help="CLIP for Tem-Con and Frame-Acc: a folder or a hub id.")
    ] = None,
    compare_files: Annotated[
        tuple[Path, Path] | None,
        typer.Option("--compare", metavar="BEFORE AFTER", help="Two JSON files of fairy eval."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The report, .html; JSON and CSV beside it.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Longer side at which clips are edited and compared.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that share a suite's clips, on a CPU.")
    ] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what exists.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what is done.")] = False,
) -> None:
    """Say how good an edit is: one clip (EDITED --source SOURCE), a --suite, or --compare two."""
    if compare_files is not None:
        raise typer.Exit(_compare(*compare_files))
    if (edited is None) == (suite is None and clips is None):
        raise SettingsError(
            "nothing to judge: give EDITED --source SOURCE, or --suite quick, or --compare A B"
            if edited is None
            else "an edited clip and a suite: give one of them"
        )
    with logged_to(Console(stderr=True), verbose=verbose):
        if edited is not None:
            report = out or Path(f"{edited.stem}-eval.html")
            check_report(report, overwrite=overwrite)
            if source is None:
                raise SettingsError(f"{edited}: --source is missing: the clip it was made from")
            results, views = evaluate_pair(
                edited, source, target, captions=captions, pair_by=pair_by, fit=fit,
                size=size or DEFAULT_SIZE, encoder=_encoder(clip_model, device),
            )  # fmt: skip
        else:
            chosen = SUITES[suite or "quick"]
            report = out or Path(f"eval-{chosen.name}.html")
            check_report(report, overwrite=overwrite)
            plan = make_plan(
                chosen, model=model, also=also or [], device=device, size=size,
                clips=clips, instructions=instructions, encoder=_encoder(clip_model, device),
            )  # fmt: skip
            with edit_progress(f"{chosen.name} suite") as progress:
                title = _title(model, chosen, clips)
                results, views = run_suite(plan, title, progress, workers=workers)
        write_report(report, results, views)
    show_results(Console(), results)
    say(Console(), f"wrote {', '.join(map(str, report_paths(report)))}")


def evaluate_pair(
    edited: Path, source: Path, target: Path | None, *, encoder: Encoder | None, **how: Any
) -> tuple[Results, list[ClipView]]:
    """Judge one edited clip, beside its source as it is; `how` are arguments of `load_pair`."""
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
        title=f"{edited.name} beside {source.name}", methods=[tables.UNEDITED, edited.name],
        reference=None, cases=cases, settings=settings, notes=list(notes),
    )  # fmt: skip
    return results, [view_clip(source.name, "", [(edited.name, pair, scores)], first_style=1)]


def make_plan(
    suite: Suite,
    *,
    model: str,
    also: list[str],
    device: str,
    size: int | None,
    clips: Path | None,
    instructions: Path | None,
    encoder: Encoder | None,
) -> Plan:
    """Load models and gather clips.

    Raises:
        FairyError: a model or clip that cannot be loaded, or options that do not go together.
    """
    if (clips is None) != (instructions is None):
        raise SettingsError("--clips and --instructions belong together: give both")
    named = [_named(text) for text in also]
    pipe = _load(model, device)
    others = {name: _load(path, device) for name, path in named}
    height, width = suite.size(pipe, size)
    if clips is not None and instructions is not None:
        longer = size or pipe.defaults.size
        chosen = folder_clips(
            clips, instructions, num_frames=suite.num_frames, size=longer,
            multiple=pipe.vae_scale_factor,
        )  # fmt: skip
        shape = f"longer side {longer}, at most {suite.num_frames} frames"
    else:
        chosen = plan_rendered(suite.num_open, suite.num_exact, suite.num_frames, (height, width))
        shape = f"{width}x{height}, {suite.num_frames} frames"
    settings = {
        "suite": suite.name, "model": model, **{f"also {name}": path for name, path in named},
        "clips": f"{len(chosen)}, {shape}",
        "clips from": "rendered" if clips is None else clips.name,
        "steps": pipe.defaults.num_inference_steps,
        "guidance scales": f"{pipe.defaults.guidance_scale}, {pipe.defaults.image_guidance_scale}",
    }  # fmt: skip
    return Plan(
        pipe=pipe, name=Path(model).name, others=others, clips=chosen, baselines=suite.baselines,
        num_swept_clips=suite.num_swept_clips, sweeps=suite.sweeps,
        num_shown_clips=suite.num_shown_clips, num_tracked_clips=suite.num_tracked_clips,
        encoder=encoder, settings=settings,
    )  # fmt: skip


def _compare(before: Path, after: Path) -> int:
    """Print the comparison; return the exit code."""
    comparison = compare(read_results(before), read_results(after))
    show_comparison(Console(), comparison)
    return EXIT_REGRESSION if comparison.regressions else 0


def _title(model: str, suite: Suite, clips: Path | None) -> str:
    what = "rendered clips" if clips is None else clips.name
    return f"{Path(model).name or model}: {suite.name} suite, {what}"


def _named(text: str) -> tuple[str, str]:
    """Return (name, model) of "name=model"."""
    name, equals, model = text.partition("=")
    if not (name and equals and model):
        raise SettingsError(f"--also {text}: say it as NAME=MODEL, as in equivariant=out/model")
    return name, model


def _load(model: str, device: str) -> FairyPipeline:
    return FairyPipeline.from_pretrained(model, device=device, dtype="auto")


def _encoder(name: str | None, device: str) -> Encoder | None:
    if name is None:
        return None
    from fairy.models.registry import resolve_device

    return load_clip(name, device=resolve_device(device))
