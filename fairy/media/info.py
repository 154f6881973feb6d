"""Plain data about a clip and its frames, shared by reader and writer.

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
    """Properties of a clip as the reader presents it.

    Attributes:
        path: the file, or the folder of images.
        stream_index: index of the video stream in the file; None for images.
        video_streams: indices of all video streams in the file.
        num_frames: number of frames that `read_frames` yields; counted, never taken from a header.
        fps: average frames per second.
        height, width: size of the displayed frames, after rotation.
        coded_height, coded_width: size of the frames in the file, before rotation.
        rotation: counter-clockwise rotation of a coded frame in degrees: 0, 90, 180, 270.
        mirrored: whether a coded frame is flipped left to right before the rotation.
        sample_aspect_ratio: width of a displayed pixel divided by its height.
        start_s, duration_s: time of the first frame; time from there to the end of the last.
        time_base: seconds per tick of `Frame.pts`.
        codec, pix_fmt: FFmpeg's names; for a folder, those of the image type.
        full_chroma: whether subsampled chroma (4:2:0) would lose a lot of colour detail.
        colours: matrix, primaries and transfer curve for the output.
        audio: the audio streams that can be copied or transcoded.
        programme: indices of the streams in the edited stream's programme; None: all streams.
        file_start_s: when the first stream of the file starts.
        longest_step_s: longest time from one frame to the next.
        cut_s: start and end of the edited stretch, in seconds of the file; None: the whole clip.
            If set, frame times count from the start of the stretch.
        notes: what reading changes, such as "interlaced: made into whole pictures".
        image_names: names of the images, one a frame; empty for a video.
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
    image_names: tuple[str, ...] = ()

    @property
    def color_range(self) -> str:
        """The source's range: "tv" (luma 16-235) or "pc" (0-255)."""
        return "pc" if self.colours.full_range else "tv"

    @property
    def colorspace(self) -> str:
        """The output's matrix."""
        return self.colours.matrix

    @property
    def color_primaries(self) -> str:
        """The output's primaries."""
        return self.colours.primaries

    @property
    def color_trc(self) -> str:
        """The output's transfer curve."""
        return self.colours.transfer


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame: image uint8 (H,W,3); `pts` and `duration` in ticks of `time_base` seconds.

    `duration` is 0 if the file does not specify it. `stands_in` is True if the frame cannot be
    decoded and the image is a copy of the last good one.
    """

    image: Image
    pts: int
    time_base: Fraction
    duration: int = 0
    stands_in: bool = False

    @property
    def time_s(self) -> Fraction:
        """When the frame is shown, in exact seconds."""
        return self.pts * self.time_base


def still_info(
    path: Path, num_frames: int, height: int, width: int, fps: Fraction, codec: str
) -> VideoInfo:
    """Return the info for RGB pictures shown at a constant `fps` from time 0, without audio."""
    return VideoInfo(
        path=path, num_frames=num_frames, fps=fps, height=height, width=width,
        coded_height=height, coded_width=width, rotation=0, sample_aspect_ratio=Fraction(1),
        start_s=0.0, duration_s=float(num_frames / fps), time_base=1 / fps, codec=codec,
        pix_fmt="rgb24", colours=default_colours(height, full_range=True), audio=(),
    )  # fmt: skip
