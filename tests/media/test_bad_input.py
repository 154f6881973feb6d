import av
import numpy as np
import pytest

from fairy.errors import MediaError
from fairy.media import probe, read_frames, write_video


def one_line(path):
    """Return what is said of `path`, which must be refused in one line that names it."""
    with pytest.raises(MediaError) as error:
        probe(path)
    text = str(error.value)
    assert text.startswith(f"{path}: ") and "\n" not in text
    return text


def cut(source, target, share):
    data = source.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    return target


def test_missing_file(tmp_path):
    assert "no such file" in one_line(tmp_path / "clip.mp4")


def test_empty_file(tmp_path):
    (tmp_path / "clip.mp4").touch()
    assert "empty" in one_line(tmp_path / "clip.mp4")


def test_text_named_mp4(tmp_path):
    (tmp_path / "clip.mp4").write_text("no video, only words\n" * 50)
    assert "not a video" in one_line(tmp_path / "clip.mp4")


def test_no_video_stream(clip):
    text = one_line(clip("stress/audio_only.mp4"))
    assert "no video stream found (1 audio streams)" in text


@pytest.mark.parametrize("share", [0.3, 0.7, 0.98])
@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov"])
def test_cut_short_with_its_index_in_front(tmp_path, name, share):
    rng = np.random.default_rng(0)
    write_video(rng.integers(0, 256, (12, 48, 64, 3)).astype(np.uint8), tmp_path / name)
    assert "cut short" in one_line(cut(tmp_path / name, tmp_path / f"cut_{name}", share))


def test_cut_short_with_its_index_lost(clip, tmp_path):
    # This file's index stands at its end.
    assert "cut short" in one_line(cut(clip("d01_wolf.mp4"), tmp_path / "clip.mp4", 0.5))


@pytest.mark.parametrize("share", [0.5, 0.8, 0.99])
def test_a_fragmented_file_that_is_cut_short_is_read_as_far_as_it_goes(tmp_path, share):
    path, images = tmp_path / "clip.mp4", np.random.default_rng(0).integers(0, 256, (24, 48, 64, 3))
    with av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov"}) as file:
        stream = file.add_stream("libx264", rate=10, options={"g": "4"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for image in images.astype(np.uint8):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode(None))
    path = cut(path, tmp_path / f"cut{share}.mp4", share)
    num_frames = probe(path).num_frames
    assert 24 * share - 5 <= num_frames <= 24
    assert len(list(read_frames(path))) == num_frames


def test_a_real_fragmented_file_cut_by_a_crash_shows_all_its_pictures(failing):
    assert probe(failing("frag_cut.mp4")).num_frames == 60
    assert sum(not frame.stands_in for frame in read_frames(failing("frag_cut.mp4"))) == 60


@pytest.mark.parametrize(
    ("name", "text"),
    [
        # FFmpeg reads it again and again, waiting for its end.
        ("clip.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nclip.m3u8\n"),
        ("clip.mp4", "ffconcat version 1.0\nfile other.mp4\n"),
        # FFmpeg shows it as pictures of a terminal.
        ("notes.txt", "make it snow\n" * 50),
    ],
)
def test_playlists_and_text_are_no_video(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert "not a video" in one_line(tmp_path / name)


def test_a_transport_stream_of_a_few_packets_is_said(tmp_path):
    write_video(np.zeros((2, 16, 16, 3), np.uint8), tmp_path / "clip.mp4")
    with (
        av.open(str(tmp_path / "clip.mp4")) as source,
        av.open(str(tmp_path / "clip.ts"), "w") as out,
    ):
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    assert "ends before its first picture" in one_line(tmp_path / "clip.ts")


def test_subtitles_are_no_video(tmp_path):
    (tmp_path / "words.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    assert "no video stream" in one_line(tmp_path / "words.srt")


def test_reading_refuses_like_probing(tmp_path):
    with pytest.raises(MediaError, match="no such file"):
        next(read_frames(tmp_path / "clip.mp4"))


def test_zeros_under_a_whole_index_ends_in_an_error(tmp_path, scene):
    path = tmp_path / "clip.mp4"
    write_video(scene[None], path)
    data = path.read_bytes()
    head = data[: data.index(b"mdat") + 4]
    path.write_bytes(head.ljust(len(data), b"\0"))
    assert "no frame can be decoded" in one_line(path)


def test_pictures_that_end_early_are_said(clip, tmp_path, caplog):
    path = cut(clip("stress/bear_vp9.webm"), tmp_path / "clip.webm", 0.5)
    assert 0 < probe(path).num_frames < 82
    assert "is the file cut short?" in caplog.text
