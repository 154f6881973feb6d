"""`fairy app`: its options, and what it needs. The page itself: tests/app."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
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


@pytest.mark.slow
def test_the_page_opens_within_10_s_of_work_and_without_torch(tmp_path: Path):
    """Seconds of its own process, so that the machine's load does not matter."""
    command = [sys.executable, "-m", "fairy", "app", "--no-open", "--port", str(free_port())]
    with subprocess.Popen(
        [*command, "-o", str(tmp_path / "out")], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            url = process.stdout.readline().split()[-1]
            assert b"gradio" in urllib.request.urlopen(url).read()
            server = psutil.Process(process.pid)
            assert server.cpu_times().user + server.cpu_times().system < 10
            assert not [one.path for one in server.memory_maps() if "libtorch" in one.path]
        finally:
            process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode in (0, 130)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
