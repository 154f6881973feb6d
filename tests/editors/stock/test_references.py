"""Reference pictures are further pictures of every stock call, in their own shape."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
import torch

from fairy.editors.base import Anchor
from fairy.editors.stock import calls
from fairy.editors.stock.families import FAMILIES
from fairy.errors import SettingsError
from fairy.media.write import write_video
from fairy.settings import EditConfig
from tests.editors.stock.conftest import SIZE, at_own_size, edited
from tests.tiny import make_frames

SEVERAL = ["klein", "flux2", "qwen-plus", "joy-plus", "fibo", "omnigen"]


def test_examples():
    assert doctest.testmod(calls).failed == 0


def test_every_family_that_takes_several_pictures_is_tested(make_editor):
    named = {make_editor(name).family.pipeline for name in SEVERAL}
    assert named == {name for name, family in FAMILIES.items() if family.references}


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A picture of another shape than the frames."""
    path = tmp_path_factory.mktemp("wide") / "hat.png"
    write_video(make_frames(1, 64, 256, seed=5), path)
    return path


@pytest.mark.parametrize("family", SEVERAL)
def test_one_frame_is_the_stock_call_with_its_references(make_editor, frames, wide, family):
    editor = make_editor(family)
    config = EditConfig(num_inference_steps=1, ref=(wide,))
    text = "the hat of image 1"
    with editor.begin(text, [Anchor(0, frames[0])], config, size=SIZE) as session:
        result = session._anchors[0]
        arguments = session._call.arguments([frames[0]])
    pictures = arguments[editor.family.image]
    assert np.array_equal(np.asarray(pictures[0]), frames[0])
    width, height = pictures[1].size
    assert width >= 2 * height
    assert (width % 32, height % 32) == (0, 0)
    prompt = arguments["prompt"]
    assert "image 2" in prompt
    assert "image 1" not in prompt
    torch.manual_seed(0)
    with at_own_size(editor):
        expected = editor.pipe(**arguments, return_dict=False)[0][0].float()
    if family != "qwen-plus":
        # Called by itself, that pipeline would squeeze the reference into the frame's shape
        assert torch.equal(result, expected)


@pytest.mark.parametrize("family", ["klein", "qwen-plus"])
def test_references_act_on_anchors_and_frames(make_editor, frames, wide, family):
    editor = make_editor(family)
    plain = edited(editor, frames, [1], [0, 1])
    referred = edited(editor, frames, [1], [0, 1], ref=(wide,))
    assert not torch.allclose(plain[0], referred[0], atol=1e-3)
    assert not torch.allclose(plain[1], referred[1], atol=1e-3)


@pytest.mark.parametrize(
    ("family", "count", "words"),
    [("kontext", 1, "takes none"), ("qwen-plus", 3, "takes at most 2")],
)
def test_too_many_are_refused(make_editor, frames, wide, family, count, words):
    with pytest.raises(SettingsError, match=words):
        edited(make_editor(family), frames, [0], [0], ref=(wide,) * count)


def test_references_and_anchors_share_the_places(make_editor, frames, wide):
    with pytest.raises(SettingsError, match="at most 1 anchors"):
        edited(make_editor("qwen-plus"), frames, [0, 1], [0], ref=(wide,), anchors_as="reference")
