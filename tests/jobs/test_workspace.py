"""The workspace: whole parts only, one process at a time, nothing of anybody else's deleted."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fairy.errors import MediaError, SettingsError
from fairy.jobs.manifest import Manifest, SourceIdentity
from fairy.jobs.workspace import Workspace
from tests.tiny import make_frames

HOLD_THE_LOCK = """
import sys, time
from pathlib import Path
from fairy.jobs.workspace import Workspace
with Workspace(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def make_manifest(seed: int = 0, compare: str | None = None) -> Manifest:
    source = SourceIdentity(name="clip.mp4", size_bytes=3, content="abc", files="def")
    return Manifest(
        source=source,
        instruction="snow",
        settings={"seed": seed},
        shots=((0, 9),),
        shots_setting="off",
        compare=compare,
        model_name="mini",
    )


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.mp4"


def begin(workspace: Workspace, manifest: Manifest | None = None) -> None:
    manifest = manifest or make_manifest()
    workspace.check(manifest)
    workspace.begin(manifest)


def encode(workspace: Workspace, role: str, first: int, end: int, content: str = "") -> None:
    """Write a file in the place of an encoded segment."""
    path = workspace.new_path(role, first, end)
    path.write_text(content)
    workspace.seal(path)


def test_kept_frames_come_back(out: Path):
    frames = make_frames(5)
    with Workspace(out) as workspace:
        begin(workspace)
        workspace.keep(0, frames[:2])
        workspace.keep(2, frames[2:])
        assert workspace.num_done == 5
        kept = workspace.kept(range(1, 4))
    assert list(kept) == [1, 2, 3]
    assert np.array_equal(list(kept.values()), frames[1:4])


def test_frames_may_be_done_in_any_order(out: Path):
    with Workspace(out) as workspace:
        begin(workspace)
        workspace.keep(7, make_frames(2))
        workspace.keep(0, make_frames(2))
        encode(workspace, "result", 2, 5)
        assert workspace.num_done == 7
        assert list(workspace.kept(range(9))) == [0, 1, 7, 8]


def test_frames_in_segments_are_done_and_need_not_be_kept(out: Path):
    with Workspace(out) as workspace:
        begin(workspace)
        workspace.keep(0, make_frames(4))
        workspace.keep(4, make_frames(3))
        encode(workspace, "result", 0, 4)
        workspace.drop_kept(range(4))
        assert workspace.num_done == 7
        assert list(workspace.kept(range(9))) == [4, 5, 6]


def test_a_segment_counts_when_every_output_has_it(out: Path):
    with Workspace(out) as workspace:
        begin(workspace, make_manifest(compare="side.mp4"))
        encode(workspace, "result", 0, 4)
        assert workspace.num_done == 0
        encode(workspace, "compare", 0, 4)
        assert workspace.num_done == 4


def test_a_segment_made_again_replaces_the_first(out: Path):
    with Workspace(out) as workspace:
        begin(workspace)
        for content in ("before", "after"):
            encode(workspace, "result", 0, 4, content)
        (part,) = workspace.parts("result")
        assert part.path.read_text() == "after"


def damaged_by_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [damaged_by_a_byte, cut_short])
@pytest.mark.parametrize("role", ["result", "frames", "anchors"])
def test_a_damaged_part_is_deleted_and_the_others_stay(
    out: Path, role: str, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
):
    with Workspace(out) as workspace:
        begin(workspace)
        encode(workspace, "result", 0, 4, "a")
        workspace.keep(4, make_frames(2))
        anchors = workspace.new_path("anchors", 0)
        anchors.write_text("a")
        workspace.seal(anchors)
        (part,) = workspace.parts(role)
    damage(part.path)
    with Workspace(out) as workspace:
        left = {other.role for other in workspace.parts()}
    assert left == {"result", "frames", "anchors"} - {role}
    assert f"{part.path}: damaged" in caplog.text


def test_what_is_done_stays_and_unfinished_parts_go(out: Path):
    with Workspace(out) as workspace:
        begin(workspace)
        workspace.keep(0, make_frames(2))
        (workspace.path / "result-00000000-00000004.segment.part").touch()
        # Whole, but its process was killed before it was sealed
        workspace.new_path("result", 4, 8).touch()
        (part,) = workspace.parts()
    names = {path.name for path in workspace.path.iterdir()}
    assert names == {"lock", "manifest.json", part.path.name}


def test_nothing_done_leaves_nothing(out: Path):
    with Workspace(out) as workspace:
        begin(workspace)
    assert list(out.parent.iterdir()) == []


def test_what_the_job_did_not_write_is_never_deleted(out: Path):
    with Workspace(out) as workspace:
        begin(workspace)
        workspace.keep(0, make_frames(2))
        (workspace.path / "mine.txt").write_text("mine")
        workspace.clear()
    assert (workspace.path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["mine.txt", "frames-00000000-00000002.npy"])
def test_a_folder_of_that_name_without_manifest_is_refused(out: Path, name: str):
    folder = out.with_name("out.mp4.fairy")
    folder.mkdir()
    (folder / name).write_text("mine")
    with pytest.raises(MediaError, match="rename it, or give another output"), Workspace(out):
        pass
    assert (folder / name).read_text() == "mine"


def test_a_manifest_of_another_kind_is_refused(out: Path):
    folder = out.with_name("out.mp4.fairy")
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(MediaError, match="not a manifest of Fairy's: move"), Workspace(out):
        pass
    assert (folder / "manifest.json").read_text() == "{}"


def test_a_changed_setting_is_refused_with_what_differs(out: Path):
    with Workspace(out) as workspace:
        begin(workspace)
        workspace.keep(0, make_frames(2))
        words = r"2 frames are done with other settings \(seed was 0, is 1\).*--restart"
        with pytest.raises(SettingsError, match=words):
            workspace.check(make_manifest(seed=1))
        assert workspace.num_done == 2


def test_a_preview_with_other_settings_is_no_reason_to_refuse(out: Path):
    with Workspace(out) as workspace:
        begin(workspace)
        anchors = workspace.new_path("anchors", 0)
        anchors.touch()
        workspace.seal(anchors)
        assert workspace.anchors(0)
        workspace.check(make_manifest(seed=1))
        assert not workspace.anchors(0)


def test_a_second_process_is_refused(out: Path):
    with Workspace(out) as first:
        begin(first)
        with pytest.raises(MediaError, match="another process is writing it"), Workspace(out):
            pass
        first.keep(0, make_frames(2))
    with Workspace(out) as second:
        assert second.num_done == 2


def test_the_lock_of_a_killed_process_is_free(out: Path):
    # A new interpreter: a fork of this one would lack the threads that torch waits for
    child = subprocess.Popen([sys.executable, "-c", HOLD_THE_LOCK, out], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline().strip() == b"held"
    with pytest.raises(MediaError, match="another process"), Workspace(out):
        pass
    child.kill()
    child.communicate()
    with Workspace(out) as workspace:
        begin(workspace)
        workspace.keep(0, make_frames(2))
        assert workspace.num_done == 2


def test_an_output_is_known_as_the_jobs_own_by_more_than_its_name(out: Path):
    with Workspace(out) as workspace:
        begin(workspace)
        part = workspace.path / "result.part"
        part.write_text("edited")
        workspace.remember(part)
        out.write_text("mine")
        assert not workspace.wrote(out)
        part.replace(out)
        assert workspace.wrote(out)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_without_locks_the_work_goes_on_with_a_note(tmp_path, monkeypatch, caplog, number):
    def no_lock(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", no_lock)
    with Workspace(tmp_path / "out.mp4") as workspace:
        assert workspace.path.is_dir()
    # Of ENOSYS alone filelock knows, and has another kind of lock for it
    assert number == errno.ENOSYS or "this file system has no locks" in caplog.text


def test_a_lock_that_another_holds_is_still_respected(tmp_path, caplog):
    with (
        Workspace(tmp_path / "out.mp4"),
        pytest.raises(MediaError, match="another process is writing it"),
        Workspace(tmp_path / "out.mp4"),
    ):
        pass
    assert caplog.text == ""


def test_without_fsync_the_work_goes_on_with_a_note(tmp_path, monkeypatch, caplog):
    def no_fsync(descriptor):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", no_fsync)
    images = np.zeros((2, 8, 8, 3), np.uint8)
    with Workspace(tmp_path / "out.mp4") as workspace:
        workspace.begin(make_manifest())
        workspace.keep(0, images)
        assert np.array_equal(workspace.kept(range(2))[1], images[1])
    assert caplog.text.count("does not say when files are on the disk") == 1


def test_an_error_of_the_disk_is_no_missing_fsync(tmp_path, monkeypatch):
    def broken(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    with Workspace(tmp_path / "out.mp4") as workspace, pytest.raises(OSError, match="Input/output"):
        workspace.keep(0, np.zeros((1, 8, 8, 3), np.uint8))


def test_who_leaves_last_deletes_what_is_left(out: Path):
    with Workspace(out) as workspace:
        begin(workspace)
    workspace.path.mkdir(exist_ok=True)
    workspace.claims.mkdir()
    (workspace.claims / "rank-1.0").touch()
    workspace.leave()
    assert not workspace.path.exists()


def test_who_leaves_first_deletes_nothing(out: Path):
    with Workspace(out) as workspace:
        begin(workspace)
        workspace.claims.mkdir()
        (workspace.claims / "leader.0").touch()
        Workspace(out).leave()
        assert (workspace.claims / "leader.0").exists()


def test_claims_that_somebody_still_writes_are_deleted(out: Path, monkeypatch: pytest.MonkeyPatch):
    rmtree, calls = shutil.rmtree, []

    def late(path: Path, **options: object) -> None:
        rmtree(path, **options)
        calls.append(path)
        if len(calls) < 3:
            path.mkdir()
            (path / "rank-1.0").touch()

    with Workspace(out) as workspace:
        workspace.claims.mkdir()
        monkeypatch.setattr(shutil, "rmtree", late)
    assert not workspace.path.exists()
