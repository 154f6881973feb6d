from fractions import Fraction

import av
import numpy as np
import pytest

from fairy.media import probe, read_frame_at, read_frames, read_video, write_video

# Name, frames shown, (height, width) shown, rotation: from the list that comes with the clips.
SHOWN = [
    ("d01_wolf.mp4", 40, (512, 512), 0),
    ("d07_road_mjpeg.avi", 78, (480, 640), 0),
    ("d11_keyboard_rot.mp4", 39, (1280, 720), 270),
    ("stress/paper_rot90.mp4", 23, (352, 288), 90),
    ("stress/decord_rot180.mov", 3, (320, 568), 180),
    ("stress/tiny_66x50.mov", 82, (50, 66), 0),
    ("stress/water_vp8.webm", 90, (360, 480), 0),
    ("stress/desks_bad_metadata.3gp", 71, (288, 352), 0),
    ("stress/odd_size_444.mp4", 25, (241, 321), 0),
    ("stress/h264_10bit.mp4", 30, (200, 200), 0),
    ("stress/nasa_2video_2audio.mp4", 390, (270, 480), 0),
    ("stress/corrupted.mp4", 50, (720, 1280), 0),
    ("stress/invalid_nalu.mp4", 30, (720, 1080), 0),
]


@pytest.mark.parametrize(("name", "num_frames", "size", "rotation"), SHOWN)
def test_probe_counts_what_is_shown(clip, name, num_frames, size, rotation):
    info = probe(clip(name))
    assert (info.num_frames, (info.height, info.width)) == (num_frames, size)
    assert info.rotation == rotation


@pytest.mark.parametrize(
    "name", ["corrupted.mp4", "invalid_nalu.mp4", "tiny_66x50.mov", "water_vp8.webm"]
)
def test_reader_yields_as_many_frames_as_probed(clip, name):
    path = clip(f"stress/{name}")
    assert sum(1 for _ in read_frames(path)) == probe(path).num_frames


@pytest.mark.parametrize("name", ["stress/paper_rot90.mp4", "stress/desks_bad_metadata.3gp"])
def test_times_are_those_of_the_file(clip, frame_times, name):
    assert [frame.time_s for frame in read_frames(clip(name))] == frame_times(clip(name))


def test_frames_have_the_size_shown(clip):
    info = probe(clip("stress/paper_rot90.mp4"))
    assert {frame.image.shape for frame in read_frames(info.path)} == {(352, 288, 3)}
    assert (info.coded_height, info.coded_width) == (288, 352)


def test_rotation_turns_counter_clockwise(clip):
    with av.open(str(clip("stress/paper_rot90.mp4"))) as file:
        coded = next(file.decode(video=0)).to_ndarray(format="rgb24")
    shown = next(read_frames(clip("stress/paper_rot90.mp4"))).image
    wrong = np.rot90(coded, -1).astype(int)
    assert np.abs(shown - np.rot90(coded).astype(int)).mean() < 3 < np.abs(shown - wrong).mean()


def test_start_time_is_kept(clip):
    info = probe(clip("stress/non_zero_start.mp4"))
    first = next(read_frames(info.path))
    assert info.start_s == float(first.time_s) == pytest.approx(8.333, abs=1e-3)


def test_frames_by_index_are_those_of_the_stream(clip):
    path = clip("stress/tiny_66x50.mov")
    every = list(read_frames(path))
    for frame, index in zip(read_frame_at(path, [70, 3, 3]), [70, 3, 3], strict=True):
        assert frame.pts == every[index].pts and np.array_equal(frame.image, every[index].image)


def test_index_past_the_end_is_refused(clip):
    with pytest.raises(ValueError, match=r"no frame at \[82\]"):
        read_frame_at(clip("stress/tiny_66x50.mov"), [0, 82])


def test_full_range_is_recognised(clip):
    info = probe(clip("stress/bt601_full.mp4"))
    assert (info.color_range, info.colorspace) == ("pc", "smpte170m")


def test_audio_streams_are_described(clip):
    audio = probe(clip("stress/nasa_2video_2audio.mp4")).audio
    assert [(a.codec, a.sample_rate, a.channels) for a in audio] == [
        ("aac", 8000, 2),
        ("aac", 16000, 2),
    ]


def test_audio_without_codec_does_not_hide_the_video(clip):
    info = probe(clip("stress/missing_stsd.mp4"))
    assert info.num_frames == 30 and info.audio == ()


def test_whole_clip_is_the_stream_stacked(tmp_path, scene):
    path = tmp_path / "clip.mp4"
    write_video(np.stack([scene, scene // 2, scene // 3]), path, fps=Fraction(30000, 1001))
    clip = read_video(path)
    assert clip.shape == (3, 48, 64, 3)
    assert np.array_equal(clip, np.stack([frame.image for frame in read_frames(path)]))


def test_a_colon_in_the_name_is_no_protocol(tmp_path, scene):
    path = tmp_path / "take 1: night.mp4"
    write_video(scene[None], path)
    assert probe(path).num_frames == 1


def test_the_average_rate_is_that_of_the_frames_that_are_shown(tmp_path, scene):
    # B frames at a variable rate make the file's own rate too high
    path, pts = tmp_path / "uneven.mp4", 0
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=30, options={"bf": "3", "b-adapt": "0"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 600)
        for step in (20, 20, 21, 21, 40, 41, 20, 20, 40, 20):
            frame = av.VideoFrame.from_ndarray(scene)
            frame.pts, frame.time_base, frame.duration = pts, Fraction(1, 600), step
            file.mux(stream.encode(frame))
            pts += step
        file.mux(stream.encode(None))
    with av.open(str(path)) as file:
        assert file.streams.video[0].average_rate > 24
    info = probe(path)
    assert info.num_frames / float(info.fps) == pytest.approx(info.duration_s) == 263 / 600
