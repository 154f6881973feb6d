"""What of odd clips is kept, and what is said to be lost? A table by container.

    python benchmarks/quality/kept_or_said.py --clips CLIPS [--clips MORE] [--write docs/media.md]

`fairy.media` reads and writes each clip without an edit, those of CLIPS and those made by
`benchmarks/lib/odd_clips.py`. A cell holds what was said while writing
that container; "–" is nothing, so all was kept. What is said of the clip itself is in the second
column. Tests of each: tests/media/test_kept_or_said.py.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.odd_clips import ODD_CLIPS
from benchmarks.lib.pages import markdown_table, put_between
from benchmarks.lib.record import machine
from fairy.errors import FairyError
from fairy.jobs.warnings_log import Notes
from fairy.media import VideoWriter, probe, read_frames

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")
NO_CLIPS = {".md", ".csv", ".py"}
MARK = "kept"


def main() -> None:
    """Copy every clip four times, print the table, and write it into a document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=Path, action="append", required=True)
    parser.add_argument("--write", type=Path, help="document whose table is replaced")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        made = [make(Path(folder, name)) for name, make in ODD_CLIPS.items()]
        for path in [*_clips(options.clips), *made]:
            rows.append([path.name, *measure(path)])
            print(" | ".join(rows[-1]), flush=True)
    here = machine()
    table = markdown_table(["clip", "said of it", *SUFFIXES], rows)
    text = f"\n{table}\n\nCommit `{here['commit']}`, {here['processor']}.\n"
    if options.write is not None:
        document = options.write.read_text(encoding="utf-8")
        options.write.write_text(put_between(document, MARK, text), encoding="utf-8")
    print(json.dumps({**here, "rows": rows}))


def measure(path: Path) -> list[str]:
    """Return what is said of a clip, and what when it is written as each of `SUFFIXES`."""
    with Notes() as notes:
        try:
            probe(path)
            frames = sum(1 for _ in read_frames(path))
        except FairyError as refused:
            return [f"refused: {_short(str(refused), path)}", *["–"] * len(SUFFIXES)]
    known = [_short(line, path) for line in notes.lines]
    return ["; ".join(known) or f"– ({frames} frames)", *(_said(path, s, known) for s in SUFFIXES)]


def _said(path: Path, suffix: str, known: list[str]) -> str:
    with tempfile.TemporaryDirectory() as folder, Notes() as notes:
        info = probe(path)
        out = Path(folder, f"out{suffix}")
        with VideoWriter(out, info=info, height=info.height, width=info.width) as writer:
            for frame in read_frames(path):
                writer.write(frame.image, frame.pts, frame.time_base, frame.duration)
    new = [line for line in (_short(line, path) for line in notes.lines) if line not in known]
    return "; ".join(new) or "–"


def _short(line: str, path: Path) -> str:
    return line.removeprefix(f"{path}: ").replace("|", "/")


def _clips(folders: list[Path]) -> list[Path]:
    """Return the clips in the folders, and their subfolders of pictures, by name."""
    found = [path for folder in folders for path in sorted(folder.iterdir())]
    return [path for path in found if path.suffix not in NO_CLIPS]


if __name__ == "__main__":
    main()
