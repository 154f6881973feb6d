"""What a stock pipeline cannot do of masks, key frames and strength is said in one line."""

from __future__ import annotations

import pytest
import torch

from fairy.editors.base import Anchor
from fairy.errors import SettingsError
from fairy.settings import EditConfig
from tests.editors.stock.conftest import PROMPT, SIZE, begin


@pytest.mark.parametrize(
    ("anchor", "words"),
    [({"mask": torch.ones(SIZE)}, "use --mask-strength 0"), ({"edited": True}, "leave them out")],
)
def test_masks_within_the_steps_and_key_frames_are_refused(make_editor, frames, anchor, words):
    if "edited" in anchor:
        anchor = {"edited": frames[1]}
    with pytest.raises(SettingsError, match=words):
        anchors = [Anchor(0, frames[0], **anchor)]
        make_editor("sdxl").begin(PROMPT, anchors, EditConfig(num_inference_steps=1), size=SIZE)


def test_strength_is_refused(make_editor, frames):
    with pytest.raises(SettingsError, match="whole edits only"):
        begin(make_editor("sdxl"), frames, [0], strength=0.5)
