"""References are pictures, and as many as the instruction names."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairy.control.references import check_references
from fairy.errors import FairyError
from fairy.media.write import write_video
from fairy.settings import EditConfig
from tests.tiny import make_frames


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("references")
    write_video(make_frames(1), folder / "hat.png")
    write_video(make_frames(3), folder / "clip.mp4", fps=10)
    (folder / "no.png").write_text("no picture")
    return folder


def test_pictures_that_the_instruction_names_are_taken(folder):
    config = EditConfig(ref=(folder / "hat.png", folder / "hat.png"))
    check_references(config, ["the hat of image 1 and the coat of Image 2", "image"])


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("gone.png", "snow", "gone.png: no such file"),
        ("clip.mp4", "snow", "has 3 frames; give one picture"),
        ("no.png", "snow", "no.png"),
        ("hat.png", "the hat of image 2", "image 2: there are 1 references"),
        ("hat.png", "the hat of image 0", "image 0: there are 1 references"),
    ],
)
def test_others_are_refused_in_one_line(folder, name, text, words):
    with pytest.raises(FairyError, match=words) as caught:
        check_references(EditConfig(ref=(folder / name,)), [text])
    assert "\n" not in str(caught.value)
