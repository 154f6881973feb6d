"""The page in a real browser: one edit, from the clip to the download."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from fairy.media.read import frame_times
from tests.app.browser import AXE, needs_browser
from tests.app.conftest import NUM_FRAMES, OpenWindow, Served

pytestmark = needs_browser


def test_upload_anchors_edit_play_download(open_window: OpenWindow, clip: Path, tmp_path: Path):
    window = open_window()
    window.upload(clip)
    assert f"{NUM_FRAMES} frames" in window.page.inner_text("#clip-info")
    window.ask("make it snow")
    window.page.click("#anchors")
    window.page.wait_for_selector("#slider img")
    assert window.page.locator("#which input").count() == 3
    window.edit("make it snow")
    result = window.download("#download", tmp_path / "result.mp4")
    assert frame_times(result) == frame_times(clip)
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
    message = window.message("Stopped")
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
def test_errors_are_one_line_and_leave_the_page_usable(
    open_window: OpenWindow, clip: Path, tmp_path: Path
):
    window = open_window()
    window.page.click("#edit")
    window.message("choose a clip first")
    bad, mask = tmp_path / "b_a_d.mp4", tmp_path / "mask.png"
    for path in (bad, mask):
        path.write_bytes(b"no video" * 100)
    window.page.set_input_files("#clip input[type=file]", bad)
    text = window.message("not a video")
    assert text.startswith("b_a_d.mp4: ") and "\n" not in text
    window.upload(clip)
    window.page.click("#anchors")
    window.message("say what to change")
    for button in ("#anchors", "#edit"):
        window.ask("make it a zebra")
        window.page.click(button)
        text = window.message("zebra")
        # The page has no --force
        assert "\n" not in text and "force" not in text
    # Files of users are called what the users call them
    window.expand("Only a part of the picture")
    window.page.set_input_files("#mask-file input[type=file]", mask)
    window.page.wait_for_selector("#mask-file :text('mask')")
    window.ask("make it snow")
    window.page.click("#edit")
    assert window.message("not an image").startswith("mask.png: ")
    window.page.click("#mask-file button[aria-label='Clear']")
    window.edit("make it snow")
    window.message("Done.")


@pytest.mark.slow
def test_too_large_files_are_refused(open_window: OpenWindow, tmp_path: Path):
    large = tmp_path / "large.mp4"
    large.write_bytes(b"0" * 2_000_000)
    window = open_window()
    window.page.set_input_files("#clip input[type=file]", large)
    assert "maximum" in window.refusal()


@pytest.mark.slow
def test_phones_show_what_happens_below_the_form(open_window: OpenWindow, clip: Path):
    window = open_window(viewport={"width": 390, "height": 844})
    window.upload(clip)
    window.ask("make it snow")
    window.page.click("#edit")
    window.page.wait_for_selector("#stage .running")
    seen = window.page.evaluate(
        "() => { const box = document.querySelector('#stage').getBoundingClientRect();"
        " return [box.top, box.bottom, innerHeight]; }"
    )
    assert seen[0] >= 0 and seen[1] <= seen[2] + 1


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
