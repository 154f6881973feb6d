"""Two names of one file are known as such, and names beside a long one are not too long."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import fairy.media.names
from fairy.errors import MediaError
from fairy.media.names import beside, is_inside, is_left_by_others, is_same, real


def test_a_file_is_the_same_by_a_relative_name_and_by_links(tmp_path: Path, monkeypatch):
    (tmp_path / "a").touch()
    (tmp_path / "soft").symlink_to(tmp_path / "a")
    (tmp_path / "hard").hardlink_to(tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    for name in ("a", "./a", "../" + tmp_path.name + "/a", "soft", "hard"):
        assert is_same(Path(name), tmp_path / "a")
    assert not is_same(tmp_path / "b", tmp_path / "a")


def test_files_that_do_not_exist_can_be_the_same(tmp_path: Path, monkeypatch):
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert is_same(Path("link/new"), tmp_path / "new")


def test_letters_of_another_case_are_the_same_where_the_file_system_says_so(
    tmp_path: Path, monkeypatch
):
    one, other = tmp_path / "Out.mp4", tmp_path / "out.MP4"
    assert not is_same(one, other)
    monkeypatch.setattr(fairy.media.names, "_ignores_case", lambda folder: True)
    assert is_same(one, other)


def test_inside_is_known_through_links(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    assert is_inside(tmp_path / "link" / "a" / "b", tmp_path / "folder")
    assert is_inside(tmp_path / "folder" / "a", tmp_path / "link")
    assert not is_inside(tmp_path / "folder2", tmp_path / "folder")
    assert not is_inside(tmp_path / "folder", tmp_path / "folder")


def test_links_in_a_circle_are_a_name_like_any_other(tmp_path: Path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert not is_same(tmp_path / "a", tmp_path / "c")


def test_what_is_no_name_is_said():
    with pytest.raises(MediaError, match="not a name of a file"):
        real(Path("a\0b"))


@pytest.mark.parametrize("length", [3, 240, 250, 255])
@pytest.mark.parametrize("letter", ["a", "ü"])
def test_names_beside_long_ones_can_be_written(tmp_path: Path, length: int, letter: str):
    path = tmp_path / os.fsencode(letter * length)[:length].decode(errors="ignore")
    names = {beside(path, ending) for ending in (".fairy", ".preview.png")}
    names |= {beside(path, ".fairy.part", hidden=True), beside(path.with_name("b"), ".fairy")}
    assert len(names) == 4
    for name in names:
        name.touch()


def test_two_long_names_have_two_names_beside_them(tmp_path: Path):
    assert beside(Path("a" * 254 + "b"), ".fairy") != beside(Path("a" * 254 + "c"), ".fairy")


@pytest.mark.parametrize(
    ("name", "is_left"),
    [(".DS_Store", True), ("Thumbs.db", True), ("._a.png", True), (".a.png", False)],
)
def test_files_of_file_managers(name: str, is_left: bool):
    assert is_left_by_others(Path(name)) == is_left


def test_a_current_folder_that_was_deleted_is_said(tmp_path: Path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(MediaError, match="the current folder was deleted: change to another"):
        real(Path("out.mp4"))
    assert real(tmp_path / "out.mp4") == tmp_path / "out.mp4"
    # Where pytest goes on from
    monkeypatch.chdir(tmp_path)
