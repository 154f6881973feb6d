"""Convert between coded frames (YUV) and RGB: matrix, range and colour tags.

Shapes: one coded frame <-> uint8 (H,W,3), full range RGB with the source's own primaries and
transfer curve (copied as tags, never converted). The numeric codes come from ITU-T H.273;
FFmpeg uses the same ones. Tests: tests/media/test_colours.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from fairy.media.compat import (
    ACCURATE_BICUBIC,
    primaries_and_transfer,
    rgb_matrix,
    set_primaries_and_transfer,
)

Image = npt.NDArray[np.uint8]

RGB = 0
BT709 = 1
UNSPECIFIED = 2
SMPTE170M = 6
BT2020 = 9

MATRICES = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020nc"}
# Matrices that swscale cannot convert from, by FFmpeg's names
UNKNOWN_MATRICES = {
    8: "ycgco", 10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc", 13: "chroma-derived-c",
    14: "ictcp", 15: "ipt-c2", 16: "ycgco-re", 17: "ycgco-ro",
}  # fmt: skip
PRIMARIES = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m",
    8: "film", 9: "bt2020", 10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213",
}  # fmt: skip
TRANSFERS = {
    1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear",
    11: "iec61966-2-4", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12",
    16: "smpte2084", 18: "arib-std-b67",
}  # fmt: skip

# Players assume an untagged clip is standard definition if it has fewer lines than this.
SD_HEIGHT = 576


@dataclass(frozen=True)
class Colours:
    """A clip's colour tags, by FFmpeg's names.

    Attributes:
        matrix: the output's matrix: "bt709", "smpte170m" or "bt2020nc".
        primaries: the source's primaries, or the ones that match the matrix if untagged.
        transfer: the source's transfer curve, or the one that matches the matrix if untagged.
        full_range: whether the source is coded with luma 0-255 ("pc"); the output never is.
    """

    matrix: str
    primaries: str
    transfer: str
    full_range: bool

    def codes(self) -> tuple[int, int, int]:
        """Return the H.273 numbers of (matrix, primaries, transfer)."""
        tables = (MATRICES, PRIMARIES, TRANSFERS)
        names = (self.matrix, self.primaries, self.transfer)
        matrix, primaries, transfer = (
            next(code for code, known in table.items() if known == name)
            for table, name in zip(tables, names, strict=True)
        )
        return matrix, primaries, transfer


def default_colours(height: int, *, full_range: bool = False) -> Colours:
    """Return the colours that players assume for an untagged clip of this coded height."""
    name = MATRICES[SMPTE170M if height < SD_HEIGHT else BT709]
    return Colours(matrix=name, primaries=name, transfer=name, full_range=full_range)


def frame_colours(frame: av.VideoFrame) -> Colours:
    """Return the tags to use when the clip of `frame` is re-encoded."""
    matrix = MATRICES[_source_matrix(frame)]
    if matrix not in ("bt709", "bt2020nc"):
        matrix = MATRICES[SMPTE170M]
    companion = "bt2020" if matrix == "bt2020nc" else matrix
    transfer = "bt2020-10" if matrix == "bt2020nc" else matrix
    primaries_code, transfer_code = primaries_and_transfer(frame)
    return Colours(
        matrix=matrix,
        primaries=PRIMARIES.get(primaries_code, companion),
        transfer=TRANSFERS.get(transfer_code, transfer),
        full_range=_source_range(frame) == ColorRange.JPEG,
    )


def unknown_matrix(frame: av.VideoFrame) -> str | None:
    """Return the name of the matrix of `frame` if swscale cannot convert from it."""
    return UNKNOWN_MATRICES.get(frame.colorspace) if _is_yuv(frame) else None


def has_alpha(frame: av.VideoFrame) -> bool:
    """Return whether `frame` has an alpha channel, as a plane or in its palette."""
    return any(part.is_alpha for part in frame.format.components)


def is_transparent(frame: av.VideoFrame) -> bool:
    """Return whether any pixel of `frame` is at least partly transparent."""
    if not has_alpha(frame):
        return False
    rgba = _to_rgb(frame, frame.height, frame.width, "rgba").to_ndarray()
    return bool((rgba[..., 3] < 255).any())


def to_rgb(frame: av.VideoFrame, height: int, width: int) -> Image:
    """Convert `frame` to uint8 (height, width, 3) RGB, full range.

    Transparent pixels are composited over black.
    """
    if not has_alpha(frame):
        return np.asarray(_to_rgb(frame, height, width, "rgb24").to_ndarray(), dtype=np.uint8)
    rgba = _to_rgb(frame, height, width, "rgba").to_ndarray()
    return on_black(np.asarray(rgba, dtype=np.uint8))


def to_rgb16(frame: av.VideoFrame, height: int, width: int) -> npt.NDArray[np.uint16]:
    """Convert `frame` to uint16 (height, width, 3) RGB, full range."""
    return np.asarray(_to_rgb(frame, height, width, "rgb48le").to_ndarray(), dtype=np.uint16)


def on_black(rgba: Image) -> Image:
    """Composite uint8 (H,W,4) with straight alpha over black; return uint8 (H,W,3)."""
    weighted = rgba[..., :3].astype(np.uint16) * rgba[..., 3:]
    return np.asarray((weighted + 127) // 255, dtype=np.uint8)


def _to_rgb(frame: av.VideoFrame, height: int, width: int, pix_fmt: str) -> av.VideoFrame:
    yuv = _is_yuv(frame)
    matrix = _swscale_matrix(_source_matrix(frame)) if yuv else None
    return frame.reformat(
        width=width,
        height=height,
        format=pix_fmt,
        src_colorspace=matrix,
        dst_colorspace=rgb_matrix(matrix),
        src_color_range=_source_range(frame) if yuv else None,
        dst_color_range=ColorRange.JPEG,
        interpolation=ACCURATE_BICUBIC,
    )


def _is_yuv(frame: av.VideoFrame) -> bool:
    """Return whether `frame` is coded with a matrix: YUV and grey are, RGB and palettes are not."""
    return not frame.format.is_rgb and not frame.format.has_palette


class SmallYuv:
    """Shrinks coded frames of any size and format to one size, without going through RGB.

    The result is yuv444p in limited range, with the frame's own matrix.
    """

    def __init__(self, height: int, width: int) -> None:
        self._height, self._width = height, width
        # Reused for every frame: building its tables takes longer than shrinking a frame
        self._reformatter = VideoReformatter()

    def of(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return `frame` shrunk to (height, width) by averaging the source pixels (area filter)."""
        return self._reformatter.reformat(
            frame,
            width=self._width,
            height=self._height,
            format="yuv444p",
            src_color_range=_source_range(frame) if _is_yuv(frame) else None,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.AREA,
        )


@dataclass(frozen=True)
class Tags:
    """The colour tags of a coded picture, as H.273 numbers, and its range."""

    matrix: int
    primaries: int
    transfer: int
    range: ColorRange


def output_tags(colours: Colours, pix_fmt: str) -> Tags:
    """Return the tags for pictures of `colours` that are stored as `pix_fmt`.

    YUV is written in limited ("tv") range. RGB has no matrix and uses the full range.
    """
    matrix, primaries, transfer = colours.codes()
    if av.VideoFormat(pix_fmt).is_rgb:
        return Tags(RGB, primaries, transfer, ColorRange.JPEG)
    return Tags(matrix, primaries, transfer, ColorRange.MPEG)


def from_rgb(image: Image, colours: Colours, pix_fmt: str) -> av.VideoFrame:
    """Convert uint8 (H,W,3) RGB to `pix_fmt` with the matrix of `colours`, and tag the frame."""
    tags = output_tags(colours, pix_fmt)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    coded = frame.reformat(
        format=pix_fmt,
        src_color_range=ColorRange.JPEG,
        dst_colorspace=None if tags.matrix == RGB else _swscale_matrix(tags.matrix),
        dst_color_range=tags.range,
        interpolation=ACCURATE_BICUBIC,
    )
    coded.colorspace, coded.color_range = tags.matrix, tags.range
    set_primaries_and_transfer(coded, tags.primaries, tags.transfer)
    return coded


def chroma_loss(image: Image, colours: Colours) -> float:
    """Return the mean error, in levels, of uint8 (H,W,3) after a round trip through 4:2:0."""
    height, width = (side - side % 2 for side in image.shape[:2])
    if not height or not width:
        return 0.0
    even = image[:height, :width]
    back = to_rgb(from_rgb(even, colours, "yuv420p"), height, width)
    return float(np.abs(back.astype(np.int16) - even).mean())


def _source_matrix(frame: av.VideoFrame) -> int:
    """Return the H.273 number of the matrix of `frame`; if untagged, guess as players do."""
    if frame.colorspace in MATRICES:
        return frame.colorspace
    return SMPTE170M if frame.height < SD_HEIGHT else BT709


def _source_range(frame: av.VideoFrame) -> int:
    """Return the range of `frame`; if untagged, limited, except for yuvj formats."""
    if frame.color_range in (ColorRange.MPEG, ColorRange.JPEG):
        return frame.color_range
    return ColorRange.JPEG if frame.format.name.startswith("yuvj") else ColorRange.MPEG


def _swscale_matrix(matrix: int) -> int:
    """Return swscale's number for an H.273 matrix: the same, except for SMPTE 170M (5)."""
    return 5 if matrix == SMPTE170M else matrix
