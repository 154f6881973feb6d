"""Sheets and saved batches."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from PIL import Image
from safetensors import safe_open

from fairy.training.run.contact_sheet import CAPTION_HEIGHT, save_examples, write_sheet


def test_a_sheet_has_a_captioned_row_per_image(tmp_path: Path) -> None:
    columns = [torch.zeros(3, 3, 20, 30)] * 2
    write_sheet(tmp_path / "new" / "sheet.png", columns, ["a", "b", "c"])
    with Image.open(tmp_path / "new" / "sheet.png") as image:
        assert image.size == (60, 3 * (20 + CAPTION_HEIGHT))


def test_saved_pictures_are_exact_even_where_they_are_no_numbers(tmp_path: Path) -> None:
    column = torch.rand(2, 3, 8, 8)
    column[0, 0, 0, 0] = math.nan
    save_examples(tmp_path, "part-0", [column], ["a", "b"])
    assert (tmp_path / "part-0.png").is_file()
    with safe_open(tmp_path / "part-0.safetensors", framework="pt") as file:
        assert torch.equal(file.get_tensor("column_0").nan_to_num(9), column.nan_to_num(9))
        assert json.loads(file.metadata()["labels"]) == ["a", "b"]
