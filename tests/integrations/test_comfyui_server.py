"""Our nodes in a real ComfyUI, where COMFYUI_DIR names one (docs/comfyui.md)."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import av
import numpy as np
import pytest

from fairy.media.read import probe, read_frames
from tests.app.browser import needs_browser
from tests.integrations.comfyui_server import ComfyServer, comfy_server
from tests.integrations.make_workflows import (
    GRAPHS,
    WORKFLOWS,
    complaints,
    front_end,
    workflow,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("COMFYUI_DIR" not in os.environ, reason="COMFYUI_DIR names no ComfyUI"),
]
SIZE = (96, 160)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    with comfy_server(tmp_path_factory.mktemp("comfyui")) as server:
        yield server


def write_clip(path: Path, num_frames: int, size: tuple[int, int] = SIZE) -> Path:
    """Write moving noise with a tone, at 25 frames/s."""
    noise = np.random.default_rng(0).integers(0, 256, (size[0] // 8, 200, 3), dtype=np.uint8)
    with av.open(str(path), "w") as file:
        video, audio = file.add_stream("libx264", rate=25), file.add_stream("aac", rate=48000)
        video.height, video.width, video.pix_fmt = *size, "yuv420p"
        for number in range(num_frames):
            first = number % (200 - size[1] // 8)
            image = np.kron(noise[:, first : first + size[1] // 8], np.ones((8, 8, 1), np.uint8))
            file.mux(video.encode(av.VideoFrame.from_ndarray(image)))
        file.mux(video.encode(None))
        tone = np.sin(np.arange(num_frames * 1920) / 20).astype(np.float32)
        for first in range(0, len(tone), 1024):
            part = np.ascontiguousarray(tone[None, first : first + 1024])
            sound = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 48000, first
            file.mux(audio.encode(sound))
        file.mux(audio.encode(None))
    return path


def graph(name: str, clip: str, **inputs: Any) -> dict[str, Any]:
    """Return an example workflow for `clip`, quick to run, with `inputs` on Fairy's nodes."""
    loaded = json.loads((GRAPHS / f"{name}.json").read_text())
    for node in loaded.values():
        known = node["inputs"]
        if "file" in known:
            known["file"] = clip
        if "num_inference_steps" in known:
            known |= {"size": 64, "num_inference_steps": 1} | inputs
    return dict(loaded)


def saved(server: ComfyServer, history: dict[str, Any]) -> list[Path]:
    """Return the files that a graph saved."""
    assert history["status"]["status_str"] == "success", history["status"]
    listed = [one for node in history["outputs"].values() for one in node.get("images", ())]
    return [server.base / "output" / one["subfolder"] / one["filename"] for one in listed]


def audio_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(audio=0) if packet.size]


def test_all_nodes_are_there_with_the_settings_ranges(server: ComfyServer):
    nodes = server.ask("/object_info")
    assert {name for name in nodes if name.startswith("Fairy")} == {
        "FairyLoadModel",
        "FairyEditVideo",
        "FairyEditFrames",
        "FairyAnchors",
    }
    inputs = nodes["FairyEditVideo"]["input"]["required"]
    assert inputs["num_inference_steps"][1]["max"] == 1000


def test_a_video_keeps_frames_times_and_sound(server: ComfyServer):
    clip = write_clip(server.base / "input" / "clip.mp4", 20)
    (out,) = saved(server, server.run(graph("edit_video", clip.name)))
    before, after = list(read_frames(clip)), list(read_frames(out))
    assert [frame.time_s for frame in after] == [frame.time_s for frame in before]
    assert audio_packets(out) == audio_packets(clip)
    assert np.abs(after[0].image.astype(int) - before[0].image).mean() > 5
    assert (probe(out).height, probe(out).width) == SIZE


def test_the_second_run_of_a_graph_does_nothing(server: ComfyServer):
    clip = write_clip(server.base / "input" / "cached.mp4", 10)
    server.run(graph("edit_video", clip.name))
    again = server.run(graph("edit_video", clip.name))
    cached = {
        node
        for kind, message in again["status"]["messages"]
        if kind == "execution_cached"
        for node in message["nodes"]
    }
    assert {"1", "2", "3"} <= cached


def test_another_seed_leaves_the_earlier_result_alone(server: ComfyServer):
    clip = write_clip(server.base / "input" / "seeds.mp4", 4)
    (first,) = saved(server, server.run(graph("edit_video", clip.name, seed=1)))
    server.run(graph("edit_video", clip.name, seed=2))
    (again,) = saved(
        server,
        server.run({**graph("edit_video", clip.name, seed=1), "5": preview(["3", 0])}),
    )[:1]
    one, other = read_frames(first), read_frames(again)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(one, other, strict=True))


def preview(video: list[Any]) -> dict[str, Any]:
    inputs = {"video": video, "filename_prefix": "again", "format": "auto", "codec": "auto"}
    return {"class_type": "SaveVideo", "inputs": inputs}


def test_anchors_come_as_images(server: ComfyServer):
    clip = write_clip(server.base / "input" / "anchors.mp4", 20)
    assert len(saved(server, server.run(graph("anchors", clip.name)))) == 3


def test_frames_follow_anchors_that_were_edited_before(server: ComfyServer):
    clip = write_clip(server.base / "input" / "frames.mp4", 12)
    (out,) = saved(server, server.run(graph("edit_frames_with_anchors", clip.name)))
    assert probe(out).num_frames == 12


def test_an_empty_instruction_is_refused_before_anything_runs(server: ComfyServer):
    clip = write_clip(server.base / "input" / "empty.mp4", 2)
    with pytest.raises(HTTPError) as error:
        server.queue(graph("edit_video", clip.name, instruction=" "))
    assert error.value.code == 400
    assert "say what to change" in error.value.read().decode()


def test_an_unknown_word_is_one_line(server: ComfyServer):
    clip = write_clip(server.base / "input" / "word.mp4", 2)
    history = server.run(graph("edit_video", clip.name, instruction="xyzzy qwrtp"))
    (message,) = (one["exception_message"] for kind, one in history["status"]["messages"]
                  if kind == "execution_error")  # fmt: skip
    assert "xyzzy" in message and "\n" not in message.strip()


def test_interrupt_leaves_no_file(server: ComfyServer):
    clip = write_clip(server.base / "input" / "long.mp4", 400)
    before = folders(server)
    job = server.queue(graph("edit_video", clip.name, seed=77))
    wait_until(lambda: any(list(one.glob("*.fairy/*")) for one in folders(server) - before))
    time.sleep(1)
    server.ask("/interrupt", {})
    history = server.result(job)
    assert "execution_interrupted" in [kind for kind, _ in history["status"]["messages"]]
    assert folders(server) == before


def folders(server: ComfyServer) -> set[Path]:
    return set((server.base / "temp").glob("fairy-*"))


def wait_until(is_so: Callable[[], bool], timeout_s: float = 60) -> None:
    until = time.monotonic() + timeout_s
    while not is_so() and time.monotonic() < until:
        time.sleep(0.1)
    assert is_so()


@needs_browser
def test_the_front_end_loads_every_example(server: ComfyServer):
    write_clip(server.base / "input" / "clip.mp4", 2)
    paths = sorted(WORKFLOWS.glob("*.json"))
    assert [path.name for path in paths] == [path.name for path in sorted(GRAPHS.glob("*.json"))]
    with front_end(server) as page:
        for path in paths:
            written = json.loads(path.read_text())
            assert complaints(page, written) == []
            made = workflow(page, json.loads((GRAPHS / path.name).read_text()))
            assert values(made) == values(written)


def values(workflow: dict[str, Any]) -> dict[str, Any]:
    """Return what a saved workflow's nodes are set to, by their types."""
    return {node["type"]: node.get("widgets_values") for node in workflow["nodes"]}


@pytest.mark.timeout(1800)
def test_memory_does_not_grow_with_the_clip(tmp_path: Path):
    peaks = []
    for num_frames in (90, 900):
        with comfy_server(tmp_path / str(num_frames)) as server:
            clip = write_clip(server.base / "input" / "clip.mp4", num_frames, (176, 320))
            saved(server, server.run(graph("edit_video", clip.name)))
            peaks.append(server.peak_memory_bytes)
    Path(os.environ.get("PEAKS", os.devnull)).write_text(f"{peaks}\n")
    assert peaks[1] <= 1.05 * peaks[0]
