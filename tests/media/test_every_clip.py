"""Every real clip, written again without an edit: times, sound, size and colours.

Our reader has no say in times and sound: PyAV's own packets tell them, and once more `ffprobe`
where there is one (skipped elsewhere). Colours are compared as our reader shows them; that these
are right is tested in tests/media/test_colours.py.
"""

from fractions import Fraction
from itertools import islice

import numpy as np
import pytest

from fairy.media import VideoWriter, probe, read_frames
from fairy.media.encoding.codecs import CONTAINERS
from tests.media import ffprobe
from tests.media.conftest import CLIPS

NUM_COLOUR_FRAMES = 3
NAMES = sorted(
    str(path.relative_to(CLIPS))
    for path in CLIPS.rglob("*")
    if path.suffix not in ("", ".md", ".png") and path.name != "audio_only.mp4"
)

needs_ffprobe = pytest.mark.skipif(not ffprobe.HAS_FFPROBE, reason="no ffprobe")


def out_suffix(name):
    suffix = "." + name.rsplit(".", 1)[1]
    return suffix if suffix in CONTAINERS else {".avi": ".mov"}.get(suffix, ".mp4")


def write_again(source, out, times):
    """Write a small black picture at each of `times`, in seconds, with the source's sound."""
    image = np.zeros((16, 16, 3), np.uint8)
    with VideoWriter(out, info=probe(source), height=16, width=16) as writer:
        for time in times:
            writer.write(image, time.numerator, Fraction(1, time.denominator))
    return out


def assert_same_sound(before, after):
    """Every packet of every track has the same data, within a millisecond of its time."""
    assert [[data for _, data in track] for track in before] == [
        [data for _, data in track] for track in after
    ]
    shifts = [
        abs(a - b)
        for old, new in zip(before, after, strict=True)
        for (a, _), (b, _) in zip(old, new, strict=True)
    ]
    assert max(shifts, default=0) <= Fraction(1, 1000)


@pytest.mark.parametrize("name", NAMES)
def test_times_and_sound_are_the_sources(clip, tmp_path, frame_times, audio_packets, name):
    source = clip(name)
    times = frame_times(source)
    out = write_again(source, tmp_path / f"out{out_suffix(name)}", times)
    assert frame_times(out) == times
    assert_same_sound(audio_packets(source), audio_packets(out))


@needs_ffprobe
@pytest.mark.parametrize("name", NAMES)
def test_ffprobe_reports_the_same_times_and_sound(clip, tmp_path, frame_times, name):
    source = clip(name)
    out = write_again(source, tmp_path / f"out{out_suffix(name)}", frame_times(source))
    assert ffprobe.frame_times(out) == ffprobe.frame_times(source)
    assert_same_sound(ffprobe.audio_packets(source), ffprobe.audio_packets(out))


@needs_ffprobe
@pytest.mark.parametrize("name", NAMES)
def test_ffprobe_reports_the_size_that_our_reader_shows(clip, name):
    info = probe(clip(name))
    assert ffprobe.shown_size(clip(name)) == (info.width, info.height)


@pytest.mark.parametrize("name", NAMES)
def test_the_reader_shows_a_frame_at_each_time(clip, frame_times, name):
    path = clip(name)
    times = frame_times(path)
    first = [frame.time_s for frame in islice(read_frames(path), 10)]
    assert first == times[:10]
    assert probe(path).num_frames == len(times)


@pytest.mark.parametrize("name", NAMES)
def test_colours_come_back(clip, tmp_path, name):
    source, out = clip(name), tmp_path / f"out{out_suffix(name)}"
    info = probe(source)
    frames = list(islice(read_frames(source), NUM_COLOUR_FRAMES))
    with VideoWriter(
        out, info=info, height=info.height, width=info.width, copy_tracks=False
    ) as writer:
        for frame in frames:
            writer.write(frame.image, frame.pts, frame.time_base, frame.duration)
    pairs = zip(frames, read_frames(out), strict=True)
    assert np.mean([np.abs(a.image.astype(int) - b.image).mean() for a, b in pairs]) <= 2
