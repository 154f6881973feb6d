"""NaN in a stock pipeline stops the edit, with the weights that hold it."""

from __future__ import annotations

import pytest
import torch

from examples.tiny_editor import FAMILIES, make_tiny_editor
from fairy.editors.stock.editor import StockEditor
from fairy.errors import NumbersError
from tests.editors.stock.conftest import begin


@pytest.mark.parametrize("family", sorted(FAMILIES)[:1])
def test_nan_in_the_weights_is_named(family: str, frames):
    editor = StockEditor(make_tiny_editor(family))
    name, weight = list(editor.pipe.vae.named_parameters())[-1]
    with torch.no_grad():
        weight.view(-1)[0] = float("nan")
    with pytest.raises(NumbersError, match=rf"weights hold some already \(vae\.{name}\)"):
        begin(editor, frames, (1, 3))
