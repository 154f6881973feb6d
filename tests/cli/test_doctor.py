"""`fairy doctor`: what runs here, and what fits."""

from __future__ import annotations

from typer.testing import CliRunner

from fairy.cli.app import app


def test_doctor_names_torch_and_device():
    result = CliRunner().invoke(app, ["doctor"])
    assert "torch" in result.output
    assert "device" in result.output


def test_the_plan_depends_on_the_options():
    options = ["doctor", "--plan", "640x480", "--device", "cpu", "--memory", "8GB"]
    lines = [
        CliRunner().invoke(app, [*options, *more]).output.splitlines()[0]
        for more in ([], ["--num-anchors", "2", "--steps", "7", "--size", "128"])
    ]
    assert "3 anchors" in lines[0]
    assert "edited at 128x96 in 7 steps, 2 anchors" in lines[1]
