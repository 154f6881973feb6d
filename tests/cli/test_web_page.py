"""`fairy app`: its options, and what it needs. The page itself: tests/app."""

from __future__ import annotations

import sys

import pytest
from typer.testing import CliRunner

from fairy.cli.app import app
from fairy.errors import SettingsError
from fairy.settings import PageOptions


def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    for name in [name for name in sys.modules if name.startswith("fairy.app")]:
        monkeypatch.delitem(sys.modules, name)
    result = CliRunner().invoke(app, ["app"])
    assert result.exit_code == 2
    assert result.stderr == (
        "fairy: fairy app needs the package gradio: pip install 'fairy-video[app]'\n"
    )


@pytest.mark.parametrize("entry", ["ada", ":secret", "ada:"])
def test_a_user_without_name_or_password_is_refused(entry: str):
    with pytest.raises(SettingsError, match="give a name and a password"):
        PageOptions(auth=(entry,))
    assert PageOptions(auth=("ada:s:t",)).auth == ("ada:s:t",)


def test_a_taken_port_is_one_line(tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(
            app, ["app", "--port", port, "--no-open", "-o", str(tmp_path / "out")]
        )
    assert result.exit_code == 2
    assert "choose another --port" in result.stderr
    assert result.stderr.count("\n") == 1
