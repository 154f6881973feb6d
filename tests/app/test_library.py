"""Clips and edits of users on disk."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from fairy.app.library import DAY_S, UserFolder, clean, player_file
from fairy.media.read import frame_times, probe
from fairy.media.write import VideoWriter
from fairy.settings import MediaConfig


@pytest.fixture
def user(tmp_path: Path) -> UserFolder:
    return UserFolder(tmp_path / "out", "ada")


def test_the_same_question_is_the_same_edit(user: UserFolder, clip: Path):
    kept = user.keep_clip(clip)
    first = user.edit(kept, "make it snow", {"seed": 7, "region": (0, 0, 8, 8)})
    assert user.edit(kept, " make it  snow", {"seed": 7, "region": (0, 0, 8, 8)}) == first
    assert user.edit(kept, "make it snow", {"seed": 8}).folder != first.folder


def test_users_see_only_their_own_edits(user: UserFolder, clip: Path):
    edit = user.edit(user.keep_clip(clip), "make it snow", {})
    other = UserFolder(user.path.parent, "bob")
    assert user.find(edit.folder.name) == edit
    assert other.find(edit.folder.name) is None
    assert other.edits() == []


def test_names_of_folders_do_not_show_who_the_user_is(user: UserFolder):
    assert "ada" not in user.path.name


def test_a_clip_that_was_given_twice_is_kept_once(user: UserFolder, clip: Path, tmp_path: Path):
    again = tmp_path / "again.mp4"
    again.write_bytes(clip.read_bytes())
    assert user.keep_clip(clip).path == user.keep_clip(again).path
    assert user.keep_clip(again).name == "again.mp4"


def test_unfinished_edits_go_after_a_day_and_results_stay(user: UserFolder, clip: Path):
    kept = user.keep_clip(clip)
    done, unfinished = user.edit(kept, "done", {}), user.edit(kept, "unfinished", {})
    done.out.write_bytes(b"result")
    clean(user.path.parent, keep_days=None)
    assert len(user.edits()) == 2
    clean(user.path.parent, keep_days=None, now_s=time.time() + 2 * DAY_S)
    assert [one.folder for one in user.edits()] == [done.folder]
    assert kept.path.exists()
    assert not unfinished.folder.exists()


def test_old_results_and_their_clips_go_after_the_days_to_keep(user: UserFolder, clip: Path):
    edit = user.edit(user.keep_clip(clip), "done", {})
    edit.out.write_bytes(b"result")
    clean(user.path.parent, keep_days=3, now_s=time.time() + 4 * DAY_S)
    assert user.edits() == []
    assert not edit.clip.path.exists()


def test_a_damaged_record_is_no_edit(user: UserFolder, clip: Path):
    edit = user.edit(user.keep_clip(clip), "make it snow", {})
    (edit.folder / "edit.json").write_text("{")
    assert user.edits() == []


def test_what_browsers_play_needs_no_proxy(clip: Path):
    assert player_file(clip) == clip


def test_other_codecs_get_a_proxy_with_the_same_times(clip: Path, tmp_path: Path):
    source = tmp_path / "source.mov"
    from fairy.media.read import read_frames

    info = probe(clip)
    with VideoWriter(
        source, info=info, height=info.height, width=info.width, media=MediaConfig(codec="hevc")
    ) as writer:
        for frame in read_frames(clip):
            writer.write(frame.image, frame.pts, frame.time_base, frame.duration)
    proxy = player_file(source)
    assert probe(proxy).codec == "h264"
    assert frame_times(proxy) == frame_times(source)
    stamp = os.stat(proxy).st_mtime_ns
    assert player_file(source) == proxy
    assert os.stat(proxy).st_mtime_ns == stamp
