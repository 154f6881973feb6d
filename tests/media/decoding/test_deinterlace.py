from fractions import Fraction

import av
import numpy as np
import pytest

from fairy.media import probe, read_frames


def bar(x):
    """A white bar at column x, uint8 (64,96,3)."""
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, x : x + 16] = 255
    return image


@pytest.fixture
def interlaced(tmp_path):
    """A bar that moves 8 columns from field to field, top field first, at uneven times."""
    path, times = tmp_path / "clip.mp4", [0, 1, 2, 3, 5, 6, 7, 9]
    with av.open(str(path), "w") as file:
        options = {"crf": "5", "flags": "+ildct+ilme", "x264-params": "tff=1"}
        stream = file.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        for index, time in enumerate(times):
            image = bar(8 * index)
            image[1::2] = bar(8 * index + 4)[1::2]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = time, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path, times


def combing(image):
    """Mean difference between neighbouring lines, in levels."""
    return np.abs(np.diff(image.astype(int), axis=0)).mean()


def test_every_frame_comes_out_once_at_its_time(interlaced):
    path, times = interlaced
    frames = list(read_frames(path))
    assert [frame.time_s for frame in frames] == [Fraction(time, 25) for time in times]


def test_the_lines_no_longer_comb(interlaced):
    path, _ = interlaced
    with av.open(str(path)) as file:
        woven = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    shown = [frame.image for frame in read_frames(path)]
    assert all(combing(a) < combing(b) / 3 for a, b in zip(shown[1:-1], woven[1:-1], strict=True))


def test_every_frame_shows_the_moment_of_its_first_field(interlaced):
    path, _ = interlaced
    middles = [np.flatnonzero(f.image.mean(axis=(0, 2)) > 200).mean() for f in read_frames(path)]
    assert np.allclose(np.diff(middles), 8, atol=1)
    # Which field is the first is the encoder's choice: 7.5 or, four columns on, 11.5.
    assert min(abs(middles[0] - 7.5), abs(middles[0] - 11.5)) <= 1


def test_it_is_said_once(interlaced, caplog):
    probe(interlaced[0])
    assert caplog.text.count("interlaced: made into whole pictures") == 1


def test_progressive_clips_are_left_alone(clip, caplog):
    probe(clip("stress/paper_rot90.mp4"))
    assert "interlaced" not in caplog.text
