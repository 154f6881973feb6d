"""Outside --from and --to a result has the source's own packets; every frame is there, in time."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import JobInterrupted
from fairy.jobs.edit import edit_video
from fairy.jobs.outputs import ClipOutputs
from fairy.jobs.plan import EditPlan, EditRequest, plan_edit
from fairy.jobs.workspace import Workspace
from fairy.media.read import read_frames
from fairy.settings import EditConfig
from tests.media.h264_clips import CLOSED, shown, stored, without_vui, write_h264
from tests.tiny import make_frames

NUM_FRAMES = 40
SIZE = (48, 64)
CONFIG = EditConfig(size=32, num_inference_steps=1, seed=4, frame_batch_size=4, shots="off")
# Uneven, and not from 0 on
UNEVEN = [700 + 100 * n + 37 * (n % 3) for n in range(NUM_FRAMES)]
SOURCES = {
    "closed.mp4": (CLOSED, {}),
    "open.mp4": (f"{CLOSED}:open-gop=1", {}),
    "one_group.mp4": ("keyint=250:bframes=3:b-pyramid=normal", {}),
    "baseline.mp4": ("keyint=12:scenecut=0", {"profile": "Baseline"}),
    "short_header.mkv": ("keyint=100:scenecut=0", {"in_order": True}),
    "short_header.mp4": (CLOSED, {}),
    "other_id.mov": (f"{CLOSED}:sps-id=1:ref=8", {}),
    "uneven.mp4": (CLOSED, {"times": UNEVEN, "time_base": Fraction(1, 1000)}),
    "uneven.mkv": (CLOSED, {"times": UNEVEN, "time_base": Fraction(1, 1000)}),
}  # fmt: skip


def make_source(folder: Path, name: str = "closed.mp4") -> Path:
    params, options = SOURCES[name]
    path = write_h264(folder / name, make_frames(NUM_FRAMES, *SIZE), params, **options)
    return without_vui(path) if name.startswith("short_header") else path


def make_plan(source: Path, out: str = "out.mp4", **settings: object) -> EditPlan:
    config = replace(CONFIG, **settings)
    return plan_edit(EditRequest.of(source, "snow", source.with_name(out), config))


def write_inverted(plan: EditPlan) -> Path:
    """Write what an edit of the plan writes whose model inverts the pictures."""
    with Workspace(plan.request.out) as workspace:
        with ClipOutputs(plan, SIZE, None, workspace) as outputs:
            for segment in outputs.missing():
                frames = read_frames(plan.request.source, start=segment.first, stop=segment.end)
                weights = plan.changes.weights(segment.indices)
                for index, frame, weight in zip(segment.indices, frames, weights, strict=True):
                    outputs.write(segment, index, frame, 255 - frame.image, weight)
        outputs.join()
    return plan.request.out


def copied(plan: EditPlan) -> set[int]:
    spans = plan.copied.spans if plan.copied is not None else ()
    return {index for one in spans for index in range(one.first, one.end)}


def assert_copied(source: Path, plan: EditPlan, threads: str = "AUTO") -> None:
    """Check all frames of a result, by FFmpeg's own reading."""
    before, after = shown(source), shown(plan.request.out, threads)
    assert len(after) == len(before)
    step = Fraction(0) if plan.request.out.suffix != ".mkv" else Fraction(1, 1000)
    assert all(abs(b[0] - a[0]) <= step for b, a in zip(before, after, strict=True))
    same = {n for n in range(len(before)) if np.array_equal(before[n][1], after[n][1])}
    assert copied(plan) <= same
    assert not {n for n, changed in enumerate(plan.changes.changed) if changed} & same


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize(
    ("edit_from", "edit_to"), [("11", "18"), (None, "18"), ("11", None)], ids=str
)
def test_every_frame_is_shown_at_its_time_and_copies_are_the_sources(
    tmp_path: Path, name: str, edit_from: str | None, edit_to: str | None
):
    source = make_source(tmp_path, name)
    plan = make_plan(source, f"out{source.suffix}", edit_from=edit_from, edit_to=edit_to)
    write_inverted(plan)
    assert_copied(source, plan)
    assert_copied(source, plan, threads="SLICE")
    # Half of what is before the part at least; behind it there may be no IDR picture
    assert edit_from is None or len(copied(plan) & set(range(11))) >= 8
    if edit_to is not None and name in ("closed.mp4", "baseline.mp4", "uneven.mkv"):
        assert copied(plan) >= set(range(24, NUM_FRAMES))


def test_packets_outside_are_the_sources_bytes(tmp_path: Path):
    source = make_source(tmp_path)
    plan = make_plan(source, edit_from="11", edit_to="18")
    before, after = dict(stored(source)), dict(stored(write_inverted(plan)))
    times = sorted(before)
    kept = {n for n, time in enumerate(times) if before[time] == after[time]}
    assert kept == copied(plan) == {*range(9), *range(24, NUM_FRAMES)}


@pytest.mark.parametrize("out", ["out.mp4", "out.mov", "out.mkv"])
def test_each_container_shows_copies_and_takes_a_seek_to_either_side(tmp_path: Path, out: str):
    source = make_source(tmp_path)
    plan = make_plan(source, out, edit_from="11", edit_to="18")
    write_inverted(plan)
    assert_copied(source, plan)
    with av.open(str(plan.request.out)) as file:
        stream, expected = file.streams.video[0], shown(plan.request.out)
        for number in (3, 13, 30):
            time = expected[number][0]
            file.seek(round(time / stream.time_base), stream=stream)
            after = (one for one in file.decode(stream) if one.pts * one.time_base >= time)
            assert np.array_equal(next(after).to_ndarray(), expected[number][1])


def test_a_stream_without_container_shows_the_same(tmp_path: Path):
    plan = make_plan(make_source(tmp_path), edit_from="11", edit_to="18")
    expected, raw = shown(write_inverted(plan)), tmp_path / "raw.h264"
    with av.open(str(plan.request.out)) as file, av.open(str(raw), "w", format="h264") as other:
        stream = other.add_stream_from_template(file.streams.video[0])
        for packet in file.demux(video=0):
            if packet.size:
                packet.stream = stream
                other.mux(packet)
    with av.open(str(raw)) as file:
        found = [frame.to_ndarray() for frame in file.decode(video=0)]
    assert len(found) == len(expected)
    assert all(np.array_equal(a, b) for a, (_, b) in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    "settings",
    [
        {"stream_copy": False},
        {"edit_from": None},
        {"codec": "hevc"},
        {"crf": 3, "pix_fmt": "yuv444p"},
        {"interpolate": 2},
        {"upscale": "2x"},
        {"keep_size": False},
        {"strict": True},
        {"end_s": 3.0},
    ],
    ids=str,
)
def test_elsewhere_all_is_encoded(tmp_path: Path, settings: dict[str, object]):
    plan = make_plan(make_source(tmp_path), **{"edit_from": "11", **settings})
    assert plan.copied is None
    assert sum(len(one.indices) for one in plan.segments) == plan.info.num_frames


def test_with_a_comparison_all_is_encoded(tmp_path: Path):
    source = make_source(tmp_path)
    request = EditRequest.of(
        source, "snow", tmp_path / "a.mp4", replace(CONFIG, edit_from="11"),
        compare=tmp_path / "b.mp4",
    )  # fmt: skip
    assert plan_edit(request).copied is None


def test_segments_and_copies_are_the_clip(tmp_path: Path):
    source = make_source(tmp_path)
    source.with_name("shots.txt").write_text("5\n20\n30")
    plan = make_plan(source, edit_from="11", edit_to="18", shots=str(source.with_name("shots.txt")))
    encoded = [index for one in plan.segments for index in one.indices]
    assert sorted([*encoded, *copied(plan)]) == list(range(NUM_FRAMES))
    assert all(one.shot[0] <= one.first < one.end <= one.shot[1] for one in plan.segments)


def edit(source: Path, out: str, pipe: FairyPipeline, **options: object):
    config = replace(CONFIG, edit_from="11", edit_to="18", **options.pop("settings", {}))
    return edit_video(source, "snow", source.with_name(out), config, pipeline=pipe, **options)


def test_the_edit_is_the_one_without_copies(tmp_path: Path, pipe: FairyPipeline):
    source = make_source(tmp_path)
    report = edit(source, "out.mp4", pipe)
    assert (report.num_frames_copied, report.num_frames_out) == (25, NUM_FRAMES)
    edit(source, "all.mp4", pipe, settings={"stream_copy": False})
    found, expected = (shown(tmp_path / name) for name in ("out.mp4", "all.mp4"))
    for (time, image), (other_time, other) in zip(found, expected, strict=True):
        assert time == other_time
        # What an encoder loses, and it loses other things
        assert np.abs(image.astype(int) - other).mean() < 3


def test_copied_frames_count_as_done_and_a_stopped_edit_goes_on(
    tmp_path: Path, pipe: FairyPipeline
):
    source, counts = make_source(tmp_path), []

    def stop(done: int, total: int) -> None:
        counts.append((done, total))
        if done == 25 + 8:
            raise KeyboardInterrupt

    edit(source, "whole.mp4", pipe)
    with pytest.raises(JobInterrupted, match="8 of 40 frames are done"):
        edit(source, "parts.mp4", pipe, progress=stop)
    assert counts[0] == (25, NUM_FRAMES)
    assert edit(source, "parts.mp4", pipe).num_frames_kept == 8
    found, expected = (shown(tmp_path / name) for name in ("parts.mp4", "whole.mp4"))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(found, expected, strict=True))


def test_a_real_clip_keeps_its_packets_and_its_sound(clip, audio_packets, tmp_path: Path, pipe):
    source = clip("d06_cars_static.mp4")
    config = replace(CONFIG, edit_from="58", edit_to="60", num_anchors=1)
    out = tmp_path / "out.mp4"
    report = edit_video(source, "snow", out, config, pipeline=pipe)
    assert report.num_frames_copied == report.num_frames - 2
    before, after = stored(source), stored(out)
    assert [one == other for one, other in zip(before, after, strict=True)].count(False) == 2
    assert audio_packets(source) == audio_packets(out)
    frames = list(zip(shown(source), shown(out), strict=True))
    changed = [n for n, (one, other) in enumerate(frames) if not np.array_equal(one[1], other[1])]
    assert changed == [58, 59]
