"""The page in a real browser: clips of phones, masks, key frames, settings, earlier edits."""

from __future__ import annotations

import json
import zipfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import playwright.sync_api as playwright
import pytest
from PIL import Image as PilImage
from typer.testing import CliRunner

from fairy.cli.app import app
from fairy.media.read import frame_times, probe, read_video
from tests.app.browser import WAIT_MS, needs_browser
from tests.app.conftest import NUM_FRAMES, OpenWindow
from tests.tiny import make_frames

pytestmark = [needs_browser, pytest.mark.slow]

# In ticks of 1/600 s, as phones write them: the light changes, and so does the step
PHONE_TICKS = (0, 20, 40, 61, 82, 122, 163, 183, 203, 243)


@pytest.fixture(scope="module")
def phone_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clip as a phone films it upright: HEVC, rotated, at a variable rate, with sound."""
    flat = tmp_path_factory.mktemp("phone") / "flat.mov"
    with av.open(str(flat), "w") as file:
        video, audio = file.add_stream("libx265", rate=30), file.add_stream("aac", rate=48000)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        video.options = {"x265-params": "log-level=none:bframes=0"}
        video.codec_context.time_base = video.time_base = Fraction(1, 600)
        for ticks, image in zip(PHONE_TICKS, make_frames(len(PHONE_TICKS), 64, 96), strict=True):
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = ticks, Fraction(1, 600)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        for first in range(0, 20 * 1024, 1024):
            tone = np.sin(np.arange(first, first + 1024) / 20).astype(np.float32)[None]
            sound = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 48000, first
            file.mux(audio.encode(sound))
        file.mux(audio.encode(None))
    path = flat.with_name("IMG_0042.MOV")
    with av.open(str(flat)) as source, av.open(str(path), "w", format="mov") as out:
        streams = {one.index: out.add_stream_from_template(one) for one in source.streams}
        out.streams.video[0].set_display_rotation(-90)
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    return path


def facts(path: Path) -> dict[str, str]:
    """Return what `fairy info` prints that an edit keeps."""
    result = CliRunner().invoke(app, ["info", str(path)])
    assert result.exit_code == 0, result.stderr
    rows = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    rows["size"] = rows["size"].split(" shown")[0]
    return {name: rows[name] for name in ("frames", "duration", "rate", "size", "audio")}


def test_a_phones_clip_is_edited_from_the_upload_to_the_download(
    open_window: OpenWindow, phone_clip: Path, tmp_path: Path
):
    info = probe(phone_clip)
    assert (info.codec, info.rotation, info.width, info.height) == ("hevc", 270, 64, 96)
    window = open_window()
    window.upload(phone_clip)
    assert "10 frames" in window.page.inner_text("#clip-info")
    # The player shows it upright
    window.page.wait_for_function("document.querySelector('video.edit').videoHeight === 96")
    window.edit("make it snow")
    sizes = "['edit', 'source'].map((name) => document.querySelector(`video.${name}`).videoHeight)"
    window.page.wait_for_function(f"{sizes}.every((height) => height === 96)")
    result = window.download("#download", tmp_path / "result.mp4")
    assert facts(result) == facts(phone_clip)
    assert frame_times(result) == frame_times(phone_clip)
    assert window.strangers == []


def test_an_earlier_edit_comes_back_with_its_settings(
    open_window: OpenWindow, clip: Path, tmp_path: Path
):
    window = open_window()
    window.upload(clip)
    window.expand("More settings")
    window.expand("Edit")
    window.page.get_by_label("Seed").fill("5")
    window.edit("make it snow")
    first = window.download("#download", tmp_path / "first.mp4")
    window.page.get_by_label("Seed").fill("6")
    window.edit("make it night")
    window.page.reload()
    window.opened()
    # The newest is first
    window.page.locator("#history button.thumbnail-item").nth(1).click()
    window.page.wait_for_selector("#stage video.source")
    assert window.page.get_by_label("What to change").input_value() == "make it snow"
    window.expand("More settings")
    window.expand("Edit")
    assert window.page.get_by_label("Seed").input_value() == "5"
    assert window.download("#download", tmp_path / "again.mp4").read_bytes() == first.read_bytes()
    # And it can go on from there
    window.edit("make it night snow")
    window.message("Done")


def test_only_what_is_painted_changes(open_window: OpenWindow, clip: Path, tmp_path: Path):
    window = open_window()
    window.upload(clip)
    window.expand("Only a part of the picture")
    canvas = window.page.locator("#mask canvas").first
    canvas.wait_for()
    canvas.scroll_into_view_if_needed()
    window.page.wait_for_timeout(500)
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    window.page.mouse.move(x, y)
    window.page.mouse.down()
    window.page.mouse.move(x + 20, y + 5, steps=5)
    window.page.mouse.up()
    window.edit("make it snow")
    result = window.download("#download", tmp_path / "result.mp4")
    changed = (np.abs(read_video(result).astype(int) - read_video(clip)) > 24).any(axis=(0, -1))
    assert 0 < changed.mean() < 0.9


def test_anchors_are_downloaded_changed_and_uploaded(
    open_window: OpenWindow, clip: Path, tmp_path: Path
):
    window = open_window()
    window.upload(clip)
    window.expand("Edit anchors by hand")
    window.page.click("#export")
    archive = window.download("#exported a[download]", tmp_path / "anchors.zip")
    with zipfile.ZipFile(archive) as file:
        names = [name for name in file.namelist() if name.endswith(".png")]
        file.extractall(tmp_path)
    changed = tmp_path / names[0]
    with PilImage.open(changed) as picture:
        PilImage.new("RGB", picture.size, (255, 0, 0)).save(changed)
    window.page.set_input_files("#keyframes input[type=file]", changed)
    window.page.wait_for_selector(f"#keyframes :text('{changed.stem}')")
    window.edit("make it snow")
    result = read_video(window.download("#download", tmp_path / "result.mp4"))
    assert (np.abs(result.astype(int) - (255, 0, 0)).mean(axis=(1, 2, 3)) < 12).any()


def test_a_settings_file_fills_the_widgets(open_window: OpenWindow, clip: Path, tmp_path: Path):
    window = open_window()
    window.upload(clip)
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"seed": 11, "max_frames": 3}))
    window.expand("More settings")
    window.choose("#settings-file", settings)
    window.expand("Edit")
    playwright.expect(window.page.get_by_label("Seed")).to_have_value("11", timeout=WAIT_MS)
    window.edit("make it snow")
    result = window.download("#download", tmp_path / "result.mp4")
    assert probe(result).num_frames == 3 < NUM_FRAMES
    written = window.download("#download-settings", tmp_path / "written.json")
    assert json.loads(written.read_text())["seed"] == 11
    settings.write_text("{")
    window.choose("#settings-file", settings)
    assert window.message("is not JSON").startswith("settings.json: ")
