"""benchmarks/lib/record.py: every row says where it was measured."""

from __future__ import annotations

import json

from benchmarks.lib.record import keep, show


def test_row_is_kept_with_machine_versions_and_commit(tmp_path):
    path = tmp_path / "new" / "rows.jsonl"
    keep(path, "edit", {"fps": 2.5})
    keep(path, "memory", {"peak_mb": 10})
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert (first["benchmark"], first["fps"]) == ("edit", 2.5)
    assert second["peak_mb"] == 10
    for name in ("commit", "processor", "device", "threads", "load", "torch", "diffusers"):
        assert first[name] is not None, name


def test_table_leaves_columns_out_and_the_document_keeps_them(capsys):
    show("title", [{"way": "ours", "error": None, "hidden": 3}], columns=("way", "error"))
    *table, document = capsys.readouterr().out.splitlines()
    assert "not measured" in "\n".join(table) and "hidden" not in "\n".join(table)
    assert json.loads(document)["rows"] == [{"way": "ours", "error": None, "hidden": 3}]


def test_document_is_written_to_a_file_too(tmp_path, capsys):
    path = tmp_path / "new" / "rows.json"
    show("title", [{"way": "ours"}], out=path, dtype="bfloat16")
    *_, document = capsys.readouterr().out.splitlines()
    assert path.read_text() == f"{document}\n"
    assert json.loads(document)["dtype"] == "bfloat16"
