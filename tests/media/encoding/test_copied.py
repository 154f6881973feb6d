"""Frames are copied only where decoding can start, and where the result stores them alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import pytest
from av.container import InputContainer
from av.packet import PacketSideData, packet_sidedata_type_from_literal
from av.video.stream import VideoStream

from fairy.media.decoding.decode import readable_packets
from fairy.media.encoding.codecs import choose_encoding
from fairy.media.encoding.copied import CopiedFrames, find_copied
from fairy.media.h264 import SequenceSet, prefixed
from fairy.media.read import probe
from fairy.media.write import write_video
from fairy.settings import MediaConfig
from tests.media.h264_clips import CLOSED, remuxed, stored, write_h264
from tests.tiny import make_frames

NUM_FRAMES = 24
WHOLE = range(NUM_FRAMES)
NEW_EXTRADATA = packet_sidedata_type_from_literal("new_extradata")


def copied(
    path: Path, *wanted: range, out: str = "out.mp4", **media: object
) -> CopiedFrames | None:
    config = MediaConfig(**media)
    info = probe(path, config)
    encoding = choose_encoding(Path(out), config, full_chroma=info.full_chroma)
    return find_copied(info, encoding, config, wanted)


def spans(path: Path, *wanted: range, **media: object) -> list[tuple[int, int]]:
    found = copied(path, *wanted, **media)
    return [] if found is None else [(one.first, one.end) for one in found.spans]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_h264(tmp_path / "clip.mp4", make_frames(NUM_FRAMES, 48, 64))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (WHOLE, [(0, 24)]),
        # It begins at the next IDR picture
        (range(1, 24), [(8, 24)]),
        (range(8, 24), [(8, 24)]),
        (range(9, 24), [(16, 24)]),
        # It ends where no picture is left that is stored later and shown earlier: I P b b P b b P
        (range(1), [(0, 1)]),
        (range(8, 11), [(8, 9)]),
        (range(8, 12), [(8, 12)]),
        (range(8, 14), [(8, 12)]),
        (range(8, 15), [(8, 15)]),
        (range(1, 8), []),
        (range(17, 24), []),
        (range(0), []),
    ],
)
def test_a_span_is_what_can_be_decoded_alone(
    source: Path, wanted: range, found: list[tuple[int, int]]
):
    assert spans(source, wanted) == found


def test_the_packets_are_the_files_own(source: Path):
    found = copied(source, range(8), range(12, 24))
    assert found is not None and found.num_frames == 16
    packets = stored(source)
    for piece, expected in zip(found.pieces.values(), (packets[:8], packets[16:]), strict=True):
        got = list(piece.packets())
        assert [bytes(one) for one in got] == [data for _, data in expected]
        assert [one.pts * one.time_base for one in got] == [time for time, _ in expected]
        assert [one.pts for one in got] == piece.times()


def test_key_frames_of_open_groups_are_no_beginning(tmp_path: Path):
    path = write_h264(
        tmp_path / "open.mp4", make_frames(NUM_FRAMES, 48, 64), f"{CLOSED}:open-gop=1"
    )
    with av.open(str(path)) as file:
        assert sum(packet.is_keyframe for packet in file.demux(video=0)) > 1
    assert spans(path, range(1, 24)) == []
    # From an IDR picture on they are copied like other frames
    assert spans(path, WHOLE) == [(0, 24)]


@pytest.mark.parametrize(
    "media",
    [
        {"codec": "hevc"},
        {"pix_fmt": "yuv444p"},
        {"max_frames": 20},
        {"out": "out.webm"},
        {"out": "out.gif"},
    ],
)
def test_a_result_that_is_stored_otherwise_copies_nothing(source: Path, media: dict[str, object]):
    assert spans(source, WHOLE, **media) == []


@pytest.mark.parametrize("out", ["out.mp4", "out.mov", "out.mkv"])
def test_each_container_of_h264_takes_copies(source: Path, out: str):
    assert spans(source, WHOLE, out=out) == [(0, 24)]


@pytest.mark.parametrize(
    "params", ["fullrange=on", "interlaced=1", "colormatrix=smpte240m", "transfer=smpte2084"]
)
def test_pictures_that_reading_converts_are_not_copied(tmp_path: Path, params: str):
    path = write_h264(tmp_path / "a.mp4", make_frames(8, 64, 64), f"{CLOSED}:{params}")
    assert spans(path, range(8)) == []


def test_lossless_pictures_and_others_are_not_in_one_file(source: Path, tmp_path: Path):
    params = f"{CLOSED}:qp=0"
    lossless = write_h264(tmp_path / "lossless.mp4", make_frames(NUM_FRAMES, 48, 64), params)
    assert spans(source, WHOLE, crf=0) == spans(lossless, WHOLE) == []
    assert spans(lossless, WHOLE, crf=0) == [(0, 24)]


def test_a_turned_clip_is_not_copied(source: Path):
    info = replace(probe(source), rotation=90)
    encoding = choose_encoding(Path("out.mp4"))
    assert find_copied(info, encoding, MediaConfig(), [WHOLE]) is None


def test_missing_colour_tags_become_those_of_the_result(source: Path):
    found = copied(source, WHOLE)
    assert found is not None
    assert [SequenceSet.of(unit).colours for unit in found.headers.sps] == [(6, 6, 6)]


def test_another_codec_is_not_copied(tmp_path: Path):
    path = tmp_path / "clip.mp4"
    write_video(make_frames(4, 48, 64), path, media=MediaConfig(codec="hevc"))
    assert spans(path, range(4)) == []
    assert spans(path, range(4), codec="hevc") == []


@pytest.mark.parametrize(
    "damage", [b"\0\0\0\1\x1f", b"\xff\xff\xff\xff", b"\0\0\0\4\x67\x64\0\x0a"]
)
def test_a_span_ends_before_a_packet_that_is_no_plain_picture(source: Path, damage: bytes):
    """An unknown unit, a length that is wrong, and a header in the middle: of the third group."""
    with av.open(str(source)) as file:
        record = file.streams.video[0].codec_context.extradata
    path = remuxed(source, record, lambda number, data: damage * (number == 17) + data)
    assert spans(path, WHOLE) == [(0, 17)]


@pytest.mark.parametrize(("unit", "found"), [(b"\x67\x64\0\x0a", []), (b"\x1f\0\0\0", [(16, 24)])])
def test_after_a_header_in_a_packet_nothing_is_copied(
    source: Path, unit: bytes, found: list[tuple[int, int]]
):
    """It may hold for all pictures that follow, unlike another unit."""
    with av.open(str(source)) as file:
        record = file.streams.video[0].codec_context.extradata
    added = prefixed([unit])
    path = remuxed(source, record, lambda number, data: added * (number == 9) + data)
    assert spans(path, range(9, 24)) == found


def test_a_span_ends_where_another_header_begins(source: Path, monkeypatch: pytest.MonkeyPatch):
    """As in an MP4 with two sample descriptions, joined from two files."""

    def joined(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet]:
        for number, packet in enumerate(readable_packets(container, stream)):
            if number == 16:
                packet.set_sidedata(PacketSideData(NEW_EXTRADATA, 8))
            yield packet

    monkeypatch.setattr("fairy.media.encoding.copied.readable_packets", joined)
    assert spans(source, WHOLE) == [(0, 16)]
    assert spans(source, range(16, 24)) == []


def test_frames_that_an_edit_list_hides_are_not_copied(tmp_path: Path):
    # MP4 hides what is before 0: here the first three pictures, also the first IDR picture
    times = range(-3, NUM_FRAMES - 3)
    path = write_h264(tmp_path / "cut.mp4", make_frames(NUM_FRAMES, 48, 64), times=times)
    num_shown = probe(path).num_frames
    assert num_shown == NUM_FRAMES - 3
    assert spans(path, range(num_shown)) == [(5, 21)]
