"""No output may replace, contain or be inside an input; only Fairy's own files are deleted."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as PilImage

from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import FairyError, SettingsError
from fairy.jobs.apart import check_apart, clashes
from fairy.jobs.edit import edit_video
from fairy.jobs.plan import EditRequest, check_outputs
from fairy.jobs.preview import preview_video
from fairy.media.folder import MANIFEST
from fairy.media.write import write_video
from fairy.settings import EditConfig
from tests.tiny import make_frames

TINY = EditConfig(size=32, num_inference_steps=1, num_anchors=1, shots="off")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of two pictures of a person's own."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, image in enumerate(make_frames(2, 48, 64)):
        PilImage.fromarray(image).save(folder / f"{index}.png")
    return folder


def tree(folder: Path) -> dict[str, str]:
    """Return the hash of every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def other_names(path: Path) -> list[Path]:
    """Return further names of a file or folder: by a link, and relative."""
    link = path.with_name("link")
    link.symlink_to(path)
    names = [path, link, Path(os.path.relpath(path)), path / ".." / path.name]
    if path.is_file():
        names.append(path.with_name("hard.png"))
        names[-1].hardlink_to(path)
    return names


ROLES = ("out", "compare", "report")


@pytest.mark.parametrize("role", ROLES)
def test_the_clip_under_any_name_is_no_output(tmp_path: Path, role: str):
    clip = tmp_path / "clip.png"
    PilImage.fromarray(make_frames(1, 48, 64)[0]).save(clip)
    for name in other_names(clip):
        named = {"out": tmp_path / "out.png", role: name}
        with pytest.raises(SettingsError, match="would replace the clip to edit"):
            check_outputs(EditRequest.of(clip, "snow", overwrite=True, **named))


@pytest.mark.parametrize("role", ROLES)
def test_no_output_holds_the_clip(pictures: Path, role: str):
    for name in other_names(pictures):
        named = {"out": pictures.with_name("out"), role: name}
        with pytest.raises(SettingsError, match=r"the clip to edit is in this folder"):
            check_outputs(EditRequest.of(pictures / "1.png", "snow", overwrite=True, **named))


@pytest.mark.parametrize("role", ROLES)
def test_no_output_is_in_the_folder_of_the_clip(pictures: Path, role: str):
    for name in other_names(pictures):
        named = {"out": pictures.with_name("out"), role: name / "new"}
        with pytest.raises(SettingsError, match="would be in the clip to edit"):
            check_outputs(EditRequest.of(pictures, "snow", overwrite=True, **named))


def test_a_link_to_a_picture_of_the_clip_is_no_output(pictures: Path):
    out = pictures.with_name("out.png")
    out.hardlink_to(pictures / "1.png")
    with pytest.raises(SettingsError, match="would replace a picture of the clip to edit"):
        check_outputs(EditRequest.of(pictures, "snow", out, overwrite=True))


def test_a_clip_in_the_folder_of_work_is_refused(tmp_path: Path):
    work = tmp_path / "out.mp4.fairy"
    work.mkdir()
    with pytest.raises(SettingsError, match="is in this folder"):
        check_outputs(EditRequest.of(work / "clip.mp4", "snow", tmp_path / "out.mp4"))


@pytest.mark.parametrize("roles", [("out", "compare"), ("out", "report"), ("compare", "report")])
def test_no_output_is_in_another(tmp_path: Path, roles: tuple[str, str]):
    (tmp_path / "a").mkdir()
    named = {"out": tmp_path / "out.mp4", roles[0]: tmp_path / "a", roles[1]: tmp_path / "a" / "b"}
    with pytest.raises(SettingsError, match="would be in"):
        check_outputs(EditRequest.of(tmp_path / "clip.mp4", "snow", overwrite=True, **named))


def test_the_file_of_shots_is_no_output(tmp_path: Path):
    shots = tmp_path / "shots.json"
    shots.write_text("[[0, 2]]")
    config = EditConfig(shots=str(shots))
    with pytest.raises(SettingsError, match="would replace --shots"):
        check_outputs(
            EditRequest.of(
                tmp_path / "a.mp4", "snow", tmp_path / "b.mp4", config, report=shots, overwrite=True
            )
        )


def test_a_preview_is_not_drawn_over_the_picture_that_it_shows(tmp_path: Path, pipe: FairyPipeline):
    clip = tmp_path / "clip.png"
    PilImage.fromarray(make_frames(1, 48, 64)[0]).save(clip)
    sheet = preview_video(clip, "snow", tmp_path / "out.png", TINY, num_frames=1, pipeline=pipe)
    before = sheet.read_bytes()
    with pytest.raises(SettingsError, match="the contact sheet would replace the clip to edit"):
        preview_video(sheet, "snow", tmp_path / "out.png", TINY, num_frames=1, pipeline=pipe)
    assert sheet.read_bytes() == before


def test_files_apart_are_allowed(tmp_path: Path):
    inputs = {"the clip": tmp_path / "a.mp4"}
    check_apart(inputs, {"the result": tmp_path / "b.mp4", "--report": tmp_path / "b.json"})


def test_a_job_that_reads_what_another_writes_is_refused_with_it(tmp_path: Path):
    a, b, c = (tmp_path / f"{name}.mp4" for name in "abc")
    jobs = {1: ({"clip": a}, {"result": b}), 2: ({"clip": b}, {"result": c})}
    found = clashes(jobs)
    assert set(found) == {1, 2}
    assert "line 1 writes what line 2 reads: put them into two lists" in found[2]
    # In any order
    assert set(clashes({1: jobs[2], 2: jobs[1]})) == {1, 2}


def test_a_job_that_reads_a_picture_of_another_jobs_folder_is_refused(tmp_path: Path):
    folder = tmp_path / "frames"
    jobs = {
        1: ({"clip": tmp_path / "a.mp4"}, {"result": folder}),
        2: ({"clip": folder / "000000.png"}, {"result": tmp_path / "b.png"}),
        3: ({"clip": tmp_path / "a.mp4"}, {"result": tmp_path / "c.mp4"}),
    }
    assert set(clashes(jobs)) == {1, 2}


def test_two_jobs_do_not_write_one_file(tmp_path: Path):
    clip, out = {"clip": tmp_path / "a.mp4"}, {"result": tmp_path / "b.mp4"}
    assert clashes({1: (clip, out), 2: (clip, out)}) == {
        2: f"{out['result']}: line 1 writes it; give it another name"
    }


def test_the_pictures_of_a_person_are_never_overwritten(pictures: Path, pipe: FairyPipeline):
    """The bug report: `fairy edit ph/I2.png "..." -o ph --overwrite` left one picture."""
    before = tree(pictures)
    for source in (pictures / "1.png", pictures):
        with pytest.raises(SettingsError):
            edit_video(source, "snow", pictures, TINY, pipeline=pipe, overwrite=True)
    assert tree(pictures) == before


NAMES = [
    "0.png",
    "000000.png",
    "000001.png",
    "a.PNG",
    "notes.txt",
    ".DS_Store",
    "._a.png",
    MANIFEST,
]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    foreign=st.dictionaries(st.sampled_from(NAMES), st.binary(max_size=20), max_size=4),
    below=st.dictionaries(st.sampled_from(NAMES), st.binary(max_size=20), max_size=2),
    written_before=st.booleans(),
    changed=st.booleans(),
)
def test_files_that_are_not_ours_stay_as_they_are(
    tmp_path_factory: pytest.TempPathFactory,
    foreign: dict[str, bytes],
    below: dict[str, bytes],
    written_before: bool,
    changed: bool,
):
    out = tmp_path_factory.mktemp("tree") / "out"
    ours: set[str] = set()
    if written_before:
        write_video(make_frames(2, 16, 16), out)
        ours = {"000000.png", "000001.png", MANIFEST}
        if changed:
            # A person has worked on it: it is theirs now
            (out / "000001.png").write_bytes(b"retouched")
            ours.remove("000001.png")
    for folder, files in ((out, foreign), (out / "below", below)):
        for name, content in files.items():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
            if folder == out:
                ours.discard(name)
    if MANIFEST in foreign:
        ours = set()
    before = {name: known for name, known in tree(out).items() if name not in ours}
    with suppress(FairyError):
        write_video(make_frames(1, 16, 16, seed=1), out, overwrite=True)
    after = tree(out)
    assert {name: after.get(name) for name in before} == before


@pytest.fixture
def written(tmp_path: Path) -> Callable[[], Path]:
    """A function: a folder that Fairy wrote."""

    def make() -> Path:
        write_video(make_frames(3, 16, 16), tmp_path / "out")
        return tmp_path / "out"

    return make


def test_what_a_file_manager_left_is_kept(written: Callable[[], Path]):
    out = written()
    (out / ".DS_Store").write_bytes(b"views")
    write_video(make_frames(1, 16, 16), out, overwrite=True)
    assert sorted(tree(out)) == [".DS_Store", MANIFEST, "000000.png"]
    assert (out / ".DS_Store").read_bytes() == b"views"


def test_what_appears_in_the_folder_during_the_edit_is_kept(written: Callable[[], Path]):
    out = written()

    def frames():
        yield from make_frames(1, 16, 16)
        (out / "mine.txt").write_text("notes")

    with pytest.raises(FairyError, match=r"Fairy did not write, such as mine\.txt"):
        write_video(frames(), out, overwrite=True)
    assert (out / "mine.txt").read_text() == "notes"


def test_a_file_that_appears_during_the_edit_is_kept(tmp_path: Path):
    out = tmp_path / "out.mp4"

    def frames():
        yield from make_frames(1, 16, 16)
        out.write_text("mine")

    with pytest.raises(FairyError, match="already there"):
        write_video(frames(), out)
    assert out.read_text() == "mine"


def test_a_folder_of_pictures_without_a_manifest_is_not_ours(pictures: Path):
    before = tree(pictures)
    with pytest.raises(FairyError, match="holds files that Fairy did not write, such as"):
        write_video(np.zeros((1, 16, 16, 3), np.uint8), pictures, overwrite=True)
    assert tree(pictures) == before
