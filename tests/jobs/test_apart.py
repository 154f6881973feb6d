"""No output may replace, contain or be inside an input; only Fairy's own files are deleted."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Set
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as PilImage

from fairy.batch.runner import run_batch
from fairy.cli.evaluate import EvalOptions
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import FairyError, SettingsError
from fairy.jobs.apart import check_apart, clashes
from fairy.jobs.edit import edit_video
from fairy.jobs.export_anchors import export_anchors
from fairy.jobs.plan import EditRequest, check_files_apart, check_outputs, request_outputs
from fairy.jobs.preview import preview_video
from fairy.media.folder import MANIFEST, own_files
from fairy.media.names import identities
from fairy.media.write import write_video
from fairy.options import Settings, named_files, options_of
from fairy.settings import BatchOptions, EditConfig, EditRun, RunOptions
from tests.stand_in_editor import StandInEditor
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


ROLES = ("out", "compare", "report", "save_masks")


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
    with pytest.raises(SettingsError, match="would replace a file of the clip to edit"):
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


NOT_WRITTEN_THEMSELVES = {
    # The folder of work is in it
    "work_dir",
    # Below it is what the lines of a list name
    "out",
}


@pytest.mark.parametrize("settings", [EditConfig, RunOptions, EditRun, BatchOptions, EvalOptions])
def test_every_option_that_names_a_file_says_whether_it_is_read(settings: type[Settings]):
    for field in options_of(settings):
        words = re.findall("[A-Z]+", field.option.metavar or "")
        names_a_file = "Path" in str(field.type) or {"PATH", "FILE", "DIR"} & {*words}
        if names_a_file and field.name not in (*NOT_WRITTEN_THEMSELVES, "compare"):
            assert field.option.file is not None, field.flag


def read_options(folder: Path) -> dict[str, EditConfig]:
    """Return settings that read `folder/file` and the like, one for each option that reads."""
    file = folder / "file"
    file.write_text("{}")
    (folder / "folder").mkdir()
    return {
        "--mask": EditConfig(mask=str(file)),
        "--keyframes": EditConfig(keyframes=folder / "folder"),
        "--keyframe": EditConfig(keyframe=(f"3={file}",)),
        "--schedule": EditConfig(schedule=file),
        "--shots": EditConfig(shots=str(file)),
        "--c2pa": EditConfig(c2pa=(file, folder / "key.pem")),
        "--model": EditConfig(model=str(file)),
        "--decoder": EditConfig(decoder=str(folder / "folder")),
        "--lora": EditConfig(lora=(f"{file}:0.5",)),
        "--control": EditConfig(control=(f"canny={folder / 'folder'}:0.5",)),
        "--ip-adapter": EditConfig(ip_adapter=f"{file}:0.5"),
        "--ref": EditConfig(ref=(file,)),
        "--upscale": EditConfig(upscale=str(file)),
    }


def test_every_option_that_reads_a_file_is_tried_here(tmp_path: Path):
    expected = {one.flag for one in options_of(EditConfig) if one.option.file == "read"}
    assert set(read_options(tmp_path)) == expected


WRITES = ("out", "compare", "report", "save_masks", "work_dir", "anchors", "settings")


@pytest.mark.parametrize("write", WRITES)
def test_no_output_replaces_what_an_option_reads(tmp_path: Path, write: str):
    for flag, config in read_options(tmp_path).items():
        for path in named_files(EditConfig, config, "read").values():
            with pytest.raises(SettingsError, match=f"would .* {flag}"):
                write_to(path, write, tmp_path, config)


def write_to(path: Path, write: str, folder: Path, config: EditConfig) -> None:
    """Ask for an output at `path`."""
    clip, out = folder / "clip.mp4", folder / "out.mp4"
    if write == "anchors":
        export_anchors(clip, path, config)
    elif write == "settings":
        request = EditRequest.of(clip, "snow", out, config, overwrite=True)
        check_files_apart(request, written={"--save-settings": path})
    elif write == "work_dir":
        # The folder of work would be in it, or it would be a file
        out, work_dir = path.with_name("file.mp4"), path if path.is_dir() else path / "below"
        check_outputs(EditRequest.of(clip, "snow", out, config, work_dir=work_dir))
    else:
        named = {"out": out, write: path}
        check_outputs(EditRequest.of(clip, "snow", config=config, overwrite=True, **named))


def test_jobs_of_a_list_do_not_share_a_folder_of_work(tmp_path: Path):
    found = clashes(
        {
            line: ({}, request_outputs(EditRequest.of("a", "b", out, work_dir=tmp_path / "work")))
            for line, out in enumerate(("x/out.mp4", "y/out.mp4"), start=1)
        }
    )
    assert "line 1 writes it" in found[2]


def test_no_job_writes_into_the_folder_that_another_writes(tmp_path: Path):
    jobs = {1: ({}, {"result": tmp_path / "a"}), 2: ({}, {"result": tmp_path / "a" / "b.mp4"})}
    assert "line 1 writes a folder that this is in" in clashes(jobs)[2]


@pytest.mark.parametrize("column", ["output", "report"])
def test_no_job_replaces_the_list_or_the_settings_that_it_uses(tmp_path: Path, column: str):
    jobs, saved = tmp_path / "jobs.jsonl", tmp_path / "settings.json"
    lines = [
        {"input": "a.mp4", "instruction": "snow", "output": f"{number}.mp4", column: str(path)}
        for number, path in enumerate((jobs, saved))
    ]
    jobs.write_text("\n".join(map(json.dumps, lines)))
    of_list, of_settings = run_batch(jobs, settings_file=saved)
    assert "would replace the list of jobs" in (of_list.error or "")
    assert "would replace --settings" in (of_settings.error or "")
    assert len(jobs.read_text().splitlines()) == 2


READ = ["a", "a/0.png", "c.png", "d/e.png", "g.gif"]
WRITTEN = {
    "out": ["new.mp4", "new/a.mkv", "new", "d/new", "new.gif", "c.json/x", "old.mp4", "written"],
    "compare": ["both.mp4", "new/both.mkv", "d/both.gif", "old.mp4"],
    "report": ["report.json", "new/report.json", "d/report.json", "old.json"],
    "save_masks": ["masks", "d/masks", "new/masks"],
    "work_dir": ["work", "d/work", "deep/er/work"],
}
# Of an output's places, one in so many is that of something else
ODDS = 12


def place_of(role: str) -> st.SearchStrategy[str]:
    """Draw where an output goes: seldom to where something else is or goes."""
    fine = [place for place in WRITTEN[role] for _ in range(ODDS)]
    others = [*READ, *(place for places in WRITTEN.values() for place in places)]
    return st.integers(0, ODDS - 1).flatmap(lambda n: st.sampled_from(fine if n else others))


FOREIGN = ["d/notes.txt", "new/mine.png", "masks/0.png", ".DS_Store", "a/Thumbs.db", "work/a"]
TREES = st.fixed_dictionaries(
    {"source": st.sampled_from(READ), "out": place_of("out")},
    optional={
        "mask": st.sampled_from(["c.png", "d/e.png", "a/0.png", "a"]),
        "keyframe": st.sampled_from(["c.png", "d/e.png", "a/0.png", "written/000000.png"]),
        **{role: place_of(role) for role in WRITTEN if role != "out"},
    },
)


@pytest.fixture
def grown(tmp_path: Path) -> Path:
    """A tree of tiny pictures and clips, a result of Fairy's, and files of others."""
    pictures = make_frames(2, 16, 24)
    for name in ("a/0.png", "a/1.png", "c.png", "d/e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        PilImage.fromarray(pictures[0]).save(tmp_path / name)
    write_video(pictures, tmp_path / "g.gif", fps=10)
    write_video(pictures, tmp_path / "written")
    (tmp_path / "old.mp4").write_bytes(b"old")
    (tmp_path / "old.json").write_text("{}")
    return tmp_path


def test_an_edit_in_any_tree_leaves_every_file_as_it_is_or_replaces_its_own_output(
    tmp_path_factory: pytest.TempPathFactory, grown: Path
):
    """Any path may be the clip, the mask, a key frame, an output or the folder of work."""
    ends: list[bool] = []

    @settings(max_examples=32, deadline=None, database=None, derandomize=True)
    @given(places=TREES, foreign=st.sets(st.sampled_from(FOREIGN), max_size=1))
    def edit_in(places: dict[str, str], foreign: set[str]) -> None:
        root = tmp_path_factory.mktemp("tree") / "tree"
        shutil.copytree(grown, root)
        for name in foreign:
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(name)
        before, ours = tree(root), {f"written/{path.name}" for path in own_files(root / "written")}
        ended = run_in(root, places)
        after = tree(root)
        # A single file may be replaced if it is named as an output, and only then
        written = {places.get(role) for role in ("out", "compare", "report")}
        written -= {places[role] for role in ("source", "mask", "keyframe") if role in places}
        if ours & before.keys() and "written" in (places["out"], places.get("save_masks")):
            written |= ours
        assert {name for name in before if after.get(name) != before[name]} <= written
        assert not ended or (root / places["out"]).exists()
        ends.append(ended)

    edit_in()
    # Else the property would be one of refusals
    assert sum(ends) > len(ends) / 2


def run_in(root: Path, places: dict[str, str]) -> bool:
    """Edit in a tree; return whether the edit ran to its end."""
    named = {role: root / name for role, name in places.items()}
    config = EditConfig(
        num_anchors=1,
        shots="off",
        mask=str(named["mask"]) if "mask" in named else None,
        keyframe=(f"0={named['keyframe']}",) if "keyframe" in named else (),
    )
    options = {role: named[role] for role in WRITTEN if role in named and role != "out"}
    if config.mask is None:
        options.pop("save_masks", None)
    try:
        edit_video(
            named["source"], "snow", named["out"], config,
            pipeline=StandInEditor(), overwrite=True, **options,
        )  # fmt: skip
    except FairyError:
        return False
    return True


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


def test_a_list_looks_at_each_name_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: Counter[Path] = Counter()

    def counted(path: Path) -> Set[object]:
        asked[path] += 1
        return identities(path)

    monkeypatch.setattr("fairy.jobs.apart.identities", counted)
    jobs = {
        line: ({"clip": tmp_path / "clip.mp4"}, {"result": tmp_path / "out" / f"{line}.mp4"})
        for line in range(5)
    }
    assert clashes(jobs, {"list": tmp_path / "jobs.jsonl"}) == {}
    assert set(asked.values()) == {1}
