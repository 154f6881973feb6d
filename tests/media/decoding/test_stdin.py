import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from fairy.cli.app import app
from fairy.errors import MediaError
from fairy.media import probe, write_video
from fairy.media.decoding.stdin import STDIN, clip_from


@pytest.fixture
def piped(monkeypatch):
    """A function that puts bytes on standard input."""
    return lambda data: monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(data)))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_a_piped_clip_is_read_like_a_file(tmp_path, scene, piped, suffix):
    write_video(np.stack([scene] * 3), tmp_path / f"a{suffix}")
    piped((tmp_path / f"a{suffix}").read_bytes())
    with clip_from(STDIN) as path:
        assert (probe(path).num_frames, probe(path).width) == (3, 64)
    assert not path.exists() and not path.parent.exists()


def test_an_empty_pipe_is_refused(piped):
    piped(b"")
    with pytest.raises(MediaError, match="nothing came on standard input"), clip_from(STDIN):
        pass


def test_a_closed_standard_input_is_refused(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(MediaError, match="pipe a clip into the command"), clip_from(STDIN):
        pass


def test_other_names_are_left_alone():
    with clip_from(Path("clip.mp4")) as path:
        assert path == Path("clip.mp4")


def test_the_command_line_reads_it(tmp_path, scene):
    write_video(scene[None], tmp_path / "a.mp4")
    result = CliRunner().invoke(app, ["info", "-"], input=(tmp_path / "a.mp4").read_bytes())
    assert result.exit_code == 0 and "64x48 shown" in result.output
