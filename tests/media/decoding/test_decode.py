import av
import numpy as np
import pytest

from fairy.errors import MediaError
from fairy.media import probe, read_frame_at, read_frames
from fairy.settings import MediaConfig


@pytest.fixture
def broken(tmp_path):
    """A function: 12 numbered pictures, each a key frame, the payload of some of them lost."""

    def make(lost, suffix=".mp4"):
        path = tmp_path / f"clip{suffix}"
        with av.open(str(path), "w") as file:
            stream = file.add_stream("libx264", rate=10, options={"g": "1", "bf": "0"})
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
            for index in range(12):
                image = np.full((48, 64, 3), 20 * index, np.uint8)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            file.mux(stream.encode(None))
        with av.open(str(path)) as file:
            places = [(p.pos, p.size) for p in file.demux(video=0) if p.size]
        data = bytearray(path.read_bytes())
        for index in lost:
            pos, size = places[index]
            data[pos : pos + size] = bytes(size)
        path.write_bytes(data)
        return path

    return make


def levels(path):
    return [round(frame.image.mean() / 20) for frame in read_frames(path)]


@pytest.mark.parametrize(
    ("lost", "shown"),
    [
        ([], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
        ([4, 5], [0, 1, 2, 3, 3, 3, 6, 7, 8, 9, 10, 11]),
        ([0, 1], [2, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
        ([10, 11], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9]),
    ],
)
def test_the_last_good_picture_stands_in(broken, lost, shown):
    path = broken(lost)
    frames = list(read_frames(path))
    assert levels(path) == shown
    assert [index for index, frame in enumerate(frames) if frame.stands_in] == lost
    assert [float(frame.time_s) for frame in frames] == [index / 10 for index in range(12)]
    assert probe(path).num_frames == 12


def test_what_is_lost_is_counted_and_said(broken, caplog):
    list(read_frames(broken([4, 5])))
    assert "clip.mp4: 2 of 12 pictures cannot be decoded" in caplog.text


def test_strict_names_the_time_and_the_way_out(broken):
    frames = read_frames(broken([4]), MediaConfig(strict=True))
    with pytest.raises(MediaError, match=r"the picture at 0\.400 s cannot be decoded: without"):
        list(frames)


def test_strict_takes_a_whole_clip(broken):
    assert len(list(read_frames(broken([]), MediaConfig(strict=True)))) == 12


def test_nothing_decodable_is_one_clear_line(broken):
    with pytest.raises(MediaError, match=r"clip\.mp4: no frame can be decoded"):
        probe(broken(range(12)))


def test_frames_by_index_have_the_same_stand_ins(broken):
    path = broken([4, 5])
    assert [round(f.image.mean() / 20) for f in read_frame_at(path, [5, 6, 2])] == [3, 6, 2]


@pytest.mark.parametrize("name", ["corrupted.mp4", "invalid_nalu.mp4"])
def test_a_real_damaged_clip_keeps_its_timeline(clip, frame_times, name):
    path = clip(f"stress/{name}")
    frames = list(read_frames(path))
    assert [frame.time_s for frame in frames] == frame_times(path)
    assert sum(frame.stands_in for frame in frames) == 1


@pytest.mark.parametrize(
    "name",
    [
        "stress/tiny_66x50.mov",
        "stress/water_vp8.webm",
        "stress/bear_vp9.webm",
        "d07_road_mjpeg.avi",
    ],
)
def test_counting_packets_or_decoding_gives_the_frames_that_are_read(clip, name):
    path = clip(name)
    assert probe(path).num_frames == sum(1 for _ in read_frames(path))


def test_the_named_stream_is_read(clip):
    path = clip("stress/nasa_2video_2audio.mp4")
    info = probe(path, MediaConfig(video_stream=0))
    assert (info.stream_index, info.height, info.width) == (0, 180, 320)
    assert next(read_frames(path, MediaConfig(video_stream=0))).image.shape == (180, 320, 3)
    assert probe(path).stream_index == 3


def test_a_stream_that_is_no_video_is_refused(clip):
    path = clip("stress/nasa_2video_2audio.mp4")
    with pytest.raises(MediaError, match="stream 1 is no video stream: use 0, 3"):
        probe(path, MediaConfig(video_stream=1))


@pytest.mark.parametrize(("encoder", "suffix"), [("libvpx", ".webm"), ("libvpx-vp9", ".mkv")])
def test_what_is_transparent_in_vp8_and_vp9_is_black(tmp_path, encoder, suffix):
    path = tmp_path / f"clip{suffix}"
    rgba = np.full((48, 64, 4), 200, np.uint8)
    rgba[:, :32, 3], rgba[:, 32:, 3] = 0, 255
    with av.open(str(path), "w") as file:
        stream = file.add_stream(encoder, rate=10, options={"auto-alt-ref": "0"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuva420p"
        for _ in range(3):
            picture = av.VideoFrame.from_ndarray(rgba, format="rgba")
            file.mux(stream.encode(picture.reformat(format="yuva420p")))
        file.mux(stream.encode(None))
    assert probe(path).notes == ("transparent: shown on black",)
    frames = list(read_frames(path))
    assert [float(frame.time_s) for frame in frames] == [0, 0.1, 0.2]
    assert all(frame.image[:, :28].max() < 10 for frame in frames)
    assert all(abs(frame.image[:, 36:].mean() - 200) < 3 for frame in frames)


def test_pictures_of_the_same_time_are_shown_once_each_and_said_once(tmp_path, caplog):
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mjpeg", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p"
        for index in range(6):
            image = np.full((48, 64, 3), 20 * index, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                packet.pts = packet.dts = index // 3
                file.mux(packet)
    assert levels(path) == [0, 1, 2, 3, 4, 5]
    assert not any(frame.stands_in for frame in read_frames(path))
    caplog.clear()
    times = [float(frame.time_s) for frame in read_frames(path)]
    assert times == [0, 0.001, 0.002, 0.1, 0.101, 0.102]
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: 4 of 6 pictures have a time that is not after the one before; shown right after"
    ]
