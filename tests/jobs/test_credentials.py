"""`--c2pa`: the record of an edit says what was done to what, and files are signed or refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import c2pa
import pytest

from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import MediaError, SettingsError
from fairy.jobs.credentials import edit_action
from fairy.jobs.edit import edit_video
from fairy.jobs.manifest import effective_settings
from fairy.jobs.plan import EditRequest, plan_edit
from fairy.media.signing import SIGNED_TYPES
from fairy.media.write import write_video
from fairy.settings import EditConfig
from fairy.system import versions
from tests.certificates import make_credentials
from tests.tiny import make_frames

INSTRUCTION = "make it snow"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_video(make_frames(3, 48, 64), tmp_path / "clip.mp4", fps=10)
    return tmp_path / "clip.mp4"


@pytest.fixture
def config(tmp_path: Path) -> EditConfig:
    keys = make_credentials(tmp_path / "keys")
    return EditConfig(size=32, num_inference_steps=1, num_anchors=1, seed=4, c2pa=keys)


def record(path: Path) -> dict[str, Any]:
    """Return the valid record of a file."""
    with path.open("rb") as file:
        document = json.loads(c2pa.Reader(SIGNED_TYPES[path.suffix], file).json())
    assert document["validation_state"] == "Valid"
    return document["manifests"][document["active_manifest"]]


def edited(path: Path) -> dict[str, Any]:
    """Return the action of a file's record that follows on the opening of the source."""
    [actions] = [one for one in record(path)["assertions"] if one["label"] == "c2pa.actions.v2"]
    opened, edit = actions["data"]["actions"]
    assert (opened["action"], edit["action"]) == ("c2pa.opened", "c2pa.edited")
    return edit


def test_record_names_tool_model_instruction_and_source(
    source: Path, pipe: FairyPipeline, config: EditConfig
):
    out = source.with_name("out.mp4")
    edit_video(source, INSTRUCTION, out, config, pipeline=pipe)
    edit = edited(out)
    assert edit["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert edit["softwareAgent"] == {"name": "Fairy", "version": versions()["fairy"]}
    told = {name: edit["parameters"][name] for name in ("instruction", "model", "seed")}
    assert told == {"instruction": INSTRUCTION, "model": "mini", "seed": 4}
    assert [one["title"] for one in record(out)["ingredients"]] == ["clip.mp4"]


def test_gif_and_side_by_side_clip_are_signed(
    source: Path, pipe: FairyPipeline, config: EditConfig
):
    out, side = source.with_name("out.gif"), source.with_name("side.mov")
    edit_video(source, INSTRUCTION, out, config, compare=side, pipeline=pipe)
    assert (record(out)["title"], record(side)["title"]) == ("out.gif", "side.mov")


def test_what_keeps_parts_of_the_source_is_a_composite(
    source: Path, pipe: FairyPipeline, config: EditConfig
):
    out = source.with_name("out.mp4")
    part = replace(config, region=(0, 0, 32, 32))
    edit_video(source, INSTRUCTION, out, part, pipeline=pipe)
    assert edited(out)["digitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")


def test_without_the_prompt_the_file_does_not_hold_it(
    source: Path, pipe: FairyPipeline, config: EditConfig
):
    with_it, without = source.with_name("with.mp4"), source.with_name("without.mp4")
    edit_video(source, INSTRUCTION, with_it, config, pipeline=pipe)
    quiet = replace(config, c2pa_no_prompt=True)
    edit_video(source, INSTRUCTION, without, quiet, pipeline=pipe)
    assert "instruction" not in edited(without)["parameters"]
    assert INSTRUCTION.encode() in with_it.read_bytes()
    assert INSTRUCTION.encode() not in without.read_bytes()


def test_without_the_prompt_a_schedule_is_left_out_too(source: Path, config: EditConfig):
    schedule = source.with_name("schedule.json")
    schedule.write_text('{"0": "make it night", "2": ""}')
    plan = plan_edit(
        EditRequest.of(
            source, INSTRUCTION, source.with_name("out.mp4"), replace(config, schedule=schedule)
        )
    )
    action = edit_action(plan)
    assert action["parameters"]["schedule"] == {"0": "make it night", "2": ""}
    assert action["digitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")
    quiet = replace(plan.request.config, c2pa_no_prompt=True)
    plan = replace(plan, request=replace(plan.request, config=quiet))
    assert edit_action(plan)["parameters"].keys().isdisjoint({"schedule", "instruction"})


@pytest.mark.parametrize("name", ["out.mkv", "out.webm", "out"])
def test_other_files_are_refused_before_any_work(source: Path, config: EditConfig, name: str):
    missing = replace(config, model="no such model")
    with pytest.raises(MediaError, match=rf"{name}: --c2pa cannot sign"):
        edit_video(source, INSTRUCTION, source.with_name(name), missing)


def test_a_missing_certificate_is_said_before_the_model_is_loaded(source: Path):
    config = EditConfig(c2pa=(Path("none.pem"), Path("none.pem")), model="no such model")
    with pytest.raises(SettingsError, match=r"none\.pem: cannot be read: No such file"):
        edit_video(source, INSTRUCTION, source.with_name("out.mp4"), config)


def test_an_output_may_not_replace_the_key(source: Path, config: EditConfig):
    assert config.c2pa is not None
    with pytest.raises(SettingsError, match="would replace --c2pa"):
        edit_video(source, INSTRUCTION, config.c2pa[1], config, overwrite=True)


def test_frames_that_are_done_do_not_depend_on_the_signature(config: EditConfig):
    unsigned = replace(config, c2pa=None)
    quiet = replace(config, c2pa_no_prompt=True)
    assert effective_settings(config) == effective_settings(unsigned) == effective_settings(quiet)


def test_no_prompt_without_a_signature_is_refused():
    with pytest.raises(SettingsError, match="nothing is signed: give --c2pa CERT KEY"):
        EditConfig(c2pa_no_prompt=True)


def test_nothing_is_put_in_place_when_signing_fails(
    source: Path, pipe: FairyPipeline, config: EditConfig, monkeypatch: pytest.MonkeyPatch
):
    out = source.with_name("out.mp4")

    def fail(*args: object) -> None:
        raise MediaError("out.mp4: cannot be signed")

    with monkeypatch.context() as patched:
        patched.setattr("fairy.media.signing.FileSigner.sign", fail)
        with pytest.raises(MediaError, match="3 of 3 frames are done and kept"):
            edit_video(source, INSTRUCTION, out, config, pipeline=pipe)
    assert not out.exists()
    report = edit_video(source, INSTRUCTION, out, config, pipeline=pipe)
    assert report.num_frames_kept == 3
    assert edited(out)["parameters"]["instruction"] == INSTRUCTION
