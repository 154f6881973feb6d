"""What is known of a clip, and one of its frames: plain data, shared by reader and writer.

Shapes: `Frame.image` is uint8 (H,W,3) RGB, upright. Tests: tests/media/test_read.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from fairy.media.colours import Colours, Image, default_colours


@dataclass(frozen=True, kw_only=True)
class AudioInfo:
    """One audio stream: its index in the file, codec name, samples per second, channels."""

    index: int
    codec: str
    sample_rate: int
    channels: int


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """A clip as its reader shows it.

    Attributes:
        path: the file, or the folder of images.
        stream_index: the video stream's index in the file; None for pictures, which have none.
        video_streams: indices of all the video streams of the file.
        num_frames: frames that `read_frames` yields; counted, never taken from a header.
        fps: average frames per second.
        height, width: of the frames shown, after rotation.
        coded_height, coded_width: as the file holds them, before rotation.
        rotation: degrees by which a coded frame is turned counter-clockwise: 0, 90, 180, 270.
        mirrored: whether left and right of a coded frame are swapped before that.
        sample_aspect_ratio: width of a shown pixel over its height.
        start_s, duration_s: time of the first frame; from there to the end of the last.
        time_base: seconds of one tick of `Frame.pts`.
        codec, pix_fmt: FFmpeg's names; of the images' type for a folder.
        full_chroma: whether thinned chroma (4:2:0) would lose much of its colours.
        colours: matrix, primaries and transfer with which the clip is written again.
        audio: the audio streams that can be copied or transcoded.
        programme: indices of the streams that belong to the edited one; None: all of the file.
        file_start_s: when the first stream of the file starts.
        longest_step_s: longest time from one frame to the next.
        cut_s: where the edited stretch begins and ends, in seconds of the file; None: the whole
            clip. Times of frames then count from its beginning.
        notes: what reading changes, such as "interlaced: made into whole pictures".
    """

    path: Path
    stream_index: int | None = None
    video_streams: tuple[int, ...] = ()
    num_frames: int
    fps: Fraction
    height: int
    width: int
    coded_height: int
    coded_width: int
    rotation: int
    mirrored: bool = False
    sample_aspect_ratio: Fraction
    start_s: float
    duration_s: float
    time_base: Fraction
    codec: str
    pix_fmt: str
    full_chroma: bool = False
    colours: Colours
    audio: tuple[AudioInfo, ...]
    programme: tuple[int, ...] | None = None
    file_start_s: Fraction = Fraction(0)
    longest_step_s: Fraction = Fraction(0)
    cut_s: tuple[Fraction, Fraction] | None = None
    notes: tuple[str, ...] = ()

    @property
    def color_range(self) -> str:
        """Range of the source's coding: "tv" (luma 16-235) or "pc" (0-255)."""
        return "pc" if self.colours.full_range else "tv"

    @property
    def colorspace(self) -> str:
        """Matrix with which the clip is written again."""
        return self.colours.matrix

    @property
    def color_primaries(self) -> str:
        """Primaries with which the clip is written again."""
        return self.colours.primaries

    @property
    def color_trc(self) -> str:
        """Transfer curve with which the clip is written again."""
        return self.colours.transfer


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One shown frame: image uint8 (H,W,3); `pts` and `duration` in ticks of `time_base` seconds.

    `duration` is 0 where the file does not say; `stands_in` is whether the image is the last good
    one, shown instead of one that cannot be decoded.
    """

    image: Image
    pts: int
    time_base: Fraction
    duration: int = 0
    stands_in: bool = False

    @property
    def time_s(self) -> Fraction:
        """Time at which the frame is shown, in seconds, exact."""
        return self.pts * self.time_base


def still_info(
    path: Path, num_frames: int, height: int, width: int, fps: Fraction, codec: str
) -> VideoInfo:
    """Return the info of RGB pictures shown at a steady `fps` from time 0, without audio."""
    return VideoInfo(
        path=path, num_frames=num_frames, fps=fps, height=height, width=width,
        coded_height=height, coded_width=width, rotation=0, sample_aspect_ratio=Fraction(1),
        start_s=0.0, duration_s=float(num_frames / fps), time_base=1 / fps, codec=codec,
        pix_fmt="rgb24", colours=default_colours(height, full_range=True), audio=(),
    )  # fmt: skip
