r"""What survives reading and writing a clip without an edit? A table over many clips.

    python benchmarks/quality/media_fidelity.py --clips CLIPS [--clips MORE ...] \
        [--write docs/media.md]

`fairy.media` reads and writes each clip with default settings, to the same kind of file if we can
write it (.avi becomes .mov, .3gp becomes .mp4). Then frames, timestamps and audio are compared
packet by packet as PyAV demuxes them, without our reader; colours are compared frame by frame.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.pages import markdown_table, put_between
from benchmarks.lib.record import machine
from fairy.errors import FairyError
from fairy.media import VideoInfo, VideoWriter, probe, read_frames
from fairy.media.encoding.codecs import CONTAINERS

KINDS = {".avi": ".mov", ".3gp": ".mp4"}
MAX_ERROR = 2.0
MARK = "fidelity"


@dataclass(frozen=True)
class Row:
    """One clip, before and after."""

    clip: str
    frames: str = ""
    timestamps: str = ""
    size: str = ""
    turned: str = ""
    colour_error: str = ""
    audio: str = ""
    result: str = ""


class Warnings(logging.Handler):
    """Collects the library's warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message."""
        self.lines.append(record.getMessage())


def main() -> None:
    """Measure, print the table, and write it into a document with `--write`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=Path, action="append", required=True)
    parser.add_argument("--write", type=Path, help="document whose table is replaced")
    options = parser.parse_args()
    rows = []
    for path in _clips(options.clips):
        rows.append(measure(path))
        print(" | ".join(asdict(rows[-1]).values()), flush=True)
    table = _table(rows)
    if options.write is not None:
        text = options.write.read_text(encoding="utf-8")
        options.write.write_text(put_between(text, MARK, table), encoding="utf-8")
    print(json.dumps({**machine(), "rows": [asdict(row) for row in rows]}))


def measure(path: Path) -> Row:
    """Read and write the clip at `path`; return what changed."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            suffix = KINDS.get(path.suffix, path.suffix)
            out = Path(folder, f"out{suffix if suffix in CONTAINERS else '.mp4'}")
            warnings = Warnings()
            logging.getLogger("fairy").addHandler(warnings)
            info = probe(path)
            error = copy_clip(info, out)
            logging.getLogger("fairy").removeHandler(warnings)
            return _compare(info, out, error, warnings.lines)
    except FairyError as refused:
        return Row(clip=path.name, result=f"refused: {str(refused).removeprefix(f'{path}: ')}")


def copy_clip(info: VideoInfo, out: Path) -> float:
    """Write a copy of the clip; return the mean absolute colour error of all frames, in levels."""
    with VideoWriter(out, info=info, height=info.height, width=info.width) as writer:
        for frame in read_frames(info.path):
            writer.write(frame.image, frame.pts, frame.time_base, frame.duration)
    pairs = zip(read_frames(info.path), read_frames(out), strict=True)
    errors = [_error(a.image, b.image) for a, b in pairs]
    return float(np.mean(errors))


def _error(before: np.ndarray, after: np.ndarray) -> float:
    height, width = before.shape[:2]
    return float(np.abs(before.astype(np.int16) - after[:height, :width]).mean())


def _compare(info: VideoInfo, out: Path, error: float, warnings: list[str]) -> Row:
    before, after = frame_times(info.path), frame_times(out)
    same_count = len(before) == len(after)
    shift = max(map(abs, (a - b for a, b in zip(before, after, strict=False))), default=0)
    copied = probe(out)
    sound, kept = _audio(info.path, out)
    size = f"{info.width}x{info.height}"
    if (copied.width, copied.height) != (info.width, info.height):
        size += f" → {copied.width}x{copied.height}"
    hdr = any("HDR" in note for note in info.notes)
    # Matroska counts in milliseconds.
    in_time = shift <= Fraction(1, 2000)
    good = same_count and in_time and kept and (hdr or error <= MAX_ERROR)
    damaged = [line.split(": ", 1)[1] for line in warnings if "cannot be decoded" in line]
    mirrored = "mirrored, " if info.mirrored else ""
    return Row(
        clip=info.path.name,
        frames=f"{len(before)}" if same_count else f"{len(before)} → {len(after)}",
        timestamps="equal" if shift == 0 else f"within {float(shift * 1000):.2f} ms",
        size=size,
        turned=f"{mirrored}{info.rotation}°" if info.rotation or info.mirrored else "–",
        colour_error=f"{error:.2f}",
        audio=sound,
        result=("unchanged" if good else "**differs**") + (f"; {damaged[0]}" if damaged else ""),
    )


def frame_times(path: Path) -> list[Fraction]:
    """Return the times of the frames shown, in seconds, sorted, read by PyAV alone.

    Packets are counted; for VP8, whose packets may hide pictures, decoded frames.
    """
    with av.open(str(path), metadata_errors="replace") as file:
        stream = file.streams.best("video")
        if stream.codec_context.name == "vp8":
            return sorted(frame.pts * frame.time_base for frame in file.decode(stream))
        packets = [packet for packet in file.demux(stream) if packet.size]
        return sorted(p.pts * p.time_base for p in packets if not p.is_discard)


def _audio(path: Path, out: Path) -> tuple[str, bool]:
    """Describe what happened to the sound, and return whether all of it was kept."""
    words, kept = [], True
    before, after = list(_sound(path)), list(_sound(out))
    for index, (codec, packets) in enumerate(before):
        if index >= len(after):
            return f"{codec} lost", False
        new_codec, new_packets = after[index]
        if codec != new_codec:
            words.append(f"{codec} → {new_codec}")
            continue
        same = [data for _, data in packets] == [data for _, data in new_packets]
        times = zip(packets, new_packets, strict=False)
        shift = max((abs(a - b) for (a, _), (b, _) in times), default=Fraction(0))
        in_time = shift <= Fraction(1, 1000)
        kept = kept and same and in_time
        words.append(f"{codec}: {len(packets)} packets {'identical' if same else 'differ'}")
    return "; ".join(words) or "none", kept


def _sound(path: Path) -> Iterator[tuple[str, list[tuple[Fraction, bytes]]]]:
    """Yield codec and (time in seconds, bytes) of the packets of each audio stream."""
    with av.open(str(path), metadata_errors="replace") as file:
        streams = [(s.index, s.codec_context.name) for s in file.streams.audio if s.codec_context]
    for index, codec in streams:
        with av.open(str(path), metadata_errors="replace") as file:
            packets = [p for p in file.demux(index) if p.size and p.pts is not None]
            yield codec, [(p.pts * p.time_base, bytes(p)) for p in packets]


def _table(rows: list[Row]) -> str:
    names = [name.replace("_", " ") for name in asdict(rows[0])]
    table = markdown_table(names, [list(asdict(row).values()) for row in rows])
    here = machine()
    return (
        f"\n{table}\n\nCommit `{here['commit']}`, {here['processor']}, "
        f"{here['card'] or 'no GPU'}.\n"
    )


def _clips(folders: list[Path]) -> list[Path]:
    """Return the clips in the folders and their subfolders, by name, each once."""
    documents = {".md", ".png", ".txt"}
    found = [sorted(path for path in folder.rglob("*") if path.is_file()) for folder in folders]
    clips = dict.fromkeys(path for paths in found for path in paths)
    return [path for path in clips if path.suffix not in documents]


if __name__ == "__main__":
    main()
