import itertools
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from fairy.errors import MediaError
from fairy.media import VideoWriter, probe, read_frames, read_video, write_video
from fairy.media.info import still_info
from fairy.settings import MediaConfig


def copy_clip(source, out, **options):
    """Write `source` again without any edit."""
    info = probe(source)
    size = {"height": info.height, "width": info.width}
    with VideoWriter(out, info=info, **size, **options) as writer:
        for frame in read_frames(source):
            writer.write(frame.image, frame.pts, frame.time_base, frame.duration)
    return out


@pytest.fixture
def copy_times(frame_times):
    """Give a function that writes tiny pictures at the source's times, with its audio."""

    def copy(source, out):
        image = np.zeros((16, 16, 3), dtype=np.uint8)
        with VideoWriter(out, info=probe(source), height=16, width=16) as writer:
            for time in frame_times(source):
                writer.write(image, time.numerator, Fraction(1, time.denominator))
        return out

    return copy


def mean_error(source, out):
    pairs = zip(read_frames(source), read_frames(out), strict=True)
    return np.mean([np.abs(a.image.astype(int) - b.image).mean() for a, b in pairs])


ROUND_TRIPS = [
    ("stress/paper_rot90.mp4", ".mp4"),
    ("stress/bear_vp9.webm", ".mp4"),
    ("stress/decord_rot90.mov", ".webm"),
    ("stress/decord_rot180.mov", ".mov"),
    ("stress/tiny_66x50.mov", ".mkv"),
]


@pytest.mark.parametrize(("name", "suffix"), ROUND_TRIPS)
def test_round_trip_keeps_colours_size_and_count(clip, tmp_path, name, suffix):
    source = clip(name)
    out = copy_clip(source, tmp_path / f"out{suffix}")
    before, after = probe(source), probe(out)
    assert mean_error(source, out) <= 2.0
    assert (after.height, after.width) == (before.height, before.width)
    assert after.num_frames == before.num_frames
    assert after.rotation == 0


EXACT_TIMES = [
    "d10_cat_vfr_portrait.mp4",
    "d11_keyboard_rot.mp4",
    "d12_pelican_1080p.mp4",
    "stress/paper_rot90.mp4",
    "stress/desks_bad_metadata.3gp",
    "stress/non_zero_start.mp4",
    "stress/tiny_66x50.mov",
]


@pytest.mark.parametrize("name", EXACT_TIMES)
def test_timestamps_are_exact_in_mp4(clip, tmp_path, frame_times, copy_times, name):
    source = clip(name)
    out = copy_times(source, tmp_path / "out.mp4")
    assert frame_times(out) == frame_times(source)


def test_last_frame_is_shown_as_long(clip, tmp_path):
    source = clip("stress/paper_rot90.mp4")
    out = copy_clip(source, tmp_path / "out.mp4")
    assert probe(out).duration_s == pytest.approx(probe(source).duration_s, abs=1e-3)


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_timestamps_are_milliseconds_in_matroska(clip, tmp_path, frame_times, copy_times, suffix):
    source = clip("stress/paper_rot90.mp4")
    times = frame_times(copy_times(source, tmp_path / f"out{suffix}"))
    pairs = zip(times, frame_times(source), strict=True)
    assert max(abs(a - b) for a, b in pairs) <= Fraction(1, 2000)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("d11_keyboard_rot.mp4", ".mp4"),
        ("d12_pelican_1080p.mp4", ".mp4"),
        ("d07_road_mjpeg.avi", ".mov"),
        ("d11_keyboard_rot.mp4", ".mkv"),
        ("stress/desks_bad_metadata.3gp", ".mp4"),
        ("stress/water_vp8.webm", ".webm"),
        ("stress/nasa_2video_2audio.mp4", ".mp4"),
    ],
)
def test_audio_packets_are_identical_and_in_time(
    clip, tmp_path, audio_packets, copy_times, name, suffix
):
    source = clip(name)
    before = audio_packets(source)
    after = audio_packets(copy_times(source, tmp_path / f"out{suffix}"))
    assert before and len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        assert [data for _, data in old] == [data for _, data in new]
        shifts = [abs(a - b) for (a, _), (b, _) in zip(old, new, strict=True)]
        assert max(shifts) <= Fraction(1, 2000)


def test_audio_and_frames_are_interleaved(clip, tmp_path, copy_times):
    out = copy_times(clip("stress/paper_rot90.mp4"), tmp_path / "out.mp4")
    with av.open(str(out)) as file:
        kinds = [packet.stream.type for packet in file.demux() if packet.size]
    assert sum(1 for _ in itertools.groupby(kinds)) > 10


def test_audio_can_be_left_out(clip, tmp_path):
    out = copy_clip(clip("stress/paper_rot90.mp4"), tmp_path / "out.mp4", copy_tracks=False)
    assert probe(out).audio == ()


def test_any_player_can_show_the_mp4(clip, tmp_path):
    out = copy_clip(clip("stress/decord_rot90.mov"), tmp_path / "out.mp4")
    info = probe(out)
    assert (info.codec, info.pix_fmt) == ("h264", "yuv420p")
    data = out.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_full_chroma_and_an_odd_size_are_kept(clip, tmp_path):
    source = clip("stress/odd_size_444.mp4")
    out = copy_clip(source, tmp_path / "out.mp4")
    info = probe(out)
    assert (info.pix_fmt, info.height, info.width) == ("yuv444p", 241, 321)
    assert mean_error(source, out) <= 2.0


def test_odd_sizes_gain_a_line_where_the_codec_needs_it(clip, tmp_path, caplog):
    source = clip("stress/odd_size_444.mp4")
    out = copy_clip(source, tmp_path / "out.mp4", media=MediaConfig(pix_fmt="yuv420p"))
    assert "321x241 is written as 322x242" in caplog.text
    shown = read_video(out)
    assert shown.shape[1:] == (242, 322, 3)
    inner, outer = shown[:, :-1, :-1].astype(int), read_video(source)
    # Saturated test bars lose chroma to 4:2:0; a shift by one pixel would cost far more.
    assert np.abs(inner - outer).mean() < 5


def test_output_says_its_colours(clip, tmp_path):
    out = copy_clip(clip("stress/bt601_full.mp4"), tmp_path / "out.mp4")
    with av.open(str(out)) as file:
        frame = next(file.decode(video=0))
    assert (frame.colorspace, frame.color_range) == (6, 1)
    assert (frame.color_primaries, frame.color_trc) == (6, 6)


def test_non_square_pixels_stay_so(clip, tmp_path, copy_times):
    source = clip("stress/desks_bad_metadata.3gp")
    out = copy_times(source, tmp_path / "out.mp4")
    assert probe(out).sample_aspect_ratio == probe(source).sample_aspect_ratio == Fraction(12, 11)


def test_pixels_become_square_where_the_file_cannot_say_otherwise(clip, tmp_path, caplog):
    out = copy_clip(clip("stress/desks_bad_metadata.3gp"), tmp_path / "out.webm")
    info = probe(out)
    assert (info.height, info.width, info.sample_aspect_ratio) == (288, 384, 1)
    assert "square pixels only: 352x288 becomes 384x288" in caplog.text


def test_gif_keeps_frames_on_its_grid(tmp_path, scene, frame_times):
    write_video(np.stack([scene, scene // 2, scene // 3]), tmp_path / "a.gif", fps=30)
    assert [round(100 * time) for time in frame_times(tmp_path / "a.gif")] == [0, 3, 7]
    shown = read_video(tmp_path / "a.gif")
    assert np.abs(shown[0].astype(int) - scene).mean() < 5


def test_gif_of_a_fast_clip_keeps_every_frame(tmp_path, scene):
    write_video(
        np.stack([np.roll(scene, 5 * i, axis=1) for i in range(10)]), tmp_path / "a.gif", 60
    )
    assert probe(tmp_path / "a.gif").num_frames == 10


def test_folder_of_pngs_is_lossless(tmp_path, scene):
    frames = np.stack([scene, 255 - scene])
    write_video(frames, tmp_path / "frames")
    names = sorted(p.name for p in (tmp_path / "frames").iterdir())
    assert names == [".fairy.json", "000000.png", "000001.png"]
    assert np.array_equal(read_video(tmp_path / "frames"), frames)


def test_write_video_keeps_a_fractional_rate(tmp_path, scene):
    write_video(np.stack([scene] * 5), tmp_path / "a.mp4", fps=Fraction(30000, 1001))
    assert [f.time_s for f in read_frames(tmp_path / "a.mp4")] == [
        index * Fraction(1001, 30000) for index in range(5)
    ]


def test_write_video_takes_a_stream(tmp_path, scene):
    write_video((scene for _ in range(4)), tmp_path / "a.mp4")
    assert probe(tmp_path / "a.mp4").num_frames == 4


@pytest.mark.parametrize("num_frames", [1, 2, 3])
def test_the_shortest_hevc_clips_have_times_to_decode_at(tmp_path, num_frames):
    frames = np.zeros((num_frames, 48, 64, 3), dtype=np.uint8)
    write_video(frames, tmp_path / "short.mp4", fps=25, media=MediaConfig(codec="hevc"))
    with av.open(str(tmp_path / "short.mp4")) as file:
        packets = [packet for packet in file.demux(video=0) if packet.pts is not None]
        ahead = [25 * (packet.pts - packet.dts) * packet.time_base for packet in packets]
    assert len(ahead) == num_frames
    assert ahead[0] == 2
    assert max(ahead) <= 4


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv"])
def test_a_clip_that_begins_before_time_0_keeps_every_frame(tmp_path, scene, frame_times, name):
    """As a transport stream does whose clock starts again on the way."""
    info = replace(still_info(tmp_path, 8, 48, 64, Fraction(10), "rgb24"), start_s=-0.4)
    with VideoWriter(tmp_path / name, info=info, height=48, width=64) as writer:
        for index in range(-4, 4):
            writer.write(scene, index, Fraction(1, 10), 1)
    times = frame_times(tmp_path / name)
    assert [time - times[0] for time in times] == [Fraction(index, 10) for index in range(8)]


def test_a_colon_in_the_name_is_no_protocol(tmp_path, scene, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(scene[None], "take:1.mp4")
    assert probe("take:1.mp4").num_frames == 1


@pytest.mark.parametrize(
    ("codec", "height", "width", "fps"), [("hevc", 2, 2, 25), ("av1", 64, 64, 1000)]
)
def test_what_a_codec_refuses_is_said_before_the_work(tmp_path, codec, height, width, fps):
    info = still_info(tmp_path, 8, height, width, Fraction(fps), "rgb24")
    media = MediaConfig(codec=codec)
    writer = VideoWriter(tmp_path / "out.mp4", info=info, height=height, width=width, media=media)
    with pytest.raises(
        MediaError, match=f"{width}x{height} at {fps} frames/s: use another --codec"
    ):
        writer.try_encoder()
    assert not list(tmp_path.iterdir())


def test_an_odd_size_is_said_once_for_all_segments(tmp_path, caplog):
    info = still_info(tmp_path, 8, 17, 33, Fraction(25), "rgb24")
    with VideoWriter(tmp_path / "out.mp4", info=info, height=17, width=33) as writer:
        for _ in range(3):
            writer.part_encoder().abandon()
        writer.write(np.zeros((17, 33, 3), np.uint8), 0, Fraction(1, 25), 1)
    assert caplog.text.count("takes even sizes only") == 1
