"""fairy/evaluation/clips.py."""

from __future__ import annotations

import pytest
import torch

from fairy.errors import SettingsError
from fairy.evaluation.clips import (
    EXACT,
    OPEN,
    folder_clips,
    held_out_instruction,
    plan_folder,
    plan_rendered,
    read_instructions,
    real_clip,
    render_clip,
    rendered_clips,
)
from fairy.media.write import write_video
from fairy.metrics.temporal import warp_error
from fairy.synthetic.edits import EDITS_BY_NAME
from fairy.synthetic.phrase_table import PHRASES
from tests.tiny import make_frames

SIZE = (24, 32)


def test_clips_are_the_same_every_time():
    first, again = (list(rendered_clips(2, 3, SIZE)) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        assert a.instruction == b.instruction
        assert torch.equal(a.frames, b.frames)


def test_exact_and_open_edits_take_turns():
    targets = [clip.target is not None for clip in rendered_clips(6, 2, SIZE)]
    assert targets == [False, True] * 3


def test_what_is_left_of_one_kind_comes_last():
    targets = [make().target is not None for make in plan_rendered(4, 1, 2, SIZE)]
    assert targets == [False, True, False, False, False]


def test_open_edits_alone_have_no_exact_result():
    clips = [make() for make in plan_rendered(7, 0, 2, SIZE)]
    assert all(clip.target is None for clip in clips)
    assert len({clip.instruction for clip in clips}) == len(OPEN)


def test_kinds_of_edit_are_what_they_are_called():
    assert all(EDITS_BY_NAME[name].deterministic for name in EXACT)
    assert not any(EDITS_BY_NAME[name].deterministic for name in OPEN)


def test_the_target_asks_the_same_of_every_frame():
    # The fourth clip recolours one kind of shape: along the motion, it stays that colour
    recoloured = list(rendered_clips(4, 4, (48, 64)))[3]
    assert recoloured.edit == "recolour"
    of_source = warp_error(recoloured.frames, recoloured.flow, recoloured.visible)
    of_target = warp_error(recoloured.target, recoloured.flow, recoloured.visible)
    assert of_target < 3 * of_source
    assert (recoloured.target - recoloured.frames).abs().max() > 0.1


def test_instructions_are_phrasings_kept_from_training():
    for index, name in enumerate(EXACT + OPEN):
        words = {"it": "it", "shape": "circle", "other": "star", "colour": "red"}
        trained = {template.format(**words) for template in PHRASES[name][0]}
        held_out = held_out_instruction(name, index, shape="circle", other="star", colour="red")
        assert held_out not in trained
    assert render_clip(0, "night", 2, SIZE).instruction == held_out_instruction("night", 0)


def test_free_looks_can_be_judged_with_any_choice():
    assert render_clip(0, "duotone", 2, SIZE).nearest is not None
    assert render_clip(0, "night", 2, SIZE).nearest is None


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for name, count in (("a.mp4", 5), ("b.mp4", 3)):
        write_video(make_frames(count, 32, 48), folder / name, fps=10)
    return folder


def test_a_clip_can_be_read_with_a_stride(folder):
    how = {"num_frames": 3, "size": 24, "multiple": 8}
    all_frames = real_clip(folder / "a.mp4", "snow", **{**how, "num_frames": 5})
    every_second = real_clip(folder / "a.mp4", "snow", **how, stride=2)
    assert torch.equal(every_second.frames, all_frames.frames[::2])
    assert every_second.fps == all_frames.fps / 2


def test_every_line_is_asked_of_every_clip(folder, tmp_path):
    asked = tmp_path / "asked.txt"
    asked.write_text("make it night\n\nmake it snow\n")
    makers = folder_clips(folder, asked, num_frames=4, size=24, multiple=8)
    clips = [make() for make in makers]
    assert [(c.name, c.instruction) for c in clips] == [
        ("a.mp4", "make it night"), ("a.mp4", "make it snow"),
        ("b.mp4", "make it night"), ("b.mp4", "make it snow"),
    ]  # fmt: skip
    assert [len(c.frames) for c in clips] == [4, 4, 3, 3]
    assert clips[0].frames.shape[2:] == (16, 24)
    assert clips[0].flow.shape == (3, 2, 16, 24)


def test_a_csv_asks_clip_by_clip_with_captions(folder, tmp_path):
    asked = tmp_path / "asked.csv"
    asked.write_text(
        "clip,instruction,source_caption,target_caption\n"
        'b.mp4,"snow, please",a street,a street in snow\n*,make it night,,\n'
    )
    plan = plan_folder(folder, asked)
    assert [(path.name, [row.instruction for row in rows]) for path, rows in plan] == [
        ("a.mp4", ["make it night"]),
        ("b.mp4", ["snow, please", "make it night"]),
    ]
    assert plan[1][1][0].captions == ("a street", "a street in snow")
    assert plan[1][1][1].captions is None


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.txt", "\n \n", "no instruction"),
        ("a.csv", "clip,text\na.mp4,snow\n", "columns clip and instruction"),
        ("a.csv", "clip,instruction\nc.mp4,snow\n", r"there is no c.mp4 in"),
    ],
)
def test_instructions_that_say_nothing_are_refused(folder, tmp_path, name, text, words):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(SettingsError, match=words):
        plan_folder(folder, path)


def test_missing_folder_clips_and_file_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="no such folder"):
        plan_folder(tmp_path / "none", tmp_path / "a.txt")
    with pytest.raises(SettingsError, match="no clips in it"):
        plan_folder(tmp_path, tmp_path / "a.txt")
    with pytest.raises(SettingsError, match="cannot be read"):
        read_instructions(tmp_path / "a.txt")
