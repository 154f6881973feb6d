"""A list of jobs is read, and what is wrong in it is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairy.batch.joblist import make_job, read_lines
from fairy.errors import SettingsError
from fairy.settings import EditConfig, RunOptions, Shortcuts

JOB = {"input": "a.mp4", "instruction": "snow", "output": "b.mp4"}


def test_csv_and_json_lines_give_the_same_jobs(tmp_path: Path):
    (tmp_path / "jobs.csv").write_text("input,instruction,output,seed\na.mp4,snow,b.mp4,3\n")
    (tmp_path / "jobs.jsonl").write_text(
        '\n{"input": "a.mp4", "instruction": "snow", "output": "b.mp4", "seed": 3}\n'
    )
    jobs = [
        make_job(2, entries, EditConfig())
        for name in ("jobs.csv", "jobs.jsonl")
        for _, entries in read_lines(tmp_path / name)
    ]
    assert jobs[0] == jobs[1]
    assert jobs[0].config == EditConfig(seed=3)


def test_lines_are_numbered_as_an_editor_does(tmp_path: Path):
    (tmp_path / "jobs.csv").write_text("input,instruction,output\na,b,c\nd,e,f\n")
    assert [line for line, _ in read_lines(tmp_path / "jobs.csv")] == [2, 3]


def test_options_go_by_either_name_and_are_typed():
    options = {"--steps": "4", "frame-batch-size": "2", "guidance_scale": "1.5", "anchors": "4,0"}
    options |= {"keep_size": "no", "crf": "20", "strict": "true", "seed": "", "compare": "side.mp4"}
    job = make_job(1, JOB | options, EditConfig(seed=7))
    assert job.config.num_inference_steps == 4
    assert job.config.frame_batch_size == 2
    assert job.config.guidance_scale == 1.5
    assert job.config.anchor_indices == (4, 0)
    assert job.config.keep_size is False
    assert job.config.crf == 20
    assert job.config.strict is True
    assert job.config.seed == 7
    assert job.run == RunOptions(compare=Path("side.mp4"))


def test_a_quality_is_what_the_other_shortcuts_are_put_into():
    options = {"quality": "fast", "--reuse": "1", "guidance-interval": "0 0.5"}
    job = make_job(1, JOB | options, EditConfig())
    assert job.config.shortcuts == Shortcuts.of("fast", reuse=1, guidance_interval=(0.0, 0.5))
    job = make_job(1, JOB | {"guidance_interval": [0, 0.5], "fp8": True}, EditConfig())
    assert job.config == EditConfig(guidance_interval=(0.0, 0.5), fp8=True)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"output": ""}, "no output: every job needs input, instruction, output"),
        ({"sed": "3"}, "option 'sed' is unknown: use "),
        ({"overwrite": "maybe"}, "overwrite is 'maybe': give true or false"),
        ({"seed": "three"}, "seed is 'three': give a whole number"),
        ({"keep_size": "maybe"}, "keep_size is 'maybe': give true or false"),
        ({"anchors": "0;4"}, "give frame numbers, as in 0,40,80"),
        ({"guidance_interval": "0.5"}, "guidance_interval is '0.5': give two fractions"),
        ({"quality": "best"}, "quality 'best' is unknown: use exact, balanced, fast"),
        ({"steps": "0"}, "num_inference_steps is 0: it must be at least 1"),
    ],
)
def test_what_is_wrong_in_a_line_is_said(entries: dict[str, str], words: str):
    with pytest.raises(SettingsError, match=words):
        make_job(1, JOB | entries, EditConfig())


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("jobs.csv", "input,output\na,b\n", "no column instruction: give a .csv with"),
        ("jobs.csv", "input,instruction,output\na,b,c,d\n", "line 2 has more fields"),
        ("jobs.csv", "input,instruction,output,seed,Seed\n", "column seed occurs twice"),
        ("jobs.csv", "input,instruction,output\n", "contains no jobs"),
        ("jobs.jsonl", "[1]\n", "line 1 is not a JSON object"),
        ("jobs.jsonl", "{\n", "or a .jsonl with such objects"),
        ("jobs.jsonl", "[" * 100_000, "or a .jsonl with such objects"),
    ],
)
def test_a_list_of_another_form_is_refused(tmp_path: Path, name: str, text: str, words: str):
    (tmp_path / name).write_text(text)
    with pytest.raises(SettingsError, match=words):
        read_lines(tmp_path / name)


def test_a_missing_list_is_named(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"jobs\.csv: cannot be read: No such file"):
        read_lines(tmp_path / "jobs.csv")


def test_a_spreadsheets_line_breaks_and_empty_rows_are_read(tmp_path: Path):
    rows = ["input,instruction,output", 'a,"make it', 'snow",b', ",,", "", "c,d,e"]
    (tmp_path / "jobs.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(rows).encode())
    lines = read_lines(tmp_path / "jobs.csv")
    words = [entries["instruction"].split() for _, entries in lines]
    assert words == [["make", "it", "snow"], ["d"]]
    assert [number for number, _ in lines] == [3, 6]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_a_spreadsheets_heads_and_numbers_are_read(tmp_path: Path, delimiter: str, start: bytes):
    rows = [
        [" Input ", "instruction", "OUTPUT", "Steps", "anchors", ""],
        ["a", "b", "c", "7.0", "4 0", ""],
    ]
    text = "\r\n".join(delimiter.join(row) for row in rows)
    (tmp_path / "jobs.csv").write_bytes(start + text.encode())
    ((line, entries),) = read_lines(tmp_path / "jobs.csv")
    config = make_job(line, entries, EditConfig(seed=1)).config
    assert config == EditConfig(seed=1, num_inference_steps=7, anchor_indices=(4, 0))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables_of_any_spreadsheet_are_read(tmp_path: Path, encoding: str, delimiter: str):
    head = delimiter.join([" Input ", "instruction", " OUTPUT", "seed", "--steps "])
    row = delimiter.join(["a.mp4", "snöw", "b.mp4", "7.0", " 3 "])
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    (tmp_path / "jobs.csv").write_bytes(f"{mark}{head}\r\n{row}\r\n".encode(encoding))
    [(line, entries)] = read_lines(tmp_path / "jobs.csv")
    job = make_job(line, entries, EditConfig())
    assert (job.instruction, job.config.seed, job.config.num_inference_steps) == ("snöw", 7, 3)


@pytest.mark.parametrize("name", ["input", "instruction", "output"])
def test_a_list_is_no_name_and_no_instruction(name: str):
    entries = {"input": "a.mp4", "instruction": "snow", "output": "b.mp4", name: ["c"]}
    with pytest.raises(SettingsError, match=rf"{name} is \['c'\]: give a text"):
        make_job(1, entries, EditConfig())
