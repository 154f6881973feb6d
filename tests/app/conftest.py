"""A served page with a tiny random model, and a short clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import playwright.sync_api as playwright
import pytest

from fairy.app.studio import Studio
from fairy.media.write import write_video
from fairy.settings import Compute, PageOptions
from tests.app.browser import CHROMIUM, FLAGS, Window
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


@contextmanager
def serving(model: Path, out: Path, **options: object) -> Iterator[Served]:
    """Serve a page while the context is open."""
    from fairy.app.server import serve

    page, url = serve(
        PageOptions(out=out, open=False, **options),
        Compute(model=str(model)),
        block=False,
        say=lambda text: None,
    )
    yield Served(url, out, page.studio)
    page.blocks.close(verbose=False)


@pytest.fixture(scope="session")
def served(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(model, tmp_path_factory.mktemp("served"), max_mb=1, max_length=20) as served:
        yield served


# Ends with each file: while it is open, no other test can run an event loop in this thread
@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


OpenWindow = Callable[..., Window]


@pytest.fixture
def open_window(browser: playwright.Browser, served: Served) -> Iterator[OpenWindow]:
    """Give a function that opens a window on the page, or on that of `url`."""
    windows: list[Window] = []

    def open_one(url: str = served.url, **options: object) -> Window:
        windows.append(Window(browser, url, **options))
        return windows[-1] if url != served.url else windows[-1].opened()

    yield open_one
    for window in windows:
        window.context.close()


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    write_video(make_frames(120, 48, 64), path, fps=10)
    return path
