"""A tiny model's pipeline, a worker that has it, a short clip, and the damaged files."""

from __future__ import annotations

from pathlib import Path

import pytest

import fairy.batch.runner
import fairy.jobs.retries
from fairy.batch.clip_worker import ClipWorker
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.media.write import write_video
from tests.jobs.conftest import failing, pipe
from tests.tiny import make_frames

__all__ = ["failing", "pipe"]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Four frames; files that need another number make their own."""
    path = tmp_path / "clip.mp4"
    write_video(make_frames(4, 32, 48), path, fps=10)
    return path


@pytest.fixture
def worker(pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch) -> ClipWorker:
    """A worker with the tiny model, which does not wait before it tries again."""
    monkeypatch.setattr(fairy.batch.runner, "load_editor", lambda config: pipe)
    monkeypatch.setattr(fairy.jobs.retries, "FIRST_WAIT_S", 0.0)
    return ClipWorker()
