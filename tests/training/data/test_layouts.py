"""Data sets in each layout give the same examples; mistakes are named."""

from __future__ import annotations

import json
from pathlib import Path

import fsspec
import pytest

from fairy.errors import MediaError, SettingsError
from fairy.training.data.layouts import Example, Layout, open_layout
from tests.training.pairs_on_disk import LAYOUTS, NUM_PAIRS, pair, write_pairs


def all_examples(layout: Layout) -> list[Example]:
    return [example for block in range(len(layout.block_sizes)) for example in layout.read(block)]


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_all_pairs_in_order(name: str, tmp_path: Path) -> None:
    layout = open_layout(str(write_pairs(tmp_path / name, name)))
    assert all_examples(layout) == [Example(*pair(number)) for number in range(NUM_PAIRS)]
    assert [len(layout.read(b)) for b in range(len(layout.block_sizes))] == layout.block_sizes


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_read_from_other_file_systems(name: str, tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / name, name)
    memory = fsspec.filesystem("memory")
    memory.put(str(folder), f"/pairs-{name}", recursive=True)
    layout = open_layout(f"memory://pairs-{name}")
    assert [example.instruction for example in all_examples(layout)] == [
        pair(number)[1] for number in range(NUM_PAIRS)
    ]


def test_a_part_named_train_is_taken_alone(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path, "parquet") / "data"
    (folder / "train-00001-of-00002.parquet").rename(folder / "test-00000-of-00001.parquet")
    assert len(all_examples(open_layout(str(tmp_path)))) == 3


def test_the_names_of_the_hubs_viewer_are_known(tmp_path: Path) -> None:
    write_pairs(tmp_path, "folder")
    metadata = tmp_path / "metadata.jsonl"
    text = metadata.read_text().replace('_image"', '_image_file_name"')
    metadata.write_text(text)
    assert len(all_examples(open_layout(str(tmp_path)))) == NUM_PAIRS


def test_folder_without_a_data_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no metadata.jsonl, .parquet or .tar"):
        open_layout(str(tmp_path))


def test_missing_folder_is_named() -> None:
    with pytest.raises(SettingsError, match="no such folder"):
        open_layout("./nowhere/at/all")


def test_line_without_an_instruction_is_named(tmp_path: Path) -> None:
    line = {"original_image": "a.png", "edited_image": "b.png"}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(line))
    with pytest.raises(SettingsError, match=r"metadata.jsonl:1: edit_prompt is missing"):
        open_layout(str(tmp_path))


def test_missing_image_is_named(tmp_path: Path) -> None:
    write_pairs(tmp_path, "folder")
    (tmp_path / "images" / "2.png").unlink()
    with pytest.raises(MediaError, match=r"images/2.png: listed in metadata.jsonl, but missing"):
        all_examples(open_layout(str(tmp_path)))
