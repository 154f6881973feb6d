"""Headers of H.264 are read as the encoder was told, and written so that decoders read the same."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from random import Random

import av
import pytest

from fairy.errors import MediaError
from fairy.media.h264 import (
    IDR,
    PPS,
    SPS,
    ParameterSets,
    SequenceSet,
    annexb_units,
    kind_of,
    prefixed,
    prefixed_units,
)
from tests.media.h264_clips import stored, write_h264
from tests.tiny import make_frames

# From a phone: no VUI at all, and an avcC record of an older form
WITHOUT_VUI = bytes.fromhex("6764001facb402802dc8")


def header(tmp_path: Path, params: str = "", **options: object) -> bytes:
    """Return the avcC record of two pictures, 48x64 unless told otherwise."""
    images = options.pop("images", make_frames(2, 48, 64))
    path = write_h264(tmp_path / "clip.mp4", images, params, **options)
    with av.open(str(path)) as file:
        return file.streams.video[0].codec_context.extradata


def sequence(tmp_path: Path, params: str = "", **options: object) -> SequenceSet:
    sets, _ = ParameterSets.of_record(header(tmp_path, params, **options))
    return SequenceSet.of(sets.sps[0])


def test_size_and_depth_are_read(tmp_path: Path):
    found = sequence(tmp_path, images=make_frames(2, 50, 72))
    assert found.size_mbs == (4, 5)
    assert (found.chroma_format, found.depths, found.is_progressive) == (1, (8, 8), True)


def test_it_is_read_whether_pictures_can_be_lossless(tmp_path: Path):
    assert sequence(tmp_path, "qp=0").has_lossless
    assert not sequence(tmp_path, "qp=1").has_lossless


@pytest.mark.parametrize(
    ("pix_fmt", "chroma_format", "depth"),
    [("yuv422p", 2, 8), ("yuv444p", 3, 8), ("yuv420p10le", 1, 10), ("gray", 0, 8)],
)
def test_chroma_is_read(tmp_path: Path, pix_fmt: str, chroma_format: int, depth: int):
    found = sequence(tmp_path, pix_fmt=pix_fmt)
    assert found.chroma_format == chroma_format and found.depths[0] == depth


def test_colours_and_range_are_read(tmp_path: Path):
    assert sequence(tmp_path).colours is None
    found = sequence(tmp_path, "colorprim=bt709:transfer=smpte170m:colormatrix=bt470bg")
    assert found.colours == (1, 6, 5) and not found.full_range
    assert sequence(tmp_path, "fullrange=on").full_range


@pytest.mark.parametrize(
    ("params", "expected"), [("bframes=0", 0), ("bframes=2:b-pyramid=none", 1), ("bframes=3", 2)]
)
def test_how_many_pictures_are_held_back_is_read(tmp_path: Path, params: str, expected: int):
    images = make_frames(12, 48, 64)
    assert sequence(tmp_path, params, images=images).num_reorder_frames == expected
    hrd = f"{params}:nal-hrd=vbr:vbv-bufsize=500:vbv-maxrate=500"
    assert sequence(tmp_path, hrd, images=images).num_reorder_frames == expected


@pytest.mark.parametrize("params", ["cqm=jvt", "interlaced=1", "sar=3/2", "overscan=show"])
def test_what_comes_before_does_not_shift_what_follows(tmp_path: Path, params: str):
    found = sequence(tmp_path, f"bframes=0:colormatrix=bt709:{params}")
    assert found.num_reorder_frames == 0 and found.colours == (2, 2, 1)


def test_ids_are_read_and_a_free_one_found(tmp_path: Path):
    sets, _ = ParameterSets.of_record(header(tmp_path))
    assert (sets.ids, sets.free_id()) == ({0}, 1)
    other, _ = ParameterSets.of_record(header(tmp_path, "sps-id=1"))
    assert (other.ids, other.free_id()) == ({1}, 0)
    assert (sets + other).free_id() == 2
    assert ParameterSets(sets.sps, sets.pps * 255).free_id() is None
    assert ParameterSets(sets.sps * 31, sets.pps).free_id() is None


def test_a_record_is_written_as_it_was(tmp_path: Path):
    for params, options in (("", {}), ("bframes=0", {"pix_fmt": "yuv420p10le"})):
        record = header(tmp_path, params, **options)
        sets, length_bytes = ParameterSets.of_record(record)
        assert (sets.record(), length_bytes) == (record, 4)


def test_a_record_of_two_names_the_higher_profile_and_level(tmp_path: Path):
    high, _ = ParameterSets.of_record(header(tmp_path, "level=3.1"))
    low, _ = ParameterSets.of_record(header(tmp_path, "level=4:sps-id=1", profile="Baseline"))
    record = (low + high).record()
    assert (record[1], record[3]) == (100, 40)
    assert ParameterSets.of_record(record)[0] == low + high


@pytest.mark.parametrize("unit", [None, WITHOUT_VUI])
def test_new_labels_leave_the_rest_of_a_set(tmp_path: Path, unit: bytes | None):
    model = sequence(tmp_path, "sar=4/3:colorprim=bt709:transfer=bt709:colormatrix=bt709")
    one = sequence(tmp_path, "sps-id=3:bframes=2") if unit is None else SequenceSet.of(unit)
    found = SequenceSet.of(one.labelled_like(model))
    assert found.colours == (1, 1, 1)
    for name in ("set_id", "size_mbs", "depths", "num_reorder_frames"):
        assert getattr(found, name) == getattr(one, name)
    assert found.labelled_like(model) == found.unit
    if unit is None:
        assert found.labelled_like(one) == one.unit


def test_a_decoder_reads_the_new_labels(tmp_path: Path):
    path = write_h264(tmp_path / "a.h264", make_frames(2, 48, 64), "bframes=0")
    units = annexb_units(path.read_bytes())
    model = sequence(tmp_path, "sar=4/3:colorprim=bt709:transfer=bt709:colormatrix=bt709")
    changed = [
        SequenceSet.of(unit).labelled_like(model) if kind_of(unit) == SPS else unit
        for unit in units
    ]
    path.with_name("b.h264").write_bytes(b"".join(b"\0\0\0\1" + unit for unit in changed))
    with av.open(str(path)) as before, av.open(str(path.with_name("b.h264"))) as after:
        for one, other in zip(before.decode(video=0), after.decode(video=0), strict=True):
            assert (one.to_ndarray() == other.to_ndarray()).all()
        codec = after.streams.video[0].codec_context
        assert (codec.color_primaries, codec.color_trc, codec.colorspace) == (1, 1, 1)
        assert codec.sample_aspect_ratio.numerator == 4


def test_packets_come_apart_and_together(tmp_path: Path):
    path = write_h264(tmp_path / "clip.mp4", make_frames(3, 48, 64))
    for _, data in stored(path):
        units = prefixed_units(data, 4)
        assert prefixed(units) == data
        for code in (b"\0\0\1", b"\0\0\0\1"):
            assert annexb_units(b"".join(code + unit for unit in units)) == units
    raw = annexb_units(write_h264(tmp_path / "clip.h264", make_frames(1, 48, 64)).read_bytes())
    assert [kind_of(unit) for unit in raw if kind_of(unit) in (SPS, PPS, IDR)] == [SPS, PPS, IDR]


@pytest.mark.parametrize("data", [b"\0\0\0\5abcd", b"\0\0\0\1a\0", b"\0\0\0\0", b"abc"])
def test_a_packet_whose_lengths_are_wrong_is_refused(data: bytes):
    with pytest.raises(MediaError, match="do not add up"):
        prefixed_units(data, 4)


def test_a_header_that_is_cut_short_is_refused(tmp_path: Path):
    record = header(tmp_path)
    whole, _ = ParameterSets.of_record(record)
    # The last four bytes repeat how chroma is stored
    for size in range(len(record) - 4):
        with pytest.raises(MediaError):
            ParameterSets.of_record(record[:size])
    for size in range(2, len(whole.sps[0]) - 8):
        with pytest.raises(MediaError, match="cut short"):
            _ = SequenceSet.of(whole.sps[0][:size]).colours


def test_a_damaged_set_ends_in_one_error_and_soon(tmp_path: Path):
    whole, random = sequence(tmp_path, "nal-hrd=vbr:vbv-bufsize=500:vbv-maxrate=500"), Random(0)
    for _ in range(300):
        unit = bytearray(whole.unit)
        for _ in range(3):
            unit[random.randrange(1, len(unit))] = random.randrange(256)
        with suppress(MediaError):
            ParameterSets((bytes(unit),), ()).labelled_like(whole.unit)
