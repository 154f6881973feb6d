"""Which codecs each container supports, and their FFmpeg options.

Tests: tests/media/encoding/test_codecs.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import av

from fairy.errors import MediaError
from fairy.media.h264 import ParameterSets
from fairy.settings import MediaConfig
from fairy.system import cpu_flags

Options = dict[str, str]

# From 320x240 up to 1280x720 the quality goes from fine to normal. In a small picture each pixel
# carries more detail, and the file stays small anyway.
SMALL_PIXELS, LARGE_PIXELS = 320 * 240, 1280 * 720


# The SVT-AV1 in PyAV 18.1 hangs at 16x128, and encodes 16x16, 16x64 and 32x512
LONG_PX = 64


@dataclass(frozen=True)
class Codec:
    """A video codec and its encoder settings.

    Attributes:
        encoder: FFmpeg's name of the encoder.
        pix_fmt: default pixel format.
        options: encoder options, including "crf" if the encoder has one.
        max_crf: largest constant rate factor; None if the encoder has none.
        pads: whether height and width must be multiples of the chroma subsampling.
        keeps_aspect: whether the stream itself stores the pixel aspect ratio.
        max_timescale: largest number of ticks per second that the encoder accepts.
        thin_px: the encoder hangs if one side is shorter than this and the other is longer than
            `LONG_PX`.
    """

    encoder: str
    pix_fmt: str
    options: Options = field(default_factory=dict)
    max_crf: int | None = None
    pads: bool = False
    keeps_aspect: bool = False
    max_timescale: int = 2**31 - 1
    thin_px: int = 0

    @property
    def pix_fmts(self) -> list[str]:
        """Pixel formats that the encoder supports."""
        return [known.name for known in av.Codec(self.encoder, "w").video_formats or ()]

    def takes_size(self, height: int, width: int) -> bool:
        """Return whether the encoder works at this size; at others it hangs."""
        return min(height, width) >= self.thin_px or max(height, width) <= LONG_PX


@dataclass(frozen=True)
class Container:
    """A file format: FFmpeg's muxer, the codecs it supports (default first), the audio encoder.

    `max_step` is the largest number of ticks between two frames that the format can store.
    """

    muxer: str
    codecs: tuple[str, ...]
    options: Options = field(default_factory=dict)
    audio_encoder: str | None = None
    keeps_aspect: bool = False
    max_step: int = 2**63

    @property
    def codec(self) -> str:
        """FFmpeg's encoder for the default codec."""
        return CODECS[self.codecs[0]].encoder


# The output of x264 depends on its number of threads. That of x265 depends on its number of frame
# threads, and on whether it has a thread pool. Fixed numbers give the same bytes on every machine.
THREADS = 4
_THREADS = {"threads": str(THREADS)}
_X265 = f"log-level=error:pools={THREADS}:frame-threads=2"

CODECS = {
    "h264": Codec(
        "libx264", "yuv420p", {"crf": "15", "preset": "medium", **_THREADS}, 51,
        pads=True, keeps_aspect=True,
    ),
    "hevc": Codec(
        "libx265", "yuv420p", {"crf": "16", "preset": "fast", "x265-params": _X265}, 51,
        pads=True, keeps_aspect=True,
    ),
    "vp9": Codec(
        "libvpx-vp9", "yuv420p",
        {"crf": "16", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1", **_THREADS}, 63,
        max_timescale=10**9,
    ),
    "av1": Codec(
        "libsvtav1", "yuv420p", {"crf": "18", "preset": "8", "svtav1-params": f"lp={THREADS}"}, 63,
        thin_px=32,
    ),
    "prores": Codec("prores_ks", "yuv422p10le", {"profile": "hq", "vendor": "apl0", **_THREADS}),
    "ffv1": Codec("ffv1", "bgr0", {"level": "3", "slicecrc": "1", **_THREADS}),
    "gif": Codec("gif", "pal8"),
}  # fmt: skip

_FASTSTART = {"movflags": "+faststart"}
CONTAINERS = {
    ".mp4": Container(
        "mp4", ("h264", "hevc", "vp9", "av1"), _FASTSTART, "aac", True, 2**31 - 1
    ),
    ".mov": Container("mov", ("h264", "hevc", "prores"), _FASTSTART, "aac", True, 2**31 - 1),
    ".mkv": Container(
        "matroska", ("h264", "hevc", "vp9", "av1", "prores", "ffv1"), {}, "libopus"
    ),
    ".webm": Container("webm", ("vp9", "av1"), {}, "libopus"),
    ".gif": Container("gif", ("gif",), max_step=2**16 - 1),
}  # fmt: skip


@dataclass(frozen=True)
class Encoding:
    """A container, a codec, and the pixel format and options chosen for them.

    `others` are the parameter sets of H.264 packets that come from another encoder.
    """

    container: Container
    codec: Codec
    pix_fmt: str
    options: Options
    others: ParameterSets | None = None

    @property
    def keeps_aspect(self) -> bool:
        """Whether non-square pixels are preserved."""
        return self.container.keeps_aspect or self.codec.keeps_aspect

    @property
    def padding(self) -> tuple[int, int]:
        """The numbers that (height, width) must be multiples of."""
        if not self.codec.pads:
            return 1, 1
        chroma = av.VideoFormat(self.pix_fmt, 64, 64)
        return 64 // chroma.chroma_height(64), 64 // chroma.chroma_width(64)


def choose_encoding(
    out: Path,
    media: MediaConfig | None = None,
    *,
    full_chroma: bool = False,
    num_pixels: int = LARGE_PIXELS,
) -> Encoding:
    """Choose how to encode the file `out` from its suffix and the settings.

    Args:
        out: the file.
        media: the settings; None for the defaults.
        full_chroma: whether the frames lose too much with subsampled chroma (4:2:0).
        num_pixels: pixels per frame; small frames are encoded at a higher quality.

    Raises:
        MediaError: suffix, codec, pixel format and quality do not fit together; the message says
            what does.
    """
    media = media or MediaConfig()
    container = CONTAINERS[out.suffix.lower()]
    name = media.codec or container.codecs[0]
    if name not in container.codecs:
        raise MediaError(
            f"{out}: {name} does not go into {out.suffix}: use {' or '.join(container.codecs)}, "
            f"or a name that ends in {' or '.join(_suffixes(name))}"
        )
    codec = CODECS[name]
    check_support(codec)
    if media.pix_fmt is not None and media.pix_fmt not in codec.pix_fmts:
        raise MediaError(f"{name} cannot store {media.pix_fmt}: use {', '.join(codec.pix_fmts)}")
    pix_fmt = media.pix_fmt or codec.pix_fmt
    if full_chroma and media.pix_fmt is None and pix_fmt == "yuv420p":
        pix_fmt = "yuv444p" if "yuv444p" in codec.pix_fmts else pix_fmt
    return Encoding(container, codec, pix_fmt, _options(name, codec, media.crf, num_pixels))


def check_support(codec: Codec) -> None:
    """Raise MediaError when this FFmpeg has no encoder for `codec`."""
    if codec.encoder not in av.codecs_available:
        raise MediaError(f"this FFmpeg has no {codec.encoder} encoder: install PyAV's own wheel")


def _options(name: str, codec: Codec, crf: int | None, num_pixels: int) -> Options:
    """Return the encoder's options, with the requested quality or the default for the size."""
    options = codec.options | _repeatable(codec)
    if crf is None:
        return options | _usual_crf(codec, num_pixels)
    if codec.max_crf is None:
        with_crf = [known for known, other in CODECS.items() if other.max_crf is not None]
        raise MediaError(
            f"--crf does not go with {name}: leave it out, or use {' or '.join(with_crf)}"
        )
    if crf > codec.max_crf:
        raise MediaError(f"--crf {crf} is too large for {name}: use 0 to {codec.max_crf}")
    return options | {"crf": str(crf)}


def _repeatable(codec: Codec) -> Options:
    """Return the options that make x264 give the same bytes each time.

    Its macroblock tree does not with AVX-512 (PyAV 18.1): 4 different files of 10 runs, also with
    one thread. With AVX2 all are equal.
    """
    uses_avx512 = codec.encoder == "libx264" and "avx512f" in cpu_flags()
    return {"x264-params": "asm=avx2"} if uses_avx512 else {}


def _usual_crf(codec: Codec, num_pixels: int) -> Options:
    """Return the codec's default rate factor for large frames, down to half of it for small."""
    if "crf" not in codec.options:
        return {}
    size = math.log(max(num_pixels, 1) / SMALL_PIXELS) / math.log(LARGE_PIXELS / SMALL_PIXELS)
    share = 0.5 + 0.5 * min(max(size, 0.0), 1.0)
    return {"crf": str(round(int(codec.options["crf"]) * share))}


def _suffixes(name: str) -> list[str]:
    return [suffix for suffix, container in CONTAINERS.items() if name in container.codecs]
