import io
from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace

import av
import numpy as np
import pytest
from av.stream import Disposition

from fairy.media import VideoWriter, probe
from fairy.media.encoding.tracks import Transcoded

RATE = 48_000
CLICKS_S = (0.25, 0.9, 1.7)


def silence_with_clicks(rate=RATE, seconds=2):
    """Return stereo sound (2,N): a burst of one millisecond at each of `CLICKS_S`."""
    sound = np.zeros((2, rate * seconds), np.float32)
    for time in CLICKS_S:
        start = round(time * rate)
        sound[:, start : start + rate // 1000] = 0.9
    return sound


def add_sound(file, codec, sound, rate=RATE):
    stream = file.add_stream(codec, rate=rate, layout="stereo")
    frame = av.AudioFrame.from_ndarray(sound, format="fltp", layout="stereo")
    frame.rate, frame.pts = rate, 0
    resampler = av.AudioResampler(format=stream.format, layout="stereo", rate=rate)
    packets = [p for part in resampler.resample(frame) for p in stream.encode(part)]
    return packets + stream.encode(None)


@pytest.fixture
def sounding(tmp_path):
    """A function: a clip of two seconds with clicks in the sound, a title and two chapters."""

    def make(codec, suffix):
        path = tmp_path / f"in{suffix}"
        with av.open(str(path), "w") as file:
            file.metadata.update(title="Clicks", comment="mine")
            chapter = {"time_base": Fraction(1, 1000), "metadata": {"title": "one"}}
            file.set_chapters(
                [{"id": 0, "start": 0, "end": 1000, **chapter},
                 {"id": 1, "start": 1000, "end": 2000, **chapter, "metadata": {"title": "two"}}]
            )  # fmt: skip
            video = file.add_stream("libx264", rate=25)
            video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
            sound = add_sound(file, codec, silence_with_clicks())
            file.streams.audio[0].metadata["language"] = "deu"
            for index in range(50):
                frame = av.VideoFrame(64, 48, "yuv420p")
                frame.pts = index
                file.mux(video.encode(frame))
            file.mux(video.encode(None))
            file.mux(sound)
        return path

    return make


def rewrite(source, out, **options):
    info = probe(source)
    image = np.zeros((16, 16, 3), np.uint8)
    with VideoWriter(out, info=info, height=16, width=16, **options) as writer:
        for index in range(50):
            writer.write(image, index, Fraction(1, 25), 1)
    return out


def click_times(path):
    """Return when the bursts in the sound begin, in seconds."""
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        loud = [
            float(frame.time) + index / frame.sample_rate
            for frame in file.decode(stream)
            for index in np.flatnonzero(np.abs(_floats(frame)).max(axis=0) > 0.3)
        ]
    starts = [loud[0], *(b for a, b in pairwise(loud) if b - a > 0.1)]
    return starts


def _floats(frame):
    resampler = av.AudioResampler(format="fltp", layout=frame.layout, rate=frame.sample_rate)
    return np.concatenate([part.to_ndarray() for part in resampler.resample(frame)], axis=1)


@pytest.mark.parametrize(
    ("codec", "source", "out", "becomes"),
    [
        ("aac", ".mp4", ".webm", "opus"),
        ("pcm_s16le", ".mkv", ".webm", "opus"),
        ("libvorbis", ".mkv", ".mov", "aac"),
        # A codec that the container lists, and refuses
        ("flac", ".mkv", ".mov", "aac"),
        # AVI says how many channels there are, not which
        ("pcm_s16le", ".avi", ".mp4", "aac"),
        ("adpcm_ms", ".avi", ".mp4", "aac"),
    ],
)
def test_sound_that_cannot_be_copied_is_transcoded_and_said(
    sounding, tmp_path, caplog, codec, source, out, becomes
):
    if codec not in av.codecs_available:
        pytest.skip(f"no encoder {codec} to make the clip with")
    path = rewrite(sounding(codec, source), tmp_path / f"out{out}")
    assert [audio.codec for audio in probe(path).audio] == [becomes]
    assert f"transcoded to {becomes}" in caplog.text


@pytest.mark.parametrize(("codec", "out"), [("aac", ".webm"), ("pcm_s16le", ".webm")])
def test_transcoded_sound_stays_in_time(sounding, tmp_path, codec, out):
    source = sounding(codec, ".mkv")
    before, after = click_times(source), click_times(rewrite(source, tmp_path / f"out{out}"))
    assert len(after) == len(CLICKS_S)
    # Matroska counts in milliseconds, on the way in and on the way out.
    assert np.allclose(after, before, atol=2.5e-3)


@pytest.mark.parametrize("codec", ["aac", "libopus"])
@pytest.mark.parametrize("layout", ["mono", "2.1", "4.0", "5.0", "5.1(side)", "6.1", "7.1(wide)"])
def test_speakers_of_every_layout_are_transcoded(layout, codec):
    source = SimpleNamespace(
        codec_context=SimpleNamespace(sample_rate=RATE, layout=av.AudioLayout(layout)),
        metadata={}, disposition=Disposition(0),
    )  # fmt: skip
    with av.open(io.BytesIO(), "w", format="matroska") as file:
        Transcoded(source, file, codec)
        file.streams.audio[0].codec_context.open()
        assert file.streams.audio[0].layout.nb_channels == source.codec_context.layout.nb_channels


@pytest.mark.parametrize(
    ("timecode", "fps", "fits"),
    [
        ("01:00:00:00", Fraction(25), True),
        ("01:00:00;00", Fraction(30000, 1001), True),
        ("01:00:00;00", Fraction(25), False),
        ("01:00:00:00", Fraction(1, 10), False),
        ("01:00:00:00", Fraction(1000), False),
        ("noon", Fraction(25), False),
    ],
)
def test_a_timecode_that_cannot_be_written_costs_no_result(tmp_path, timecode, fps, fits):
    source, out = tmp_path / "in.mkv", tmp_path / "out.mp4"
    with av.open(str(source), "w") as file:
        file.metadata["timecode"] = timecode
        video = file.add_stream("ffv1", rate=fps)
        video.height, video.width, video.pix_fmt = 16, 16, "yuv420p"
        for index in range(2):
            frame = av.VideoFrame(16, 16, "yuv420p")
            frame.pts = index
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
    info = probe(source)
    image = np.zeros((16, 16, 3), np.uint8)
    with VideoWriter(out, info=info, height=16, width=16) as writer:
        for index in range(2):
            writer.write(image, index, 1 / fps, 1)
    with av.open(str(out)) as file:
        assert (file.streams.video[0].metadata.get("timecode") == timecode) == fits


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_title_chapters_and_language_are_kept(sounding, tmp_path, suffix):
    path = rewrite(sounding("aac", ".mp4"), tmp_path / f"out{suffix}")
    with av.open(str(path)) as file:
        metadata = {key.lower(): text for key, text in file.metadata.items()}
        assert metadata["title"] == "Clicks"
        assert [c["metadata"]["title"] for c in file.chapters()] == ["one", "two"]
        assert [c["start"] * c["time_base"] for c in file.chapters()] == [0, 1]
        language = {key.lower(): text for key, text in file.streams.audio[0].metadata.items()}
    assert language["language"] in ("deu", "ger")


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("source", [".mp4", ".mkv"])
def test_how_it_was_made_joins_the_comment(sounding, tmp_path, source, suffix, caplog):
    made = '{"tool": "fairy", "instruction": "mehr Körnung"}'
    path = rewrite(sounding("aac", source), tmp_path / f"out{suffix}", comment=made)
    assert "cannot hold metadata" not in caplog.text
    with av.open(str(path)) as file:
        metadata = {key.lower(): text for key, text in file.metadata.items()}
    assert metadata["comment"].splitlines() == ["mine", made]


def test_without_it_the_comment_is_the_sources(sounding, tmp_path):
    path = rewrite(sounding("aac", ".mp4"), tmp_path / "out.mp4")
    with av.open(str(path)) as file:
        assert file.metadata["comment"] == "mine"


def test_all_sound_tracks_are_kept(clip, tmp_path):
    path = rewrite(clip("stress/nasa_2video_2audio.mp4"), tmp_path / "out.mp4")
    assert [audio.sample_rate for audio in probe(path).audio] == [8000, 16000]


def subtitles(path):
    with av.open(str(path)) as file:
        kept = [stream.index for stream in file.streams.subtitles]
    found = []
    for index in kept:
        with av.open(str(path)) as file:
            found.append([bytes(packet) for packet in file.demux(index) if packet.size])
    return found


def test_subtitles_are_copied(clip, tmp_path):
    source = clip("stress/nasa_2video_2audio.mp4")
    assert len(subtitles(source)) == 2
    assert subtitles(rewrite(source, tmp_path / "out.mp4")) == subtitles(source)


def test_subtitles_that_the_file_cannot_hold_are_said(clip, tmp_path, caplog):
    path = rewrite(clip("stress/nasa_2video_2audio.mp4"), tmp_path / "out.webm")
    assert subtitles(path) == []
    assert "webm cannot hold mov_text subtitle; left out" in caplog.text


@pytest.fixture
def with_font(tmp_path):
    """A Matroska clip with an attached file."""
    path = tmp_path / "in.mkv"
    with av.open(str(path), "w") as file:
        video = file.add_stream("ffv1", rate=25)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        file.add_attachment("hand.ttf", "font/ttf", b"not quite a font")
        for index in range(50):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = index
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
    return path


def attachments(path):
    with av.open(str(path)) as file:
        return [(s.name, s.mimetype, s.data) for s in file.streams.attachments]


def test_attached_files_are_copied(with_font, tmp_path):
    copied = attachments(rewrite(with_font, tmp_path / "out.mkv"))
    assert copied == [("hand.ttf", "font/ttf", b"not quite a font")]


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_attached_files_that_the_file_cannot_hold_are_said(with_font, tmp_path, caplog, suffix):
    assert attachments(rewrite(with_font, tmp_path / f"out{suffix}")) == []
    assert f"{suffix[1:]} cannot hold attached files; hand.ttf left out" in caplog.text


@pytest.mark.parametrize("name", ["out.gif", "out", "out.png"])
def test_sound_is_said_to_be_left_out_of_pictures(sounding, tmp_path, caplog, name):
    source = sounding("aac", ".mp4")
    with VideoWriter(tmp_path / name, info=probe(source), height=16, width=16) as writer:
        writer.write(np.zeros((16, 16, 3), np.uint8), 0, Fraction(1, 25), 1)
    assert "left out" in caplog.text
