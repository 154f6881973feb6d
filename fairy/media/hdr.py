"""Tone-map high dynamic range pictures (PQ, HLG) to SDR, BT.709, for ordinary screens.

Shapes: uint16 (H,W,3), full range RGB with the source's curve -> uint8 (H,W,3).

1. Convert each pixel to light in cd/m2 (Rec. ITU-R BT.2100).
2. Compress the source's peak to diffuse white (203 cd/m2, Rep. BT.2408) with the curve of
   Rep. BT.2390, section 5.4, applied to the largest of R, G and B to preserve hues.
3. Convert BT.2020 primaries to BT.709 (Rep. BT.2407).
4. Encode the light for a display with gamma 2.4 (BT.1886).

Tests: tests/media/test_hdr.py.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import av
import cv2
import numpy as np
import numpy.typing as npt

from fairy.media.colours import Image
from fairy.media.compat import primaries_and_transfer
from fairy.media.decoding.side_data import unpack_side_data

Array = npt.NDArray[np.float32]

PQ, HLG = 16, 18
"""Numbers of the two transfer curves in ITU-T H.273."""

NAMES = {PQ: "PQ", HLG: "HLG"}
WHITE = 203.0
"""Light of diffuse white in cd/m2: SDR's brightest code."""

USUAL_PEAK = 1000.0
"""Peak of a programme that does not say, and of HLG's nominal display."""

_LEVELS = 1 << 16
_ROWS = 16
# FFmpeg's AVContentLightMetadata: brightest pixel, brightest picture average.
_LEVEL = struct.Struct("=2I")
# FFmpeg's AVMasteringDisplayMetadata: ten rationals (primaries, white point, darkest, brightest),
# then two flags: primaries known, light known.
_DISPLAY = struct.Struct("=22i")
# Linear BT.2020 RGB to linear BT.709 RGB, rows R, G, B (Rep. ITU-R BT.2407, section 2).
_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)
_BT709_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
_BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)


def is_hdr(frame: av.VideoFrame) -> bool:
    """Return whether `frame` is coded with PQ or HLG."""
    return transfer_of(frame) in NAMES


def transfer_of(frame: av.VideoFrame) -> int:
    """Return the H.273 number of the frame's transfer curve."""
    return primaries_and_transfer(frame)[1]


def pq_to_light(code: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Convert PQ codes in [0,1] to light in cd/m2 (BT.2100, table 4)."""
    power = np.power(np.clip(code, 0, 1), 1 / _M2)
    light = 10_000 * np.power(np.maximum(power - _C1, 0) / (_C2 - _C3 * power), 1 / _M1)
    return np.asarray(light, dtype=np.float64)


def light_to_pq(light: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Convert light in cd/m2 to PQ codes in [0,1]; the inverse of `pq_to_light`."""
    power = np.power(np.clip(light, 0, 10_000) / 10_000, _M1)
    return np.asarray(np.power((_C1 + _C2 * power) / (1 + _C3 * power), _M2), dtype=np.float64)


# BT.2100, table 4
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def hlg_to_scene(code: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Convert HLG codes in [0,1] to scene light in [0,1] (BT.2100, table 5)."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    code = np.clip(code, 0, 1)
    light = np.where(code <= 0.5, np.square(code) / 3, (np.exp((code - c) / a) + b) / 12)
    return np.asarray(light, dtype=np.float64)


def compress(light: npt.ArrayLike, peak: float) -> npt.NDArray[np.float64]:
    """Compress light in cd/m2 from the range up to `peak` to that up to `WHITE`.

    Dark and middle tones do not change; a Hermite spline in PQ codes rolls off the bright ones
    (BT.2390, section 5.4.1).
    """
    source_peak = float(light_to_pq(peak))
    code = np.clip(light_to_pq(light) / source_peak, 0, 1)
    top = float(light_to_pq(WHITE)) / source_peak
    if top >= 1:
        return np.asarray(np.minimum(light, WHITE), dtype=np.float64)
    knee = 1.5 * top - 0.5
    t = np.clip((code - knee) / (1 - knee), 0, 1)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * top
    )
    return pq_to_light(np.where(code < knee, code, spline) * source_peak)


@dataclass(frozen=True)
class ToneMap:
    """Converts one clip's pictures to SDR.

    Attributes:
        curve: `PQ` or `HLG`.
        peak: brightest light of the clip in cd/m2.
    """

    curve: int
    peak: float = USUAL_PEAK
    _light: Array = field(init=False, repr=False, compare=False)
    _gain: Array = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Tabulate the light of each 16-bit code, and the gain of each 16-bit fraction of peak."""
        codes = np.linspace(0, 1, _LEVELS)
        light = pq_to_light(codes) if self.curve == PQ else hlg_to_scene(codes)
        brightest = np.linspace(0, self.peak, _LEVELS)[1:]
        gain = compress(brightest, self.peak) / brightest / WHITE
        object.__setattr__(self, "_light", light.astype(np.float32))
        object.__setattr__(self, "_gain", np.concatenate([gain[:1], gain]).astype(np.float32))

    @classmethod
    def of(cls, frame: av.VideoFrame) -> ToneMap:
        """Return the tone map for the clip whose first picture is `frame`."""
        curve = transfer_of(frame)
        return cls(curve, USUAL_PEAK if curve == HLG else _peak(frame))

    def apply(self, codes: npt.NDArray[np.uint16]) -> Image:
        """Convert uint16 (H,W,3) RGB, full range, BT.2020 to uint8 (H,W,3) RGB, SDR, BT.709."""
        image = np.empty(codes.shape, np.uint8)
        # A few rows at a time fit in the CPU cache.
        for top in range(0, len(codes), _ROWS):
            rows = slice(top, top + _ROWS)
            image[rows] = self._shown(codes[rows])
        return image

    def _shown(self, codes: npt.NDArray[np.uint16]) -> Image:
        light = self._light[codes]
        if self.curve == HLG:
            # The HLG display curve (BT.2100, table 5): gamma 1.2 on the scene's luminance.
            luminance = np.maximum(light @ _BT2020_LUMA, 1e-6)
            light *= (USUAL_PEAK * luminance**0.2)[..., None]
        brightest = np.maximum(np.maximum(light[..., 0], light[..., 1]), light[..., 2])
        share = np.minimum(brightest * ((_LEVELS - 1) / self.peak), _LEVELS - 1)
        light *= self._gain[share.astype(np.int32)][..., None]
        shown = _into_gamut(cv2.transform(light, _TO_BT709).astype(np.float32))
        return np.asarray(np.rint(255 * shown ** np.float32(1 / 2.4)), dtype=np.uint8)


def _into_gamut(rgb: Array) -> Array:
    """Bring linear BT.709 RGB (H,W,3) into [0,1] by desaturating out-of-gamut colours."""
    luma = np.clip(rgb @ _BT709_LUMA, 0, 1)[..., None]
    away = rgb - luma
    room = np.where(away < 0, luma, 1 - luma) / np.maximum(np.abs(away), 1e-6)
    least = np.minimum(np.minimum(room[..., :1], room[..., 1:2]), room[..., 2:])
    shown = luma + away * np.minimum(least, 1)
    return np.asarray(np.clip(shown, 0, 1), dtype=np.float32)


def _peak(frame: av.VideoFrame) -> float:
    """Return the peak light of a PQ clip in cd/m2 from its metadata, else `USUAL_PEAK`."""
    level = unpack_side_data(frame, "CONTENT_LIGHT_LEVEL", _LEVEL)
    display = unpack_side_data(frame, "MASTERING_DISPLAY_METADATA", _DISPLAY)
    peak = float(level[0]) if level else 0.0
    if not peak and display:
        *_, brightest, scale, _, known = display
        peak = brightest / scale if known and scale else 0.0
    return float(np.clip(peak, WHITE, 10_000)) if peak else USUAL_PEAK
