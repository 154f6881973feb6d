"""What cannot be written of a clip's other tracks ends an edit before its first frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import pytest

from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import MediaError
from fairy.jobs.edit import edit_video
from fairy.jobs.outputs import ClipOutputs
from fairy.media import VideoWriter, probe
from fairy.media.encoding.tracks import Transcoded
from fairy.settings import EditConfig
from tests.media.encoding.recordings import write_recording
from tests.tiny import make_tiny_pipeline

RATE = 48_000
TINY = EditConfig(size=32, num_inference_steps=1, num_anchors=1, shots="off")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A recording of two pieces, the second with other sound."""
    return write_recording(tmp_path / "joined.ts", [("stereo", RATE), ("mono", RATE)], 5)


@pytest.fixture
def refuses_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the encoder of sound refuse a second format."""
    change = Transcoded._change_to

    def refuse(self: Transcoded, kind: tuple[str, int, int]):
        if self._kind is not None:
            raise av.error.ArgumentError(22, "Invalid argument")
        return change(self, kind)

    monkeypatch.setattr(Transcoded, "_change_to", refuse)


Writer = Callable[[str], VideoWriter]


@pytest.fixture
def writer(clip: Path, tmp_path: Path) -> Writer:
    def make(suffix: str) -> VideoWriter:
        info = probe(clip)
        return VideoWriter(
            tmp_path / f"out{suffix}", info=info, height=info.height, width=info.width
        )

    return make


def test_sound_that_cannot_be_encoded_is_refused_before(writer: Writer, refuses_changes: None):
    with pytest.raises(MediaError, match=r"out\.webm: cannot be written: Invalid argument"):
        writer(".webm").try_tracks()
    # Copied as it is, it is not encoded
    writer(".mkv").try_tracks()


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".gif", ""])
def test_a_rehearsal_leaves_no_file(writer: Writer, clip: Path, suffix: str):
    before = set(clip.parent.iterdir())
    writer(suffix).try_tracks()
    assert set(clip.parent.iterdir()) == before


def test_an_edit_ends_before_its_model_runs(
    clip: Path, tmp_path: Path, refuses_changes: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(FairyPipeline, "begin", lambda *given, **named: pytest.fail("began"))
    pipe = FairyPipeline.from_pipe(make_tiny_pipeline())
    with pytest.raises(MediaError, match="cannot be written"):
        edit_video(clip, "snow", tmp_path / "out.webm", TINY, pipeline=pipe)
    assert not (tmp_path / "out.webm.fairy").exists()


def test_a_change_is_said_once_and_before_the_first_picture_is_written(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog
):
    heard = []
    write = ClipOutputs.write

    def listening(*given) -> None:
        heard.append(caplog.text)
        write(*given)

    monkeypatch.setattr(ClipOutputs, "write", listening)
    pipe = FairyPipeline.from_pipe(make_tiny_pipeline())
    report = edit_video(clip, "snow", tmp_path / "out.webm", TINY, pipeline=pipe)
    said = "the sound changes from 2 channels, 48000 Hz to 1 channels"
    assert said in heard[0]
    assert caplog.text.count(said) == 1
    assert sum(said in note for note in report.notes) == 1
