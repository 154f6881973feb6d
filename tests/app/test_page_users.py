"""The page in a real browser: several people at once, in a queue, with and without a login."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import playwright.sync_api as playwright
import pytest

from fairy.media.read import frame_times
from tests.app.browser import WAIT_MS, Window, needs_browser
from tests.app.conftest import OpenWindow, Served, serving

pytestmark = [needs_browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def narrow(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a page on which one edit may wait."""
    with serving(model, tmp_path_factory.mktemp("narrow"), max_waiting=1) as served:
        yield served


@pytest.fixture(scope="module")
def guarded(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a page with users."""
    users = ("ada:secret", "bob:word")
    with serving(model, tmp_path_factory.mktemp("guarded"), auth=users) as served:
        yield served


def begin(window: Window, clip: Path, instruction: str) -> None:
    """Ask for an edit without waiting for it."""
    window.upload(clip)
    window.ask(instruction)
    window.page.click("#edit")


def test_who_waits_sees_the_position_and_may_leave_the_queue(
    open_window: OpenWindow, narrow: Served, long_clip: Path
):
    first, second, third = (open_window(narrow.url).opened() for _ in range(3))
    begin(first, long_clip, "make it snow")
    first.page.wait_for_selector("#stage .running")
    begin(second, long_clip, "make it night")
    second.page.wait_for_selector("#message :text('queue: 1/1')")
    # The queue is full: that is said, and the page can be used again
    begin(third, long_clip, "make it snow")
    assert "busy" in third.refusal()
    playwright.expect(third.page.locator("#edit")).to_be_enabled(timeout=WAIT_MS)
    second.page.click("#stop")
    assert second.message("Stopped.") == "Stopped."
    playwright.expect(second.page.locator("#edit")).to_be_enabled(timeout=WAIT_MS)
    first.page.click("#stop")
    first.message("of 120 frames are kept")
    third.edit("make it snow")


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


def test_a_login_keeps_users_apart_and_brings_them_back(
    open_window: OpenWindow, guarded: Served, clip: Path, tmp_path: Path
):
    ada = open_window(guarded.url).log_in("ada", "secret")
    ada.upload(clip)
    ada.edit("make it snow")
    assert frame_times(ada.download("#download", tmp_path / "ada.mp4")) == frame_times(clip)
    ada.page.wait_for_selector("#history img")
    result = ada.page.get_attribute("#stage video.edit", "src")
    bob = open_window(guarded.url).log_in("bob", "word")
    bob.upload(clip)
    bob.edit("make it night")
    bob.page.wait_for_selector("#history img")
    assert bob.page.locator("#history :text('make it snow')").count() == 0
    # In another browser
    again = open_window(guarded.url).log_in("ada", "secret")
    again.page.wait_for_selector("#history :text('make it snow')")
    assert again.page.locator("#history :text('make it night')").count() == 0
    for path in (result, "config"):
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(f"{guarded.url}{path}")
        assert raised.value.code == 401


def test_a_wrong_password_opens_nothing(open_window: OpenWindow, guarded: Served):
    window = open_window(guarded.url)
    with pytest.raises(playwright.TimeoutError):
        window.page.set_default_timeout(3000)
        window.log_in("ada", "word")
    assert window.page.get_by_role("button", name="Login").is_visible()
