"""What a clip has besides pixels and sound is in the output, or its loss is said."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition
from PIL import Image as PilImage

from benchmarks.lib.odd_clips import INTERLACED, changing_flv, in_3d, joined, spherical
from fairy.errors import MediaError
from fairy.media import VideoWriter, probe, read_frames
from fairy.media.decoding.side_data import _LOST
from fairy.settings import MediaConfig
from tests.media.copying import copy

Change = Callable[[av.container.OutputContainer], None]


def write_clip(
    path: Path,
    *,
    matrix: int | None = None,
    coding: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=10, options={"bf": "0", **(coding or {})})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.metadata.update(metadata or {})
        if matrix is not None:
            stream.codec_context.colorspace = matrix
        for index in range(5):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = index
            if matrix is not None:
                frame.colorspace = matrix
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def timecode(path: Path) -> str | None:
    with av.open(str(path)) as file:
        found = {**file.metadata, **file.streams.video[0].metadata}
    return {key.lower(): text for key, text in found.items()}.get("timecode")


@pytest.mark.parametrize("suffix", [".mov", ".mp4", ".mkv"])
def test_a_track_of_timecodes_is_written_again(failing, tmp_path: Path, suffix: str, caplog):
    source = failing("tc.mov")
    assert timecode(copy(source, tmp_path / f"out{suffix}")) == timecode(source) == "01:02:03:4"
    assert "left out" not in caplog.text


def test_the_mark_of_360_degree_pictures_is_said_to_be_lost(failing):
    assert "not kept: the mark of 360-degree pictures" in probe(failing("eq.mkv")).notes


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize(("make", "kind"), [(in_3d, "3D"), (spherical, "360-degree")])
def test_marks_in_boxes_are_said_to_be_lost(tmp_path: Path, suffix: str, make, kind: str):
    assert f"not kept: the mark of {kind} pictures" in probe(make(tmp_path / f"in{suffix}")).notes


def test_the_mark_of_3d_pictures_in_matroska_is_said_to_be_lost(tmp_path: Path):
    path = write_clip(tmp_path / "in.mkv", metadata={"stereo_mode": "left_right"})
    assert "not kept: the mark of 3D pictures" in probe(path).notes


def test_the_mark_of_3d_pictures_in_h264_is_said_to_be_lost(tmp_path: Path):
    path = write_clip(tmp_path / "in.mp4", coding={"x264-params": "frame-packing=3"})
    assert "not kept: the mark of 3D pictures" in probe(path).notes


def test_every_kind_of_side_data_that_is_said_is_known_to_pyav():
    assert set(_LOST) <= {kind.name for kind in SideDataType}


def test_pictures_that_are_interlaced_from_the_middle_on_are_said(tmp_path: Path, caplog):
    path = joined(tmp_path / "joined.ts", {}, INTERLACED)
    assert probe(path).notes == ()
    assert len(list(read_frames(path))) == 8
    assert "4 of 8 pictures are interlaced; made into whole ones" in caplog.text


def test_interlaced_pictures_that_end_in_the_middle_are_said_once(tmp_path: Path, caplog):
    path = joined(tmp_path / "joined.ts", INTERLACED, {})
    assert "interlaced: made into whole pictures (bwdif)" in probe(path).notes
    assert len(list(read_frames(path))) == 8
    assert "are interlaced" not in caplog.text


@pytest.mark.parametrize("codecs", [("mpeg2video", "libx264"), ("libx264", "mpeg2video")])
def test_pictures_of_another_codec_from_the_middle_on_are_refused(tmp_path: Path, codecs):
    path = joined(tmp_path / "joined.ts", *({"codec": codec} for codec in codecs))
    for read in (probe, lambda path: next(read_frames(path))):
        with pytest.raises(MediaError, match=r"change their codec in the middle \(H.264, MPEG-2\)"):
            read(path)


def test_a_stream_that_begins_in_the_middle_is_said(tmp_path: Path):
    path = changing_flv(tmp_path / "joined.flv")
    assert "a further stream begins in the middle, Video: h264; left out" in probe(path).notes
    assert len(list(read_frames(path))) == 60


def test_pictures_of_another_size_are_scaled_and_said(failing, caplog):
    frames = list(read_frames(failing("reschange.webm")))
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    assert "20 of 30 pictures have another size, such as 320x240; scaled to" in caplog.text


def test_a_change_of_size_is_said_of_h264_too(tmp_path: Path, caplog):
    path = joined(tmp_path / "joined.ts", {}, {"height": 96, "width": 128})
    assert {frame.image.shape for frame in read_frames(path)} == {(48, 64, 3)}
    assert "4 of 8 pictures have another size, such as 128x96" in caplog.text


def test_a_change_of_pixel_format_is_said(tmp_path: Path, caplog):
    path = joined(tmp_path / "joined.ts", {}, {"pix_fmt": "yuv422p10le"})
    assert len(list(read_frames(path))) == 8
    assert "4 of 8 pictures have another pixel format than the first's, yuv420p" in caplog.text


def test_a_change_of_the_pixels_shape_is_said(tmp_path: Path, caplog):
    pieces = [{"sample_aspect_ratio": Fraction(*ratio)} for ratio in ((16, 15), (64, 45))]
    path = joined(tmp_path / "joined.ts", *pieces)
    assert len(list(read_frames(path))) == 8
    assert "the shape of the pixels changes in the middle: 16:15, 64:45" in caplog.text
    assert probe(path).sample_aspect_ratio == Fraction(16, 15)


@pytest.mark.parametrize("is_hdr_first", [True, False])
def test_pictures_are_toned_down_where_they_are_hdr(tmp_path: Path, is_hdr_first: bool, caplog):
    sdr: dict[str, object] = {"color_trc": 1, "color_primaries": 1, "colorspace": 1}
    hdr: dict[str, object] = {"color_trc": 16, "color_primaries": 9, "colorspace": 9}
    alone = [
        next(read_frames(joined(tmp_path / f"{n}.ts", one))) for n, one in enumerate((sdr, hdr))
    ]
    caplog.clear()
    pieces = (hdr, sdr) if is_hdr_first else (sdr, hdr)
    frames = list(read_frames(joined(tmp_path / "joined.ts", *pieces)))
    halves = [alone[is_hdr_first], alone[not is_hdr_first]]
    for frame, expected in zip((frames[0], frames[-1]), halves, strict=True):
        assert np.array_equal(frame.image, expected.image)
    assert is_hdr_first or "HDR (PQ): toned down to SDR" in caplog.text


def test_a_change_is_said_of_a_part_of_a_clip_too(tmp_path: Path, caplog):
    path = joined(tmp_path / "joined.ts", {}, {"height": 96, "width": 128})
    frames = list(read_frames(path, MediaConfig(max_frames=6)))
    assert len(frames) == 6
    assert "2 of 6 pictures have another size" in caplog.text


# One caption, and a format description (ATSC A/53-4, 6.2.3 and 6.2.4)
CAPTION = b"GA94" + bytes([0x03, 0xC1, 0xFF, 0xFC, 0x94, 0x2C, 0xFF])
FORMAT = b"DTG1" + bytes([0x41, 0xFA])


def sei(content: bytes) -> bytes:
    """Return a NAL unit with SEI of user data, type 4."""
    data = bytes([0xB5, 0x00, 0x31]) + content
    return b"\0\0\0\1" + bytes([0x06, 0x04, len(data)]) + data + b"\x80"


@pytest.mark.parametrize(
    ("content", "lost"),
    [(CAPTION, "closed captions (CEA-608/708)"), (FORMAT, "the active format description")],
)
@pytest.mark.parametrize("first", [0, 3])
def test_data_of_the_pictures_is_said_to_be_lost(
    tmp_path: Path, first: int, content: bytes, lost: str, caplog
):
    encoder = av.CodecContext.create("libx264", "w")
    encoder.height, encoder.width, encoder.pix_fmt = 48, 64, "yuv420p"
    encoder.time_base, encoder.options = Fraction(1, 10), {"tune": "zerolatency", "g": "1"}
    units = []
    for index in range(5):
        frame = av.VideoFrame(64, 48, "yuv420p")
        frame.pts = index
        for packet in encoder.encode(frame):
            unit = bytes(packet)
            # Before the slice, after the parameter sets
            place = unit.rindex(b"\0\0\1\x65" if b"\0\0\1\x65" in unit else b"\0\0\1")
            units.append(unit[:place] + (sei(content) if index >= first else b"") + unit[place:])
    path = tmp_path / "captions.h264"
    path.write_bytes(b"".join(units))
    notes = probe(path).notes
    assert len(list(read_frames(path))) == 5
    said = caplog.text if first else " ".join(notes)
    assert f"not kept: {lost}" in said


def test_a_matrix_that_is_not_undone_is_said(tmp_path: Path):
    ycgco = 8
    notes = probe(write_clip(tmp_path / "in.mp4", matrix=ycgco)).notes
    assert "the matrix ycgco is not known: colours are read as by BT.601 or BT.709" in notes


@pytest.fixture
def with_cover(tmp_path: Path) -> Path:
    """An MP4 with a cover picture."""
    path = tmp_path / "in.mp4"
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=10)
        cover = file.add_stream("mjpeg", rate=1)
        cover.disposition = Disposition.attached_pic.value
        streams = ((video, "yuv420p"), (cover, "yuvj420p"))
        for stream, pix_fmt in streams:
            stream.height, stream.width, stream.pix_fmt = 48, 64, pix_fmt
        for stream, pix_fmt in streams:
            frame = av.VideoFrame(64, 48, pix_fmt)
            frame.pts = 0
            file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    return path


def covers(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        found = [s for s in file.streams.video if s.disposition & Disposition.attached_pic]
        return [bytes(next(file.demux(stream))) for stream in found]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_cover_is_kept(with_cover: Path, tmp_path: Path, suffix: str):
    [cover] = covers(copy(with_cover, tmp_path / f"out{suffix}"))
    assert [cover] == covers(with_cover)


@pytest.mark.parametrize("suffix", [".mov", ".webm"])
def test_a_cover_that_the_file_cannot_hold_is_said(
    with_cover: Path, tmp_path: Path, suffix: str, caplog
):
    assert covers(copy(with_cover, tmp_path / f"out{suffix}")) == []
    assert f"{suffix[1:]} cannot hold the cover picture; left out" in caplog.text


MADE_BY = {"com.apple.quicktime.make": "Apple", "title": "Garden"}


@pytest.fixture
def with_keys(tmp_path: Path) -> Path:
    """A MOV with metadata as phones write it."""
    path = tmp_path / "in.mov"
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as file:
        file.metadata.update(MADE_BY)
        stream = file.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        file.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mov", ".mp4", ".mkv", ".webm"])
def test_metadata_is_kept_or_said(with_keys: Path, tmp_path: Path, suffix: str, caplog):
    with av.open(str(copy(with_keys, tmp_path / f"out{suffix}"))) as file:
        kept = {key.lower(): text for key, text in file.metadata.items()}
    assert kept["title"] == "Garden"
    said = "cannot hold metadata: com.apple.quicktime.make left out" in caplog.text
    assert said != (kept.get("com.apple.quicktime.make") == "Apple")


def test_tracks_of_data_are_said_to_be_left_out(clip, tmp_path: Path, caplog):
    copy_first(clip("d10_cat_vfr_portrait.mp4"), tmp_path / "out.mp4")
    assert "tracks of data left out: 2" in caplog.text


def test_other_pictures_are_said_to_be_left_out(clip, tmp_path: Path, caplog):
    copy_first(clip("stress/nasa_2video_2audio.mp4"), tmp_path / "out.mp4")
    assert "is not edited; left out" in caplog.text


def copy_first(source: Path, out: Path) -> None:
    """Write the first picture of a clip, with all its other tracks."""
    info = probe(source)
    with VideoWriter(out, info=info, height=16, width=16) as writer:
        writer.write(np.zeros((16, 16, 3), np.uint8), 0, info.time_base, 1)


def test_what_is_transparent_is_said(tmp_path: Path):
    path = tmp_path / "in.mov"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("png", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "rgba"
        image = np.zeros((48, 64, 4), np.uint8)
        file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgba")))
        file.mux(stream.encode(None))
    assert "transparent: shown on black" in probe(path).notes


def test_a_photo_of_tiles_is_read_whole_or_refused(failing):
    source = failing("grid.heic")
    pytest.importorskip("pillow_heif")
    [frame] = read_frames(source)
    corners = [tuple(frame.image[y, x] > 128) for y in (10, 110) for x in (10, 110)]
    assert corners == [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0)]


def test_encoded_images_are_what_they_were(tmp_path: Path):
    """A plain picture has nothing to say of."""
    PilImage.new("RGB", (16, 16)).save(tmp_path / "a.png")
    assert probe(tmp_path / "a.png").notes == ()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_in_a_picture_is_said(tmp_path: Path, mode: str):
    path, picture = tmp_path / "a.png", PilImage.new("RGBA", (16, 16), (200, 10, 10, 255))
    picture.putpixel((3, 3), (0, 0, 0, 0))
    picture.convert(mode).save(path, **({"transparency": 0} if mode == "P" else {}))
    assert probe(path).notes == ("transparent: shown on black",)


def test_what_is_transparent_in_a_later_picture_is_said(tmp_path: Path, caplog):
    """Of the first picture with transparency it is known from the start, of others when read."""
    clear = PilImage.new("RGBA", (16, 16), (200, 10, 10, 9))
    opaque = PilImage.new("RGBA", (16, 16), (200, 10, 10, 255))
    pictures = {"a": opaque.convert("RGB"), "b": clear, "c": opaque.convert("RGB")}
    for name, picture in pictures.items():
        picture.save(tmp_path / f"{name}.png")
    assert probe(tmp_path).notes == ("transparent: shown on black",)
    caplog.clear()
    opaque.save(tmp_path / "a.png")
    assert probe(tmp_path).notes == ()
    assert len(list(read_frames(tmp_path))) == 3
    assert caplog.text.count("transparent: shown on black") == 1
    caplog.clear()
    opaque.save(tmp_path / "b.png")
    assert len(list(read_frames(tmp_path))) == 3
    assert "transparent" not in caplog.text


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_the_titles_of_chapters_are_no_lost_track(tmp_path: Path, suffix: str, caplog):
    path = tmp_path / f"in{suffix}"
    with av.open(str(path), "w") as file:
        title = {"title": "one"}
        file.set_chapters(
            [{"id": 1, "start": 0, "end": 9, "time_base": Fraction(1, 10), "metadata": title}]
        )
        stream = file.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        file.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        file.mux(stream.encode(None))
    with av.open(str(copy(path, tmp_path / "out.mp4"))) as file:
        assert [chapter["metadata"] for chapter in file.chapters()] == [title]
    assert "left out" not in caplog.text
