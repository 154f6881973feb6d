"""A manifest tells what would change the frames from what would not."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from fairy.editors.base import EditorIdentity
from fairy.jobs.manifest import (
    Manifest,
    SourceIdentity,
    effective_settings,
    join_words,
)
from fairy.settings import EditConfig


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"abcdef")
    return path


def make_manifest(clip: Path, config: EditConfig | None = None) -> Manifest:
    return Manifest(
        source=SourceIdentity.of(clip),
        instruction="snow",
        settings=effective_settings(config or EditConfig()),
        shots=((0, 9),),
        shots_setting="auto",
        compare=None,
        model_name="mini",
    )


def differences(now: Manifest, earlier: Manifest) -> str:
    return join_words(now.differences(json.loads(earlier.to_json())))


def test_the_same_job_differs_in_nothing(clip: Path):
    assert differences(make_manifest(clip), make_manifest(clip)) == ""


def test_another_time_or_name_of_the_same_content_is_no_difference(clip: Path):
    before = make_manifest(clip)
    os.utime(clip, (1, 1))
    moved = clip.rename(clip.with_name("moved.mp4"))
    assert differences(make_manifest(moved), before) == ""


def test_other_content_of_the_same_size_and_time_is_a_difference(clip: Path):
    before, times = make_manifest(clip), (clip.stat().st_atime, clip.stat().st_mtime)
    clip.write_bytes(b"abcdeg")
    os.utime(clip, times)
    assert differences(make_manifest(clip), before) == "the clip's content has changed"


def test_a_renamed_image_of_a_folder_is_a_difference(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"1")
    (tmp_path / "b.png").write_bytes(b"2")
    before = SourceIdentity.of(tmp_path)
    (tmp_path / "a.png").rename(tmp_path / "c.png")
    assert SourceIdentity.of(tmp_path).content != before.content


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (EditConfig(seed=3), "seed was 0, is 3"),
        (EditConfig(size=64), "size was the default, is 64"),
        (EditConfig(crf=20), "crf was the default, is 20"),
        (EditConfig(reuse=2), "reuse was 1, is 2"),
        (
            EditConfig(guidance_interval=(0.0, 0.5)),
            "guidance_interval was [0.0, 1.0], is [0.0, 0.5]",
        ),
        (EditConfig(fp8=True), "fp8 was false, is true"),
        (EditConfig(decoder="tiny"), 'decoder was the default, is "tiny"'),
    ],
)
def test_a_changed_setting_is_said(clip: Path, config: EditConfig, words: str):
    assert differences(make_manifest(clip, config), make_manifest(clip)) == words


def test_a_bundle_and_its_values_are_the_same_edit(clip: Path):
    spelled_out = make_manifest(clip, EditConfig(reuse=2))
    assert differences(make_manifest(clip, EditConfig(quality="balanced")), spelled_out) == ""


def test_batch_size_and_place_of_the_cache_change_nothing(clip: Path):
    config = EditConfig(frame_batch_size=3, anchor_cache_device="cpu")
    assert differences(make_manifest(clip, config), make_manifest(clip)) == ""


def test_shots_and_versions_are_compared(clip: Path):
    before = make_manifest(clip)
    now = replace(before, shots=((0, 4), (4, 9)), versions={**before.versions, "torch": "0.1"})
    assert "shots was [[0, 9]], is [[0, 4], [4, 9]]" in differences(now, before)
    assert 'is "0.1"' in differences(now, before)


def test_the_model_and_its_size_are_compared_once_they_are_known(clip: Path):
    identity = EditorIdentity(weights="1", device="cpu", dtype="float32")
    before = replace(make_manifest(clip), editor=identity, size=(24, 32))
    assert differences(make_manifest(clip), before) == ""
    other = replace(before, editor=replace(identity, weights="2"), model_name="another")
    assert differences(other, before) == "the model is another one"
    assert differences(replace(before, size=(48, 64)), before) == "size was [24, 32], is [48, 64]"
    half = replace(before, editor=replace(identity, dtype="float16"))
    assert differences(half, before) == 'dtype was "float32", is "float16"'
