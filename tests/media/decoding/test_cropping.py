"""What a file shows of its coded pictures (Matroska's PixelCrop, MP4's clap) is what is edited."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest

from fairy.media import probe, read_frames
from fairy.media.shots import find_shots
from fairy.settings import MediaConfig
from tests.media.copying import copy

# Left, right, top, bottom, of the 64x48 picture of `scene`
CROPPING = (4, 2, 8, 4)
MP4_ENTRY = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"]
# Segment, Tracks, TrackEntry, Video (RFC 9559)
MKV_VIDEO = [bytes.fromhex(one) for one in ("18538067", "1654AE6B", "AE", "E0")]
MKV_CROPPING = [bytes.fromhex(one) for one in ("54CC", "54DD", "54BB", "54AA")]


def clean_aperture(left: int, right: int, top: int, bottom: int) -> bytes:
    """Return the box that shows a part of 64x48 (ISO/IEC 14496-12, 12.1.4): size, then centre."""
    size = (64 - left - right, 1, 48 - top - bottom, 1)
    return struct.pack(">I4s8i", 40, b"clap", *size, left - right, 2, top - bottom, 2)


def with_box(data: bytes, kinds: list[bytes], box: bytes) -> bytes:
    """Return an MP4 whose index follows its pictures, with a box added to a sample entry."""
    out, place, end = bytearray(data), 0, len(data)
    for kind in kinds:
        size, found = struct.unpack_from(">I4s", data, place)
        while found != kind:
            place += size
            size, found = struct.unpack_from(">I4s", data, place)
        struct.pack_into(">I", out, place, size + len(box))
        end = place + size
        place += 16 if kind == b"stsd" else 8
    return bytes(out[:end]) + box + bytes(out[end:])


def with_elements(data: bytes, ids: list[bytes], new: bytes) -> bytes:
    """Return a Matroska file with elements added to the one that `ids` lead to."""
    heads, place = [], 0
    for wanted in ids:
        while True:
            start = place
            place += _length(data[place])
            size_bytes = _length(data[place])
            size = int.from_bytes(data[place : place + size_bytes], "big")
            size &= (1 << 7 * size_bytes) - 1
            content = place + size_bytes
            if data[start:place] == wanted:
                break
            place = content + size
        heads.append((place, size_bytes, size))
        place = content
    end, grown = place + heads[-1][2], len(new)
    data = data[:end] + new + data[end:]
    for start, size_bytes, size in reversed(heads):
        longest = ((size + grown) | 1 << 56).to_bytes(8, "big")
        data = data[:start] + longest + data[start + size_bytes :]
        grown += 8 - size_bytes
    return data


def _length(first_byte: int) -> int:
    return 9 - first_byte.bit_length()


def cropped(path: Path, scene: np.ndarray, sides: tuple[int, ...], degrees: int = 0) -> Path:
    """Write a clip of 64x48 of which the file shows a part."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv444p"
        if degrees:
            stream.set_display_rotation(degrees)
        for index in range(4):
            frame = av.VideoFrame.from_ndarray(scene, format="rgb24")
            frame.pts = index
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    data = path.read_bytes()
    if path.suffix == ".mkv":
        names = zip(MKV_CROPPING, sides, strict=True)
        new = b"".join(name + b"\x82" + side.to_bytes(2, "big") for name, side in names)
        path.write_bytes(with_elements(data, MKV_VIDEO, new))
    else:
        path.write_bytes(with_box(data, MP4_ENTRY, clean_aperture(*sides)))
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_the_shown_part_is_read(tmp_path: Path, scene: np.ndarray, suffix: str):
    path = cropped(tmp_path / f"in{suffix}", scene, CROPPING)
    info, frames = probe(path), list(read_frames(path))
    assert (info.height, info.width, info.coded_height, info.coded_width) == (36, 58, 48, 64)
    assert len(frames) == info.num_frames == 4
    for frame in frames:
        assert np.abs(frame.image - scene[8:44, 4:62].astype(int)).mean() < 3


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_what_is_cropped_is_then_turned(tmp_path: Path, scene: np.ndarray, suffix: str):
    path = cropped(tmp_path / f"in{suffix}", scene, CROPPING, degrees=90)
    [first, *_] = read_frames(path)
    assert np.abs(first.image - np.rot90(scene[8:44, 4:62]).astype(int)).mean() < 3
    assert (probe(path).height, probe(path).width) == (58, 36)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_result_is_not_cropped_twice(tmp_path: Path, scene: np.ndarray, suffix: str):
    path = cropped(tmp_path / f"in{suffix}", scene, CROPPING)
    [first, *_] = read_frames(copy(path, tmp_path / f"out{suffix}"))
    assert first.image.shape == (36, 58, 3)


def test_a_part_of_no_pixels_is_not_believed(tmp_path: Path, scene: np.ndarray):
    path = cropped(tmp_path / "in.mp4", scene, (40, 40, 0, 0))
    assert probe(path).width == 64
    assert next(read_frames(path)).image.shape == (48, 64, 3)


def test_metadata_cannot_crop(tmp_path: Path, scene: np.ndarray):
    path = tmp_path / "in.mkv"
    with av.open(str(path), "w") as file:
        file.metadata["title"] = "x\n      Frame Cropping: 4/2/8/4\n  Stream #0:0"
        stream = file.add_stream("ffv1", rate=10)
        stream.metadata["title"] = "x\n      Frame Cropping: 4/2/8/4\r      Frame Cropping: 4/2/8/4"
        stream.height, stream.width, stream.pix_fmt = 48, 64, "bgr0"
        file.mux(stream.encode(av.VideoFrame.from_ndarray(scene, format="rgb24")))
        file.mux(stream.encode(None))
    assert next(read_frames(path)).image.shape == (48, 64, 3)


def test_shots_are_found_in_a_cropped_clip(tmp_path: Path, scene: np.ndarray):
    path = cropped(tmp_path / "in.mkv", scene, CROPPING)
    assert find_shots(path, MediaConfig()) == ((0, 4),)
