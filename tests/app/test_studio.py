"""Edits of the page, without the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fairy.app.library import Edit
from fairy.app.studio import AnchorFiles, Finished, Running, Stopped, Studio
from fairy.errors import InstructionError, MediaError
from fairy.jobs.edit import edit_video
from fairy.media.read import probe, read_video
from tests.tiny import assert_same_frames


def ask(studio: Studio, clip: Path, instruction: str = "make it snow", **settings: object) -> Edit:
    user = studio.user("ada")
    return user.edit(user.keep_clip(clip), instruction, settings)


def test_the_result_is_the_command_lines(studio: Studio, clip: Path, tmp_path: Path):
    edit = ask(studio, clip, seed=5)
    *_, last = studio.edit(edit)
    assert isinstance(last, Finished)
    edit_video(clip, "make it snow", tmp_path / "other.mp4", studio.config(edit))
    assert_same_frames(read_video(edit.out), read_video(tmp_path / "other.mp4"))


def test_anchors_come_before_and_after(studio: Studio, clip: Path):
    *_, anchors = studio.anchors(ask(studio, clip))
    assert [one.index for one in anchors] == [1, 4, 6]
    for one in anchors:
        assert isinstance(one, AnchorFiles)
        assert probe(one.source).width == probe(one.edited).width == 64


def test_a_stopped_edit_keeps_its_frames_and_goes_on(
    studio: Studio, long_clip: Path, monkeypatch: pytest.MonkeyPatch
):
    # Often enough to stop it before its end
    monkeypatch.setattr("fairy.app.studio.REPORT_EVERY_S", 0.01)
    edit = ask(studio, long_clip, max_frames=20)
    studio._base = {**studio._base, "frame_batch_size": 1}
    with pytest.raises(Stopped, match=r"of 20 frames are done and kept"):
        for item in studio.edit(edit):
            if isinstance(item, Running) and item.done:
                assert studio._cancels
                for cancel, _ in studio._cancels.values():
                    cancel.set()
    kept = studio.user("ada").edits()[0].frames
    assert 0 < kept[0] < 20
    *_, last = studio.edit(edit)
    assert isinstance(last, Finished)
    assert last.edit.frames == (20, 20)


def test_closing_the_window_stops_the_edit_and_frees_the_device(studio: Studio, clip: Path):
    running = studio.edit(ask(studio, clip))
    next(running)
    running.close()
    assert studio._devices.qsize() == 1
    *_, last = studio.edit(ask(studio, clip))
    assert isinstance(last, Finished)


def test_an_unknown_instruction_is_the_command_lines_error(studio: Studio, clip: Path):
    with pytest.raises(InstructionError, match="zebra"):
        list(studio.edit(ask(studio, clip, "make it a zebra")))


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"max_length": 0.5}, r"clip.mp4: 0.8 s, but this page edits at most 0.5"),
        ({"max_pixels": 100}, r"clip.mp4: 64x48 pixels, but this page takes at most 100"),
    ],
)
def test_clips_over_a_limit_are_refused(studio: Studio, clip: Path, limit: dict, message: str):
    studio.options = replace(studio.options, **limit)
    with pytest.raises(MediaError, match=message):
        list(studio.edit(ask(studio, clip)))
    assert not ask(studio, clip).is_done


def test_a_part_of_a_clip_over_the_length_is_edited(studio: Studio, clip: Path):
    studio.options = replace(studio.options, max_length=0.5)
    *_, last = studio.edit(ask(studio, clip, end_s=0.3))
    assert probe(last.edit.out).num_frames == 3
