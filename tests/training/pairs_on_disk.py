"""Tiny data sets of edits in each layout, as people have them on disk."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

NUM_PAIRS = 7
LAYOUTS = ("folder", "parquet", "tar")


def picture(seed: int, size: tuple[int, int] = (20, 20)) -> bytes:
    """A PNG of (height, width) `size`, smooth, another for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


def pair(number: int) -> tuple[bytes, str, bytes]:
    return picture(number), f"make it {number}", picture(100 + number)


def write_pairs(folder: Path, layout: str, count: int = NUM_PAIRS) -> Path:
    """Write `count` pairs; tables and shards are cut into several blocks."""
    folder.mkdir(parents=True, exist_ok=True)
    {"folder": _write_folder, "parquet": _write_parquet, "tar": _write_tar}[layout](folder, count)
    return folder


def _write_folder(folder: Path, count: int) -> None:
    (folder / "images").mkdir()
    lines = []
    for number in range(count):
        source, text, target = pair(number)
        names = f"images/{number}.png", f"images/{number}-edited.png"
        for name, content in zip(names, (source, target), strict=True):
            (folder / name).write_bytes(content)
        entry = {"original_image": names[0], "edit_prompt": text, "edited_image": names[1]}
        lines.append(json.dumps(entry) + "\n")
    (folder / "metadata.jsonl").write_text("".join(lines))


def _write_parquet(folder: Path, count: int) -> None:
    (folder / "data").mkdir()
    for part, numbers in enumerate((range(3), range(3, count))):
        pairs = [pair(number) for number in numbers]
        table = {
            "original_image": [{"bytes": p[0], "path": None} for p in pairs],
            "edit_prompt": [p[1] for p in pairs],
            "edited_image": [{"bytes": p[2], "path": None} for p in pairs],
            "original_prompt": ["not needed"] * len(pairs),
        }
        path = folder / "data" / f"train-{part:05d}-of-00002.parquet"
        pq.write_table(pa.table(table), path, row_group_size=2)


def _write_tar(folder: Path, count: int) -> None:
    for shard, numbers in enumerate((range(3), range(3, count))):
        with tarfile.open(folder / f"{shard:05d}.tar", "w") as tar:
            for number in numbers:
                source, text, target = pair(number)
                fields = (
                    ("original_image.png", source),
                    ("edit_prompt.txt", text.encode() + b"\n"),
                    ("edited_image.png", target),
                )
                for name, content in fields:
                    member = tarfile.TarInfo(f"{number:06d}.{name}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
