"""The real clips and what their files hold, as the media tests ask; and a tiny model's pipeline."""

from __future__ import annotations

import pytest

from fairy.editors.ip2p.pipeline import FairyPipeline
from tests.media.conftest import audio_packets, clip, failing, frame_times
from tests.tiny import make_tiny_pipeline

__all__ = ["audio_packets", "clip", "failing", "frame_times", "pipe"]


@pytest.fixture(scope="session")
def pipe() -> FairyPipeline:
    return FairyPipeline.from_pipe(make_tiny_pipeline())
