"""Read data sets of edits from disk or from the hub, in three common layouts.

Every layout is a list of blocks of examples. It is indexed once, and blocks are read when needed.
The names are those of InstructPix2Pix: `original_image`, `edit_prompt`, `edited_image`.

- Folder: `metadata.jsonl`, one line per example, with image paths relative to it.
- Parquet, as on the hub: images as bytes; a block is a row group; works over the network too.
- WebDataset: tar shards with `KEY.original_image.jpg`, `KEY.edit_prompt.txt` and
  `KEY.edited_image.jpg`.

Tests: tests/training/data/test_layouts.py.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from fairy.errors import MediaError, SettingsError

SOURCE, INSTRUCTION, TARGET = "original_image", "edit_prompt", "edited_image"
METADATA = "metadata.jsonl"
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
# Examples of a tar shard that are read together.
TAR_BLOCK = 64
# Footers of parquet files are read in parallel, because each is slow to read over a network.
FOOTER_THREADS = 16


@dataclass(frozen=True)
class Example:
    """One pair as stored: two encoded images and the instruction."""

    source: bytes
    instruction: str
    target: bytes


class Layout(Protocol):
    """A data set as blocks of examples."""

    block_sizes: list[int]

    def read(self, block: int) -> list[Example]:
        """Return the examples of a block."""


def open_layout(data: str) -> Layout:
    """Open a data set.

    Args:
        data: a folder, a hub id such as "timbrooks/instructpix2pix-clip-filtered", or a URL that
            fsspec knows.

    Raises:
        SettingsError: there is no data set, or it has none of the three layouts.
    """
    files, root = url_to_fs(_url(data))
    try:
        found = sorted(files.find(root))
    except OSError as error:
        raise SettingsError(f"data {data}: cannot be listed ({error})") from error
    metadata = f"{root.rstrip('/')}/{METADATA}"
    if metadata in found:
        return FolderLayout(files, metadata)
    if tables := _training_files(found, ".parquet"):
        return ParquetLayout(files, tables)
    if shards := _training_files(found, ".tar"):
        return TarLayout(files, shards)
    raise SettingsError(
        f"data {data}: no {METADATA}, .parquet or .tar files there: docs/training.md shows the "
        "layouts"
    )


class FolderLayout:
    """Image files and `metadata.jsonl`; each example is a block."""

    def __init__(self, files: Any, metadata: str) -> None:
        self._files = files
        self._folder = PurePosixPath(metadata).parent
        lines = files.cat_file(metadata).decode("utf-8").splitlines()
        self._lines = [
            _parse_line(text, f"{metadata}:{number}")
            for number, text in enumerate(lines, start=1)
            if text.strip()
        ]
        self.block_sizes = [1] * len(self._lines)

    def read(self, block: int) -> list[Example]:
        """Read both images of one line."""
        line = self._lines[block]
        source, target = (self._image(line[name]) for name in (SOURCE, TARGET))
        return [Example(source, line[INSTRUCTION], target)]

    def _image(self, name: str) -> bytes:
        try:
            content: bytes = self._files.cat_file(str(self._folder / name))
        except OSError as error:
            raise MediaError(f"{self._folder / name}: listed in {METADATA}, but missing") from error
        return content


class ParquetLayout:
    """Tables that contain the images; a block is a row group."""

    def __init__(self, files: Any, paths: Sequence[str]) -> None:
        self._files = files
        with ThreadPoolExecutor(FOOTER_THREADS) as pool:
            sizes = list(pool.map(self._row_groups, paths))
        self._groups = [
            (path, group)
            for path, groups in zip(paths, sizes, strict=True)
            for group in range(len(groups))
        ]
        self.block_sizes = [size for groups in sizes for size in groups]

    def read(self, block: int) -> list[Example]:
        """Read one row group, only the three columns."""
        path, group = self._groups[block]
        with self._files.open(path, "rb") as file:
            table = pq.ParquetFile(file).read_row_group(group, [SOURCE, INSTRUCTION, TARGET])
        return [
            Example(row[SOURCE]["bytes"], row[INSTRUCTION], row[TARGET]["bytes"])
            for row in table.to_pylist()
        ]

    def _row_groups(self, path: str) -> list[int]:
        with self._files.open(path, "rb") as file:
            table = pq.ParquetFile(file)
            missing = {SOURCE, INSTRUCTION, TARGET} - set(table.schema_arrow.names)
            if missing:
                raise SettingsError(f"{path}: no column {', '.join(sorted(missing))}")
            return [table.metadata.row_group(g).num_rows for g in range(table.num_row_groups)]


class TarLayout:
    """WebDataset shards; a block is a few consecutive examples of one shard."""

    def __init__(self, files: Any, paths: Sequence[str]) -> None:
        self._files = files
        self._blocks = [block for path in paths for block in self._index(path)]
        self.block_sizes = [len(examples) for _, examples in self._blocks]

    def read(self, block: int) -> list[Example]:
        """Read a block's examples at their indexed offsets."""
        path, examples = self._blocks[block]
        with self._files.open(path, "rb") as file:

            def content(place: tuple[int, int]) -> bytes:
                file.seek(place[0])
                data: bytes = file.read(place[1])
                return data

            return [_tar_example(fields, content) for fields in examples]

    def _index(self, path: str) -> Iterable[tuple[str, list[dict[str, tuple[int, int]]]]]:
        """Index a shard by its headers: each example's fields as (offset, bytes)."""
        examples: dict[str, dict[str, tuple[int, int]]] = {}
        with self._files.open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                key, _, field = PurePosixPath(member.name).name.partition(".")
                name = field.removesuffix(PurePosixPath(field).suffix)
                if member.isfile() and name in (SOURCE, INSTRUCTION, TARGET):
                    place = (member.offset_data, member.size)
                    key = str(PurePosixPath(member.name).parent / key)
                    examples.setdefault(key, {})[name] = place
        for key, fields in examples.items():
            if len(fields) < 3:
                raise SettingsError(f"{path}: example {key} has only {', '.join(fields)}")
        whole = list(examples.values())
        for start in range(0, len(whole), TAR_BLOCK):
            yield path, whole[start : start + TAR_BLOCK]


def _tar_example(
    fields: dict[str, tuple[int, int]], content: Callable[[tuple[int, int]], bytes]
) -> Example:
    instruction = content(fields[INSTRUCTION]).decode("utf-8").strip()
    return Example(content(fields[SOURCE]), instruction, content(fields[TARGET]))


def _parse_line(text: str, where: str) -> dict[str, str]:
    """Read a line of metadata.jsonl; images may use the field names of the hub's viewer."""
    try:
        line: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"{where}: not JSON ({error})") from error
    for name in (SOURCE, TARGET):
        line.setdefault(name, line.get(f"{name}_file_name"))
    for name in (SOURCE, INSTRUCTION, TARGET):
        if not isinstance(line.get(name), str):
            raise SettingsError(f"{where}: {name} is missing")
    return line


def _url(data: str) -> str:
    """Return a folder unchanged, and a hub id as the URL of its data set."""
    path = Path(data).expanduser()
    if path.is_dir():
        return str(path.resolve())
    if "://" in data:
        return data
    if data.count("/") == 1 and not data.startswith((".", "/", "~")):
        return f"hf://datasets/{data}"
    raise SettingsError(f"data {data}: no such folder; a hub id is OWNER/NAME")


def _training_files(paths: Sequence[str], suffix: str) -> list[str]:
    """Return the files with a suffix; only the train split if the data set has one."""
    files = [path for path in paths if path.endswith(suffix)]
    return [path for path in files if PurePosixPath(path).name.startswith("train")] or files
