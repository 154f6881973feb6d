"""A served page with a tiny random model, and a short clip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fairy.app.studio import Studio
from fairy.media.write import write_video
from fairy.settings import Compute, PageOptions
from tests.tiny import make_frames, save_model_that_knows

NUM_FRAMES = 8


@dataclass(frozen=True)
class Served:
    """A page that is served: its address, its folder and its studio."""

    url: str
    out: Path
    studio: Studio


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model_that_knows(tmp_path_factory.mktemp("model"), "make it snow", "make it night")


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_video(make_frames(NUM_FRAMES, 48, 64), path, fps=10)
    return path


@pytest.fixture
def studio(model: Path, tmp_path: Path) -> Studio:
    return Studio(PageOptions(out=tmp_path / "out"), Compute(model=str(model)))


@pytest.fixture(scope="session")
def served(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    from fairy.app.server import serve

    out = tmp_path_factory.mktemp("served")
    options = PageOptions(out=out, open=False, max_mb=1, max_length=20)
    page, url = serve(options, Compute(model=str(model)), block=False, say=lambda text: None)
    yield Served(url, out, page.studio)
    page.blocks.close(verbose=False)
