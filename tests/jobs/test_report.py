"""The report says what happened, as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fairy.control.schedule import Stretch
from fairy.editors.ip2p.session import UsedSettings
from fairy.jobs.report import EditReport, provenance
from fairy.settings import EXACT, EditConfig
from fairy.system import versions


@pytest.fixture
def report() -> EditReport:
    return EditReport(
        source="in.mp4",
        out="out.mp4",
        compare=None,
        instruction="naïve sketch",
        settings=EditConfig(seed=7),
        used=UsedSettings(
            num_inference_steps=10,
            guidance_scale=1.0,
            image_guidance_scale=1.0,
            num_groups=1,
            anchor_indices=(1, 3),
            frame_batch_size=2,
            height=24,
            width=32,
            device="cpu",
            dtype="torch.float32",
            scheduler="EulerAncestralDiscreteScheduler",
            backend="sdpa",
            backend_reason="asked for",
            anchor_cache_device="cpu",
            anchor_cache_bytes=1,
            quality="exact",
            shortcuts=EXACT,
        ),
        num_frames=5,
        num_frames_out=5,
        fps="30000/1001",
        size=(48, 64),
        seconds={"load": 2.0, "edit": 8.0, "total": 12.0},
        codec_seconds={"read": 0.5, "write": 1.5},
        model_seconds={"frames": 7.0},
        peak_memory_bytes=1,
        peak_device_memory_bytes=None,
    )


def test_report_is_json_with_settings_and_versions(report: EditReport, tmp_path: Path):
    report.write(tmp_path / "report.json")
    document = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert document["settings"]["seed"] == 7
    assert document["used"]["anchor_indices"] == [1, 3]
    assert document["instruction"] == "naïve sketch"
    assert document["versions"]["torch"] == versions()["torch"]
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_report_names_the_files_among_the_settings(report: EditReport):
    settings = EditConfig(keyframes=Path("frames"), c2pa=(Path("cert.pem"), Path("key.pem")))
    document = json.loads(replace(report, settings=settings).to_json())["settings"]
    assert (document["keyframes"], document["c2pa"]) == ("frames", ["cert.pem", "key.pem"])


def test_provenance_is_one_line_of_json():
    line = provenance("naïve sketch", EditConfig(seed=7))
    assert "\n" not in line and "naïve" in line
    document = json.loads(line)
    assert document["version"] == versions()["fairy"]
    assert (document["model"], document["seed"]) == ("mini", 7)


def test_provenance_says_what_is_not_exact_and_nothing_else():
    assert json.loads(provenance("snow", EditConfig()))["quality"] == "exact"
    assert "reuse" not in json.loads(provenance("snow", EditConfig()))
    config = EditConfig(quality="fast", reuse=5, decoder="tiny")
    document = json.loads(provenance("snow", config))
    assert (document["quality"], document["reuse"], document["decoder"]) == ("custom", 5, "tiny")
    assert "fp8" not in document


def test_provenance_names_the_instructions_of_a_schedule():
    stretches = [Stretch(0, 4, ""), Stretch(4, 9, "night")]
    document = json.loads(provenance("snow", EditConfig(), stretches))
    assert document["schedule"] == {"0": "", "4": "night"} and "instruction" not in document
    document = json.loads(provenance("snow", EditConfig(), [Stretch(0, 9, "snow")]))
    assert document["instruction"] == "snow" and "schedule" not in document


def test_loading_does_not_count_as_editing(report: EditReport):
    assert report.frames_per_second == pytest.approx(5 / 10)
