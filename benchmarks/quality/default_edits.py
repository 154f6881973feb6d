"""Are default edits of real clips as sharp as they should be? File to file, judged by `fairy eval`.

    python benchmarks/quality/default_edits.py --clips CLIPS --keep FOLDER --write docs/measured.md

A few frames from the middle of each clip are edited at full size as `fairy edit` does by default,
its compression included, and compared with the look's exact result, which is stored without loss.
Sharpness is the energy of fine detail as a share of the exact result's. FOLDER keeps the files, to
look at: NAME.source.mkv, NAME.exact.mkv and NAME.mp4.
Tests: tests/benchmarks/quality/test_default_edits.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.pages import markdown_table, put_between
from benchmarks.lib.record import machine
from benchmarks.quality.enlarge_sizes import exact, middle_frames
from fairy import EditConfig, FairyPipeline, edit_video, write_video
from fairy.evaluation.run import evaluate_pair
from fairy.media.colours import Image
from fairy.settings import MediaConfig
from fairy.synthetic.phrases import known_instruction

MARK = "default_edits"
# A face, people and plants, fur, letters, feathers
EDITS = (
    ("d03", "night"), ("d03", "black_and_white"), ("d04", "sunset"), ("d05", "sepia"),
    ("d10", "black_and_white"), ("d11", "warm_film"), ("d12", "negative"),
)  # fmt: skip
LOSSLESS = MediaConfig(codec="ffv1", pix_fmt="bgr0")
Row = dict[str, Any]


def main(words: Sequence[str] | None = None) -> None:
    """Edit, judge and print."""
    args = parser().parse_args(words)
    args.keep.mkdir(parents=True, exist_ok=True)
    config = EditConfig(model=args.model)
    pipe = FairyPipeline.from_pretrained(args.model)
    rows = []
    for name, look in (edit.split("=") for edit in args.edits):
        (path,) = args.clips.glob(f"{name}*")
        frames = middle_frames(path, args.frames)
        rows.append(
            {
                "clip": name,
                "look": look,
                **judge(pipe, frames, look, args.keep / f"{name}-{look}", config),
            }
        )
        print(rows[-1], flush=True)
    if args.write is not None:
        page = args.write.read_text(encoding="utf-8")
        args.write.write_text(put_between(page, MARK, report(rows)), encoding="utf-8")
    print(json.dumps({**machine(), "rows": rows}))


def judge(pipe: FairyPipeline, frames: Image, look: str, at: Path, config: EditConfig) -> Row:
    """Edit frames uint8 (T,H,W,3) file to file; return the scores beside the exact result.

    Args:
        pipe: the model.
        frames: the source.
        look: a look of `fairy.synthetic.looks`.
        at: the beginning of the names of the files to write.
        config: the edit's settings.
    """
    source, target, out = (
        at.with_name(at.name + end) for end in (".source.mkv", ".exact.mkv", ".mp4")
    )
    for path, images in ((source, frames), (target, exact(frames, look))):
        write_video(images, path, fps=25, media=LOSSLESS, overwrite=True)
    edit_video(source, known_instruction(look), out, config, pipeline=pipe, overwrite=True)
    height, width = frames.shape[1:3]
    results, _ = evaluate_pair(out, source, target, encoder=None, size=max(height, width))
    scores = results.cases[1].scores.values
    return {"size": f"{width}x{height}", **{n: scores[n] for n in ("sharpness", "psnr_db")}}


def report(rows: Sequence[Row]) -> str:
    """Return the table, and where it was measured."""
    here = machine()
    cells = [
        [
            r["clip"],
            r["size"],
            f'"{known_instruction(r["look"])}"',
            f"{r['sharpness']:.2f}",
            f"{r['psnr_db']:.1f}",
        ]
        for r in rows
    ]
    table = markdown_table(["clip", "size", "instruction", "sharpness", "dB"], cells)
    return f"\n{table}\n\nCommit `{here.get('commit')}`, {here['processor']}, float32.\n"


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("--clips", type=Path, required=True, help="a folder of clips")
    made.add_argument("--keep", type=Path, required=True, help="a folder for the files")
    made.add_argument(
        "--edits", nargs="+", default=[f"{n}={k}" for n, k in EDITS], metavar="CLIP=LOOK"
    )
    made.add_argument("--model", default="mini")
    made.add_argument("--frames", type=int, default=6)
    made.add_argument("--write", type=Path, help="document whose table is replaced")
    return made


if __name__ == "__main__":
    main()
