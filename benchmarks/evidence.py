"""Measure everything that the documents claim about the bundled model, with one command.

    make evidence                                     under two hours on two cores
    make evidence EVIDENCE=quick                      a quarter of an hour, to check that it works
    python benchmarks/evidence.py --clips ../shared/clips --photos ../shared/photos
    python benchmarks/evidence.py --also equivariant=MODEL --again speed

Steps: looks, local edits, autoencoder and speed (eval_mini.py); the ablation, one step per kind of
clip; the full suite (report, numbers of anchors and of steps, tracking by layer); contact sheets.
Each runs in its own process. A finished step is skipped while the model's weights and the step's
options stay the same: its stamp in OUT/stamps records them, with commit, machine and time. At the
end the pages are written: docs/*.md, docs/report.html, docs/sheets.
Real clips and photographs are optional.
`quick` writes its pages to OUT/pages instead, because its numbers are too rough for the documents.
Tests: tests/benchmarks/test_evidence.py.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.lib.ablation_page import DOCUMENT, FINDINGS, PARTS
from benchmarks.lib.quality_page import METRICS, QUALITY, write_quality, write_suite
from benchmarks.lib.record import ROOT, machine
from fairy.models.sources import find_model

HERE = Path(__file__).resolve().parent
PAGES = (FINDINGS, DOCUMENT, QUALITY, METRICS)


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        images: pictures for the looks and the autoencoder.
        scenes: scenes for the local edits.
        sizes: sizes at which both are measured, in px.
        clips: clips of each kind in the ablation; all when None.
        frames: frames of each real clip.
        suite: the suite of `fairy eval`.
    """

    images: int
    scenes: int
    sizes: tuple[int, ...]
    clips: int | None
    frames: int
    suite: str


SCALES = {
    "full": Scale(images=128, scenes=200, sizes=(256, 384), clips=None, frames=16, suite="full"),
    "quick": Scale(images=16, scenes=12, sizes=(256,), clips=4, frames=8, suite="quick"),
}


@dataclass(frozen=True)
class Step:
    """A process: its name, and the words after `python`."""

    name: str
    words: tuple[str, ...]


def main(words: Sequence[str] | None = None) -> None:
    """Run the missing steps and write the pages; exit with 1 if a step failed."""
    args = parser().parse_args(words)
    out: Path = args.out or ROOT / "out" / "evidence" / args.scale
    (out / "stamps").mkdir(parents=True, exist_ok=True)
    pages = ROOT if args.scale == "full" else copied_pages(out / "pages")
    weights = weights_hash(args.model)
    failed = [
        step.name
        for step in steps(args, SCALES[args.scale], out, pages)
        if not run_step(step, out / "stamps", weights, again=step.name in args.again)
    ]
    write_pages(out, pages)
    print(f"pages: {pages}", f"failed: {', '.join(failed)}" if failed else "", flush=True)
    sys.exit(1 if failed else 0)


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("scale", nargs="?", choices=tuple(SCALES), default="full")
    made.add_argument("--model", default="mini")
    made.add_argument("--also", action="append", default=[], metavar="NAME=MODEL")
    made.add_argument("--clips", type=resolved, help="folder of real clips")
    made.add_argument("--photos", type=resolved, help="folder of photographs")
    made.add_argument("--workers", type=int, default=2, help="processes of a suite")
    made.add_argument("--again", nargs="+", default=[], metavar="STEP", help="steps to run again")
    made.add_argument("--out", type=resolved, help="out/evidence/SCALE when not given")
    return made


def resolved(text: str) -> Path:
    """Return an absolute path, because the steps run in the project's root."""
    return Path(text).resolve()


def steps(args: argparse.Namespace, scale: Scale, out: Path, pages: Path) -> list[Step]:
    """Return all steps, the most important first."""
    model = ["--model", args.model]
    sizes = ["--sizes", *map(str, scale.sizes)]
    folders = [*_option("--clips", args.clips), *_option("--photos", args.photos)]
    also = [word for name in args.also for word in ("--also", name)]
    quality = str(HERE / "quality" / "eval_mini.py")
    ablation = str(HERE / "quality" / "ablation.py")
    measured = ["--out", str(out / "quality"), *model, *sizes, *folders]
    many = ["--images", str(scale.images)]
    workers = ["--workers", str(args.workers)]
    edited = ["--out", str(out / "ablation"), "--frames", str(scale.frames), *model, *also]
    edited += [*workers, *_option("--clips", args.clips), *_option("--limit", scale.clips)]
    suite = ["eval", "--suite", scale.suite, "-o", str(out / "report.html"), "--overwrite"]
    sheets = str(HERE / "quality" / "draw_sheets.py")
    return [
        *(
            Step(f"ablation-{part.name}", (ablation, "--parts", part.name, *edited))
            for part in PARTS
            if args.clips is not None or not part.real
        ),
        Step("looks", (quality, "looks", *measured, *many)),
        Step("local", (quality, "local", *measured, "--images", str(scale.scenes))),
        Step("autoencoder", (quality, "autoencoder", *measured, *many)),
        Step("speed", (quality, "speed", *measured)),
        Step("suite", ("-m", "fairy", *suite, *model, *also, *workers)),
        Step("sheets", (sheets, "--out", str(pages / "docs" / "sheets"), *model)),
    ]


def run_step(step: Step, stamps: Path, weights: str, *, again: bool = False) -> bool:
    """Run a step unless its stamp says that it is done; return whether it succeeded."""
    stamp = stamps / f"{step.name}.json"
    key = {"weights": weights, "words": list(step.words)}
    if not again and _read(stamp).items() >= key.items():
        print(f"== {step.name}: done before ({stamp})", flush=True)
        return True
    print(f"== {step.name}: {' '.join(step.words)}", flush=True)
    # An interrupted step must not count as done
    stamp.unlink(missing_ok=True)
    began = time.monotonic()
    code = subprocess.run([sys.executable, *step.words], cwd=ROOT).returncode
    seconds = round(time.monotonic() - began)
    print(f"== {step.name}: {seconds} s{'' if code == 0 else f', FAILED ({code})'}", flush=True)
    if code == 0:
        document = {**key, "seconds": seconds, **machine()}
        stamp.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return code == 0


def write_pages(out: Path, pages: Path) -> None:
    """Write every page that has results."""
    write_quality(out / "quality", pages)
    if (out / "report.json").exists():
        write_suite(out / "report.html", pages)
    if any((out / "ablation").glob("*.json")):
        words = ["--draw", "--out", out / "ablation", "--pages", pages]
        command = [sys.executable, HERE / "quality" / "ablation.py", *words]
        subprocess.run(list(map(str, command)), cwd=ROOT, check=True)


def copied_pages(folder: Path) -> Path:
    """Copy the pages to `folder`, to be used instead of the root; return it."""
    for name in PAGES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    return folder


def weights_hash(model: str) -> str:
    """Return a hash of a model's files, or its name if they are on the hub."""
    found = Path(find_model(model))
    if not found.exists():
        return model
    files = [found] if found.is_file() else sorted(p for p in found.rglob("*") if p.is_file())
    digest = hashlib.sha256()
    # Not the card, which changes with these measurements
    for path in (path for path in files if path.suffix != ".md"):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _option(name: str, value: object) -> list[str]:
    return [] if value is None else [name, str(value)]


def _read(stamp: Path) -> dict[str, Any]:
    if not stamp.exists():
        return {}
    document: dict[str, Any] = json.loads(stamp.read_text(encoding="utf-8"))
    return document


if __name__ == "__main__":
    main()
