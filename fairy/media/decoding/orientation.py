"""Rotate and mirror coded pictures for display, as the files of phones specify.

Shapes: images uint8 (H,W,3). Tests: tests/media/decoding/test_orientation.py.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import av
import numpy as np

from fairy.media.colours import Image
from fairy.media.decoding.side_data import unpack_side_data

_MATRIX = struct.Struct("=9i")


@dataclass(frozen=True)
class Orientation:
    """The steps that bring a coded picture upright, in this order.

    Attributes:
        transposed: rows become columns.
        flip_x: left and right are swapped.
        flip_y: top and bottom are swapped.
    """

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def mirrored(self) -> bool:
        """Whether the coded picture is a mirror image: text in it would read backwards."""
        return self.transposed ^ self.flip_x ^ self.flip_y

    @property
    def rotation(self) -> int:
        """Counter-clockwise rotation in degrees, after a left-right flip if `mirrored`."""
        if self.transposed:
            return 270 if self.flip_x else 90
        return 180 if self.flip_y else 0

    def apply(self, image: Image) -> Image:
        """Return an image, uint8 (H,W,3), upright."""
        if self.transposed:
            image = image.swapaxes(0, 1)
        image = image[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
        return np.ascontiguousarray(image)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return the displayed (height, width) of a coded picture of this size."""
        return (width, height) if self.transposed else (height, width)


_TURNED = {
    0: Orientation(),
    90: Orientation(transposed=True, flip_y=True),
    180: Orientation(flip_x=True, flip_y=True),
    270: Orientation(transposed=True, flip_x=True),
}


def frame_orientation(frame: av.VideoFrame) -> Orientation:
    """Return the orientation in the display matrix of `frame`, rounded to a quarter turn.

    The matrix (a b u, c d v, x y w; ISO/IEC 14496-12, 8.2.2) maps the point (p, q) to
    (a p + c q, b p + d q).
    """
    matrix = unpack_side_data(frame, "DISPLAYMATRIX", _MATRIX)
    if not matrix:
        # If PyAV cannot read the side data, its own rotation is the only source
        return _TURNED[90 * round(frame.rotation / 90) % 360]
    a, b, _, c, d = matrix[:5]
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, flip_x=a < 0, flip_y=d < 0)
    return Orientation(True, flip_x=c < 0, flip_y=b < 0)


def is_oblique(frame: av.VideoFrame) -> bool:
    """Return whether `frame` is turned by something other than quarter turns."""
    matrix = unpack_side_data(frame, "DISPLAYMATRIX", _MATRIX)
    if not matrix:
        return False
    straight, turned = abs(matrix[0]) + abs(matrix[4]), abs(matrix[1]) + abs(matrix[3])
    # Rounding of a sine
    return bool(min(straight, turned) > 0.01 * max(straight, turned))
