"""Edits of parts of a clip: outside, every pixel is the source's; what stays costs no model run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import fairy.jobs.plan
from fairy.batch.runner import run_batch
from fairy.control.masks import Masks
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import FairyError, SettingsError
from fairy.jobs.edit import edit_video
from fairy.jobs.preview import preview_video
from fairy.media.read import probe, read_frames, read_video
from fairy.media.write import write_video
from fairy.settings import EditConfig
from tests.tiny import make_frames, save_tiny_pipeline

SIZE = (48, 64)
EXACT = EditConfig(
    size=32, num_inference_steps=1, seed=4, frame_batch_size=4, shots="off", num_anchors=2,
    codec="ffv1", pix_fmt="bgr0", enlarge="bicubic",
)  # fmt: skip
PICTURES = replace(EXACT, codec=None, pix_fmt=None)
REAL = [
    "stress/desks_bad_metadata.3gp",  # variable frame rate
    "stress/paper_rot90.mp4",  # rotated, uneven times
    "stress/h264_10bit.mp4",
    "stress/odd_size_444.mp4",
    "stress/odd_size_mpeg2.mp4",
    "stress/decord_rot180.mov",
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    write_video(make_frames(9, *SIZE), path, fps=10)
    return path


def moving_masks(num_frames: int, height: int, width: int) -> np.ndarray:
    """Return masks (T,H,W,3): a box that moves by its own width from frame to frame."""
    masks = np.zeros((num_frames, height, width, 3), np.uint8)
    side = max(4, width // 5)
    for index in range(num_frames):
        left = index * side % (width - side)
        masks[index, height // 4 : height // 2, left : left + side] = 255
    return masks


def edit_with_moving_mask(source: Path, pipe: FairyPipeline, out: str, config: EditConfig):
    """Edit a clip under a moving mask; return source, masks and result, (T,H,W,3) each."""
    info = probe(source)
    masks = moving_masks(info.num_frames, info.height, info.width)
    folder = Path(out).parent / "masks"
    write_video(masks, folder, fps=info.fps)
    edit_video(source, "snow", out, replace(config, mask=folder), pipeline=pipe)
    return read_video(source), masks, read_video(out)


def assert_exact_outside(before: np.ndarray, masks: np.ndarray, after: np.ndarray) -> None:
    assert before.shape == after.shape
    outside = masks == 0
    assert np.array_equal(before[outside], after[outside])
    # Each frame was edited where it may be
    changed = ((before != after) & ~outside).any(axis=-1).sum(axis=(1, 2))
    assert (changed > 0.5 * (masks[0, ..., 0] > 0).sum()).all()


def test_outside_a_mask_a_rendered_clip_is_untouched(source: Path, pipe: FairyPipeline):
    out = str(source.with_name("out.mkv"))
    assert_exact_outside(*edit_with_moving_mask(source, pipe, out, EXACT))


@pytest.mark.parametrize(
    "name", [*REAL[:2], *(pytest.param(name, marks=pytest.mark.slow) for name in REAL[2:])]
)
def test_outside_a_mask_real_clips_are_untouched(
    clip: Callable[[str], Path], name: str, tmp_path: Path, pipe: FairyPipeline
):
    # A video of ffv1 has square pixels; what is stretched is compared as pictures
    square = probe(clip(name)).sample_aspect_ratio == 1
    out, config = ("out.mkv", EXACT) if square else ("out", PICTURES)
    assert_exact_outside(*edit_with_moving_mask(clip(name), pipe, str(tmp_path / out), config))


def test_a_mask_that_is_late_by_one_frame_is_caught(
    source: Path, pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch
):
    at = Masks.at
    monkeypatch.setattr(
        Masks, "at", lambda self, indices: at(self, [max(0, index - 1) for index in indices])
    )
    found = edit_with_moving_mask(source, pipe, str(source.with_name("out.mkv")), EXACT)
    with pytest.raises(AssertionError):
        assert_exact_outside(*found)


def test_pictures_in_pictures_out_are_equal_pixels(tmp_path: Path, pipe: FairyPipeline):
    write_video(make_frames(9, *SIZE), tmp_path / "clip")
    out = str(tmp_path / "out")
    assert_exact_outside(*edit_with_moving_mask(tmp_path / "clip", pipe, out, PICTURES))


@pytest.mark.parametrize("method", ["guided", "lanczos"])
def test_enlarging_does_not_touch_the_outside(source: Path, pipe: FairyPipeline, method: str):
    out, config = str(source.with_name("out.mkv")), replace(EXACT, enlarge=method)
    assert_exact_outside(*edit_with_moving_mask(source, pipe, out, config))


def test_h264_differs_outside_no_more_than_a_plain_encode(source: Path, pipe: FairyPipeline):
    config = replace(EXACT, codec="h264", pix_fmt="yuv420p")
    before, _, after = edit_with_moving_mask(source, pipe, str(source.with_name("out.mp4")), config)
    write_video(before, source.with_name("plain.mp4"), fps=10)
    plain = read_video(source.with_name("plain.mp4")).astype(int)
    # Away from the box, whose edges the codec's blocks share
    outside = np.zeros(SIZE, bool)
    outside[SIZE[0] * 3 // 4 :] = True
    error = np.abs(after.astype(int) - before)[:, outside].mean()
    assert error <= 1.5 * np.abs(plain - before)[:, outside].mean() + 0.5


@pytest.fixture
def num_rows(pipe: FairyPipeline):
    """Rows of each run of the UNet, of one step: frames times three guidance branches."""
    counted: list[int] = []
    hook = pipe.unet.conv_out.register_forward_hook(lambda m, args, out: counted.append(len(out)))
    yield counted
    hook.remove()


def test_frames_whose_mask_is_black_cost_nothing(source: Path, pipe, num_rows):
    masks = np.zeros((9, *SIZE, 3), np.uint8)
    masks[4:6] = 255
    write_video(masks, source.with_name("masks"))
    config = replace(EXACT, mask=source.with_name("masks"), num_anchors=1)
    edit_video(source, "snow", source.with_name("out.mkv"), config, pipeline=pipe)
    before, after = read_video(source), read_video(source.with_name("out.mkv"))
    same = [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert [i for i in range(9) if not same[i]] == [4, 5]
    # One of the two is the anchor
    assert num_rows == [3, 3]


def test_a_part_of_the_clip_leaves_the_rest_as_it_is(source: Path, pipe, num_rows):
    config = replace(EXACT, edit_from="0.3s", edit_to="7", num_anchors=1)
    report = edit_video(source, "snow", source.with_name("out.mkv"), config, pipeline=pipe)
    before, after = read_video(source), read_video(source.with_name("out.mkv"))
    same = [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert same == [True] * 3 + [False] * 4 + [True] * 2
    assert sum(num_rows) == 3 * 4
    assert report.num_frames_out == 9 and report.used.anchor_indices == (5,)


def test_the_sound_of_a_part_is_copied_and_stays_in_sync(clip, tmp_path: Path, pipe: FairyPipeline):
    source, out = clip("stress/paper_rot90.mp4"), tmp_path / "out.mp4"
    config = replace(
        EXACT, codec=None, pix_fmt=None, edit_from="0.2s", edit_to="50%", num_anchors=1
    )
    edit_video(source, "snow", out, config, pipeline=pipe)
    (sound, times), (kept, kept_times) = (_sound_and_times(path) for path in (source, out))
    assert sound == kept and len(sound) > 10
    # From the first packet of sound to each frame
    assert [float(time) for time in times] == pytest.approx(
        [float(time) for time in kept_times], abs=1e-3
    )


def _sound_and_times(path: Path) -> tuple[list[bytes], list[Fraction]]:
    """Return the packets of sound, and the times of frames after the first of them."""
    with av.open(str(path)) as file:
        packets = [one for one in file.demux(file.streams.audio[0]) if one.size]
        first = packets[0].pts * packets[0].time_base
    return [bytes(one) for one in packets], [
        frame.pts * frame.time_base - first for frame in read_frames(path)
    ]


def test_a_fade_is_the_mean_of_source_and_edit(source: Path, pipe: FairyPipeline):
    whole = replace(EXACT, edit_from="3", anchor_indices=(6,))
    for name, config in (("whole.mkv", whole), ("faded.mkv", replace(whole, fade="1"))):
        edit_video(source, "snow", source.with_name(name), config, pipeline=pipe)
    before, full, faded = (
        read_video(source.with_name(name)).astype(int)
        for name in ("clip.mp4", "whole.mkv", "faded.mkv")
    )
    assert np.abs(2 * faded[3] - before[3] - full[3]).max() <= 1
    assert np.array_equal(faded[4:], full[4:])


def test_a_shot_that_is_left_alone_has_no_anchors(source: Path, pipe, num_rows):
    source.with_name("shots.txt").write_text("4")
    config = replace(EXACT, shots=str(source.with_name("shots.txt")), edit_from="4")
    report = edit_video(source, "snow", source.with_name("out.mkv"), config, pipeline=pipe)
    assert min(report.used.anchor_indices) >= 4
    before, after = read_video(source), read_video(source.with_name("out.mkv"))
    assert np.array_equal(before[:4], after[:4]) and (before[4:] != after[4:]).any()


def test_a_small_region_is_edited_alone_and_pasted(source: Path, pipe: FairyPipeline):
    config = replace(EXACT, region=(20, 12, 16, 12))
    report = edit_video(source, "snow", source.with_name("out.mkv"), config, pipeline=pipe)
    # With its surroundings, 24x20, at no more than its own pixels
    assert (report.used.height, report.used.width) == (20, 24)
    before, after = read_video(source), read_video(source.with_name("out.mkv"))
    changed = (before != after).any(axis=(0, 3))
    inside = np.zeros(SIZE, bool)
    inside[12:24, 20:36] = True
    assert not changed[~inside].any() and changed[inside].mean() > 0.9


def test_masks_are_saved_as_they_are_used(source: Path, pipe: FairyPipeline):
    config = replace(EXACT, region=(16, 8, 16, 16), mask_feather=4, edit_from="2")
    folder, out = source.with_name("masks"), source.with_name("out.mkv")
    edit_video(source, "snow", out, config, pipeline=pipe, save_masks=folder)
    saved = read_video(folder)
    assert saved.shape == (9, *SIZE, 3) and not saved[:2].any()
    assert saved[5, 8, 12:17, 0].tolist() == [51, 102, 153, 204, 255]


def test_an_interrupted_edit_under_a_mask_resumes_to_the_same_file(
    source: Path, pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fairy.jobs.plan, "SEGMENT_FRAMES", 4)
    write_video(moving_masks(9, *SIZE), source.with_name("masks"))
    config = replace(EXACT, mask=source.with_name("masks"))
    whole, cut = source.with_name("whole.mkv"), source.with_name("cut.mkv")
    edit_video(source, "snow", whole, config, pipeline=pipe)
    stop_after(4, source, cut, config, pipe)
    other = source.with_name("others")
    write_video(moving_masks(9, *SIZE)[::-1], other)
    with pytest.raises(SettingsError, match="--mask is another"):
        edit_video(source, "snow", cut, replace(config, mask=other), pipeline=pipe)
    edit_video(source, "snow", cut, config, pipeline=pipe)
    assert np.array_equal(read_video(whole), read_video(cut))


def stop_after(num_frames: int, source: Path, out: Path, config: EditConfig, pipe) -> None:
    def progress(done: int, total: int) -> None:
        if done == num_frames:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edit_video(source, "snow", out, config, pipeline=pipe, progress=progress)


def test_a_preview_shows_the_source_where_it_stays(source: Path, pipe: FairyPipeline):
    config = replace(EXACT, edit_from="8", region=(0, 0, 20, 20))
    sheet = preview_video(
        source, "snow", source.with_name("out.mkv"), config, num_frames=3, pipeline=pipe
    )
    assert sheet.exists()


def test_a_list_of_edits_takes_the_options_as_columns(source: Path, tmp_path: Path):
    model = save_tiny_pipeline(tmp_path / "model", size=32, num_inference_steps=1)
    jobs = tmp_path / "jobs.csv"
    jobs.write_text(
        "input,instruction,output,region,from\n"
        f'{source},snow,{tmp_path / "a.mkv"},"20,12,16,12",3\n'
        f'{source},rain,{tmp_path / "b.mkv"},"20,12,16,12",\n'
    )
    results = run_batch(jobs, replace(EXACT, model=str(model), device="cpu"))
    assert [result.state for result in results] == ["done", "done"]
    before, a, b = (read_video(path) for path in (source, tmp_path / "a.mkv", tmp_path / "b.mkv"))
    assert np.array_equal(a[:3], before[:3]) and (b[:3] != before[:3]).any()
    assert np.array_equal(b[:, 24:], before[:, 24:])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mask": "none.png"}, "no such file"),
        ({"region": (0, 0, 99, 9)}, "leaves the frame"),
        ({"edit_from": "99"}, "past the end"),
        ({"edit_to": "101%"}, "past the end"),
    ],
)
def test_misuse_writes_nothing(source: Path, pipe: FairyPipeline, settings, words: str):
    before = sorted(source.parent.iterdir())
    with pytest.raises(FairyError, match=words):
        edit_video(
            source, "snow", source.with_name("out.mkv"), replace(EXACT, **settings), pipeline=pipe
        )
    assert sorted(source.parent.iterdir()) == before
