"""Every real clip, written again without an edit: times, sound and colours, as PyAV tells them."""

from fractions import Fraction
from itertools import islice

import av
import numpy as np
import pytest

from fairy.media import VideoWriter, probe, read_frames
from fairy.media.codecs import CONTAINERS
from tests.media.conftest import CLIPS

NUM_COLOUR_FRAMES = 3
NAMES = sorted(
    str(path.relative_to(CLIPS))
    for path in CLIPS.rglob("*")
    if path.suffix not in ("", ".md", ".png") and path.name != "audio_only.mp4"
)


def out_suffix(name):
    suffix = "." + name.rsplit(".", 1)[1]
    return suffix if suffix in CONTAINERS else {".avi": ".mov"}.get(suffix, ".mp4")


@pytest.mark.parametrize("name", NAMES)
def test_times_and_sound_are_the_sources(clip, tmp_path, frame_times, audio_packets, name):
    source, out = clip(name), tmp_path / f"out{out_suffix(name)}"
    image = np.zeros((16, 16, 3), np.uint8)
    with VideoWriter(out, info=probe(source), height=16, width=16) as writer:
        times = shown_times(source) if name.endswith("vp8.webm") else frame_times(source)
        for time in times:
            writer.write(image, time.numerator, Fraction(1, time.denominator))
    assert frame_times(out) == times
    before, after = audio_packets(source), audio_packets(out)
    assert [[data for _, data in track] for track in before] == [
        [data for _, data in track] for track in after
    ]
    shifts = [
        abs(a - b)
        for old, new in zip(before, after, strict=True)
        for (a, _), (b, _) in zip(old, new, strict=True)
    ]
    assert max(shifts, default=0) <= Fraction(1, 1000)


def shown_times(path):
    """Times of decoded frames, where packets may hide pictures."""
    with av.open(str(path)) as file:
        return sorted(frame.pts * frame.time_base for frame in file.decode(video=0))


@pytest.mark.parametrize("name", NAMES)
def test_the_reader_shows_a_frame_at_each_time(clip, frame_times, name):
    path = clip(name)
    times = shown_times(path) if name.endswith("vp8.webm") else frame_times(path)
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
