"""The page in a real browser: FAIRY_CHROMIUM names it, tests/app/get_browser.sh gets one."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import playwright.sync_api as playwright
import pytest

from fairy.media.read import frame_times, probe, read_frames
from fairy.media.write import VideoWriter, write_video
from fairy.settings import MediaConfig
from tests.app.conftest import NUM_FRAMES, Served
from tests.tiny import make_frames

CHROMIUM = os.environ.get("FAIRY_CHROMIUM") or shutil.which("chromium")
AXE = os.environ.get("FAIRY_AXE")
FLAGS = [
    "--no-sandbox", "--no-zygote", "--in-process-gpu", "--use-gl=angle",
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
WAIT_MS = 60_000

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium: bash tests/app/get_browser.sh"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Window:
    """A browser's window on the page, and the requests that it made to other hosts."""

    def __init__(self, browser: playwright.Browser, url: str, **options: object) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.strangers: list[str] = []
        self.page.on("request", self._note)
        self.page.goto(url)
        self.page.wait_for_selector("#edit")

    def _note(self, request: playwright.Request) -> None:
        if not re.match(r"(https?://(127\.0\.0\.1|localhost)[:/])|data:|blob:", request.url):
            self.strangers.append(request.url)

    def upload(self, clip: Path) -> None:
        self.page.set_input_files("#clip input[type=file]", clip)
        self.page.wait_for_selector(f"#clip-info strong:text-is('{clip.name}')")

    def ask(self, instruction: str) -> None:
        self.page.get_by_label("What to change").fill(instruction)

    def edit(self, instruction: str) -> None:
        self.ask(instruction)
        self.page.click("#edit")
        self.page.wait_for_selector("#stage video.source")

    def refusal(self) -> str:
        toast = self.page.wait_for_selector(".toast-body.error")
        return toast.inner_text()

    def times(self) -> tuple[float, float]:
        """Return the times that edit and source show, read in one go."""
        return self.page.evaluate(
            "() => ['edit', 'source'].map((name) => "
            "document.querySelector(`video.${name}`).currentTime)"
        )


OpenWindow = Callable[..., Window]


@pytest.fixture
def open_window(browser: playwright.Browser, served: Served) -> Iterator[OpenWindow]:
    opened: list[Window] = []

    def open_one(**options: object) -> Window:
        opened.append(Window(browser, served.url, **options))
        return opened[-1]

    yield open_one
    for window in opened:
        window.context.close()


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    write_video(make_frames(120, 48, 64), path, fps=10)
    return path


def test_upload_anchors_edit_play_download(open_window: OpenWindow, clip: Path, tmp_path: Path):
    window = open_window()
    window.upload(clip)
    assert f"{NUM_FRAMES} frames" in window.page.inner_text("#clip-info")
    window.ask("make it snow")
    window.page.click("#anchors")
    window.page.wait_for_selector("#slider img")
    assert window.page.locator("#which input").count() == 3
    window.edit("make it snow")
    with window.page.expect_download() as download:
        window.page.click("#download")
    download.value.save_as(tmp_path / "result.mp4")
    assert frame_times(tmp_path / "result.mp4") == frame_times(clip)
    assert window.strangers == []


@pytest.mark.slow
def test_source_and_edit_play_in_step(open_window: OpenWindow, long_clip: Path):
    window = open_window()
    window.upload(long_clip)
    window.edit("make it night")
    window.page.click("#stage button.play")
    window.page.wait_for_function("document.querySelector('video.edit').currentTime > 4")
    edit, source = window.times()
    assert abs(edit - source) < 0.1
    window.page.click("#stage button.play")
    window.page.locator("#stage input.seek").fill("500")
    window.page.wait_for_function(
        "Math.abs(document.querySelector('video.source').currentTime - 6) < 0.1"
    )
    edit, source = window.times()
    assert abs(edit - source) < 0.05


@pytest.mark.slow
def test_stop_keeps_frames_and_edit_goes_on(open_window: OpenWindow, long_clip: Path):
    window = open_window()
    window.upload(long_clip)
    window.ask("make it snow")
    window.page.click("#edit")
    window.page.wait_for_selector("#stage .running img")
    window.page.click("#stop")
    window.page.wait_for_selector("#message :text('Stopped')")
    message = window.page.inner_text("#message")
    kept = int(re.search(r"(\d+) of 120 frames are kept", message)[1])
    assert 0 < kept < 120
    window.page.wait_for_selector("#history :text('of 120')")
    window.edit("make it snow")


@pytest.mark.slow
def test_a_closed_tab_ends_its_edit(open_window: OpenWindow, served: Served, long_clip: Path):
    window = open_window()
    window.upload(long_clip)
    window.ask("make it night snow")
    window.page.click("#edit")
    window.page.wait_for_selector("#stage .running")
    window.context.close()
    end = time.monotonic() + 30
    while served.studio._cancels and time.monotonic() < end:
        time.sleep(0.2)
    assert not served.studio._cancels


@pytest.mark.slow
def test_errors_are_one_line(open_window: OpenWindow, clip: Path, tmp_path: Path):
    window = open_window()
    window.page.click("#edit")
    window.page.wait_for_selector("#message :text('choose a clip first')")
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video" * 100)
    window = open_window()
    window.page.set_input_files("#clip input[type=file]", bad)
    text = window.refusal()
    assert "bad.mp4: " in text
    assert str(tmp_path) not in text
    assert "gradio" not in text
    window = open_window()
    window.upload(clip)
    window.ask("make it a zebra")
    window.page.click("#edit")
    window.page.wait_for_selector("#message :text('zebra')")
    playwright.expect(window.page.locator("#edit")).to_be_enabled(timeout=WAIT_MS)


@pytest.mark.slow
def test_too_large_files_are_refused(open_window: OpenWindow, tmp_path: Path):
    large = tmp_path / "large.mp4"
    large.write_bytes(b"0" * 2_000_000)
    window = open_window()
    window.page.set_input_files("#clip input[type=file]", large)
    assert "maximum" in window.refusal()


@pytest.mark.slow
def test_two_browsers_have_separate_edits(open_window: OpenWindow, clip: Path):
    one, other = open_window(), open_window()
    one.upload(clip)
    one.edit("make it snow")
    one.page.wait_for_selector("#history img")
    other.page.reload()
    other.page.wait_for_selector("#edit")
    assert other.page.locator("#history img").count() == 0
    one.page.reload()
    one.page.wait_for_selector("#history img")


@pytest.mark.slow
def test_hevc_is_shown_through_a_proxy(open_window: OpenWindow, clip: Path, tmp_path: Path):
    source, info = tmp_path / "phone.mov", probe(clip)
    codec = MediaConfig(codec="hevc")
    with VideoWriter(source, info=info, height=48, width=64, media=codec) as writer:
        for frame in read_frames(clip):
            writer.write(frame.image, frame.pts, frame.time_base, frame.duration)
    window = open_window()
    window.upload(source)
    window.page.wait_for_function("document.querySelector('video.edit').videoWidth === 64")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phones_scroll_one_way_only(open_window: OpenWindow, clip: Path, scheme: str):
    window = open_window(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    window.upload(clip)
    window.edit("make it snow")
    width = window.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    is_dark = window.page.evaluate("document.body.classList.contains('dark')")
    assert is_dark == (scheme == "dark")


@pytest.mark.slow
@pytest.mark.skipif(AXE is None, reason="no axe-core: bash tests/app/get_browser.sh")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_our_parts_break_no_rule_of_accessibility(open_window: OpenWindow, clip: Path, scheme: str):
    window = open_window(color_scheme=scheme)
    window.upload(clip)
    window.edit("make it snow")
    window.page.add_script_tag(path=AXE)
    found = window.page.evaluate(
        "() => axe.run({include: [['#head'], ['#stage'], ['#message'], ['#clip-info']]})"
    )
    assert {one["id"]: one["nodes"][0]["html"] for one in found["violations"]} == {}
    assert found["passes"]
