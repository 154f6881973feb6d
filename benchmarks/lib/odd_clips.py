"""Small clips with something odd, made in code: what each has is in its name.

`ODD_CLIPS` are rows of the table of benchmarks/quality/kept_or_said.py; tests use the functions.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image as PilImage

from fairy.media.colours import Image

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


def cropped(path: Path, scene: Image, sides: tuple[int, ...], degrees: int = 0) -> Path:
    """Write a clip of `scene`, uint8 (48,64,3), of which the file shows a part.

    Args:
        path: an .mp4, .mov or .mkv.
        scene: the picture.
        sides: pixels that are not shown: left, right, top, bottom.
        degrees: rotation by the display matrix.
    """
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


def joined(path: Path, *pieces: dict[str, object]) -> Path:
    """Write a transport stream of pieces of 4 grey pictures, each with fields of its stream.

    The field `codec` names the encoder, libx264 where it is missing.
    """
    content = []
    for fields in pieces:
        piece = io.BytesIO()
        with av.open(piece, "w", format="mpegts") as file:
            stream = file.add_stream(str(fields.get("codec", "libx264")), rate=10)
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
            for name, value in fields.items():
                if name != "codec":
                    setattr(stream, name, value)
            for index in range(4):
                frame = av.VideoFrame(stream.width, stream.height, stream.pix_fmt)
                for plane in frame.planes:
                    plane.update(bytes([120]) * plane.buffer_size)
                frame.pts = index
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
        content.append(piece.getvalue())
    path.write_bytes(b"".join(content))
    return path


def before_zero(path: Path, b_frames: int = 0) -> Path:
    """Write a Matroska file of 10 pictures, ever brighter, of which 3 are shown before time 0."""
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as file:
        stream = file.add_stream("libx264", rate=10, options={"bf": str(b_frames)})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for index in range(10):
            image = np.full((48, 64, 3), 20 * index, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = index - 3, Fraction(1, 10)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def box(kind: bytes, *parts: bytes) -> bytes:
    """Return a box of an MP4 (ISO/IEC 14496-12, 4.2)."""
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def in_3d(path: Path) -> Path:
    """Write an MP4 or MOV whose halves are for one eye each (Google's Spherical Video V2)."""
    return _with_mark(path, box(b"st3d", bytes(4), b"\2"))


def spherical(path: Path) -> Path:
    """Write an MP4 or MOV of 360-degree pictures (Google's Spherical Video V2)."""
    projection = box(b"prhd", bytes(16)), box(b"equi", bytes(20))
    parts = box(b"svhd", bytes(4), b"x\0"), box(b"proj", *projection)
    return _with_mark(path, box(b"sv3d", *parts))


def _with_mark(path: Path, mark: bytes) -> Path:
    cropped(path, _scene(), (0, 0, 0, 0))
    path.write_bytes(with_box(path.read_bytes(), MP4_ENTRY, mark))
    return path


def changing_flv(path: Path) -> Path:
    """Write an FLV whose pictures are H.263, and H.264 from the middle on."""
    content = []
    for codec in ("flv", "libx264"):
        piece = io.BytesIO()
        with av.open(piece, "w", format="flv") as file:
            stream = file.add_stream(codec, rate=10)
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
            rng = np.random.default_rng(0)
            for index in range(60):
                noise = rng.integers(0, 255, (48, 64, 3), np.uint8)
                frame = av.VideoFrame.from_ndarray(noise, format="rgb24")
                frame.pts = index
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
        content.append(piece.getvalue())
    # The second head is left out: 9 bytes and the size of nothing
    path.write_bytes(content[0] + content[1][13:])
    return path


def _scene() -> Image:
    y, x = np.mgrid[0:48, 0:64]
    return np.stack([40 + 3 * x, 40 + 4 * y, 220 - x - 2 * y], axis=-1).astype(np.uint8)


def _transparent(path: Path) -> Path:
    picture = PilImage.fromarray(_scene()).convert("RGBA")
    picture.putpixel((3, 3), (0, 0, 0, 0))
    picture.save(path)
    return path


HDR: dict[str, object] = {"color_trc": 16, "color_primaries": 9, "colorspace": 9}
# Top field first
INTERLACED: dict[str, object] = {"options": {"x264-params": "tff=1"}}
ODD_CLIPS: Mapping[str, Callable[[Path], Path]] = {
    "begins_before_zero.mkv": before_zero,
    "codec_changes.flv": changing_flv,
    "codec_changes.ts": lambda path: joined(path, {"codec": "mpeg2video"}, {}),
    "cropped.mkv": lambda path: cropped(path, _scene(), (4, 2, 8, 4)),
    "cropped.mp4": lambda path: cropped(path, _scene(), (4, 2, 8, 4)),
    "in_3d.mp4": in_3d,
    "interlaced_from_the_middle.ts": lambda path: joined(path, {}, INTERLACED),
    "hdr_from_the_middle.ts": lambda path: joined(path, {}, HDR),
    "pixel_format_changes.ts": lambda path: joined(path, {}, {"pix_fmt": "yuv422p10le"}),
    "pixel_shape_changes.ts": lambda path: joined(
        path, *({"sample_aspect_ratio": Fraction(*ratio)} for ratio in ((16, 15), (64, 45)))
    ),
    "spherical.mov": spherical,
    "transparent.png": _transparent,
}
