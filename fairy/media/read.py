"""Read a clip's properties, and stream its frames: upright, RGB, with exact timestamps.

Shapes: each frame uint8 (H,W,3); a whole clip (T,H,W,3). A folder of images, or one image, also
counts as a clip (`fairy.media.folder`).
Tests: tests/media/test_read.py, tests/media/test_bad_input.py.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.container import InputContainer
from av.video.stream import VideoStream

from fairy.errors import MediaError
from fairy.media.colours import Image
from fairy.media.decoding.clock import clock_of
from fairy.media.decoding.container import open_video, shown_name, why_undecodable
from fairy.media.decoding.cropping import Cropping
from fairy.media.decoding.cursor import PictureCursor
from fairy.media.decoding.decode import Picture, Pictures, readable_packets
from fairy.media.decoding.index import frame_index
from fairy.media.decoding.picture import TRANSPARENT, PictureReader
from fairy.media.decoding.programmes import codecs_of, programme_of
from fairy.media.folder import ImageReader, clip_images, is_transparent
from fairy.media.info import AudioInfo, Frame, VideoInfo, still_info
from fairy.media.stretch import Times, chosen, frame_range, is_whole, span, start_of
from fairy.settings import MediaConfig

__all__ = ["AudioInfo", "Frame", "VideoInfo", "probe", "read_frame_at", "read_frames", "read_video"]

logger = logging.getLogger(__name__)

AS_IT_COMES = MediaConfig()
FOLDER_FPS = Fraction(25)
# Audio often runs a packet or two past the video; half a second is more than that.
EARLY_END_S = 0.5
PROFILE = "colours of the profile {}: converted to sRGB"
LATE_STREAM = "a further stream begins in the middle, {}; left out"


def probe(path: str | Path, media: MediaConfig = AS_IT_COMES) -> VideoInfo:
    """Return the properties of the clip at `path`, and log warnings about what reading changes.

    This does not trust headers, because edit lists and damage make them wrong. If each packet is
    one picture, it counts the packets; otherwise (hidden VP8 frames) it decodes the clip once.

    Raises:
        MediaError: the file is missing, empty, truncated or not a video, or cannot be decoded.
    """
    path = Path(path)
    images = clip_images(path)
    info = _probe_video(path, media) if images is None else _probe_images(path, images, media)
    for note in info.notes:
        logger.warning("%s: %s", path, note)
    return info


def read_frames(
    path: str | Path, media: MediaConfig = AS_IT_COMES, *, start: int = 0, stop: int = sys.maxsize
) -> Iterator[Frame]:
    """Yield frames `start` to `stop` - 1, each once, in display order, in constant memory.

    If a frame cannot be decoded, the last good one is repeated and marked with `stands_in`. A
    warning at the end of the clip gives their number.

    Raises:
        MediaError: as `probe`; or a frame cannot be decoded and `media.strict` is set.
    """
    return _read(Path(path), range(start, stop), media)


def frames_at(
    path: str | Path, indices: Collection[int], media: MediaConfig = AS_IT_COMES
) -> Iterator[Frame]:
    """Yield the frames at `indices` in display order, each as soon as it is decoded.

    If the container is reliable, decoding starts at the key frame before each requested frame. The
    result is the same as decoding everything (`fairy.media.decoding.cursor`).
    """
    return _read(Path(path), sorted(set(indices)), media)


def read_frame_at(
    path: str | Path, indices: Sequence[int], media: MediaConfig = AS_IT_COMES
) -> list[Frame]:
    """Return the frames at `indices`, in that order; keeps only these in memory.

    Raises:
        ValueError: an index is negative or past the clip's last frame.
    """
    numbers = sorted(number for number in set(indices) if number >= 0)
    frames = dict(zip(numbers, frames_at(path, numbers, media), strict=False))
    if missing := sorted(set(indices) - frames.keys()):
        raise ValueError(f"{path}: no frame at {missing}: use indices from 0 to num_frames - 1")
    return [frames[number] for number in indices]


def frame_times(path: str | Path, video_stream: int | None = None) -> list[Fraction]:
    """Return when each frame is shown, in seconds; decodes only if there is no frame index."""
    path = Path(path)
    images = clip_images(path)
    if images is not None:
        return [number / FOLDER_FPS for number in range(len(images))]
    index = frame_index(path, video_stream)
    if index is None:
        return [frame.time_s for frame in read_frames(path, MediaConfig(video_stream=video_stream))]
    with open_video(path, video_stream) as (_, stream):
        assert stream.time_base is not None
        return [pts * stream.time_base for pts, _ in index.times]


def read_video(path: str | Path) -> Image:
    """Return the whole clip as uint8 (T,H,W,3) RGB; for clips that fit in memory."""
    return np.stack([frame.image for frame in read_frames(path)])


def _read(path: Path, numbers: Sequence[int], media: MediaConfig) -> Iterator[Frame]:
    """Yield the frames at `numbers`, which must increase, up to the end of the clip."""
    images = clip_images(path)
    if images is not None:
        part = chosen(_steady_times(len(images)), 1 / FOLDER_FPS, media)
        yield from _read_images(path, images[part.start : part.stop], numbers)
        return
    stretch = frame_range(path, media)
    with PictureCursor(path, media.video_stream, strict=media.strict) as cursor:
        first = cursor.at(0)
        if first is None:
            return
        # The first picture determines how the whole clip is converted
        reader = PictureReader(first.frame, cursor.cropping)
        offset, start_pts = 0, 0
        if stretch is not None:
            offset, start_pts = stretch.start, start_of(path, stretch, media)
        for number in numbers:
            past = stretch is not None and number >= len(stretch)
            picture = (
                first if number + offset == 0 else None if past else cursor.at(number + offset)
            )
            if picture is None:
                cursor.log_damage()
                reader.log_changes(str(path))
                return
            yield Frame(
                image=reader.image(picture.frame), pts=picture.pts - start_pts,
                time_base=cursor.time_base,
                duration=picture.duration, stands_in=picture.stands_in,
            )  # fmt: skip


def _read_images(path: Path, images: list[Path], numbers: Sequence[int]) -> Iterator[Frame]:
    kept = [number for number in range(len(images)) if number in numbers]
    reader = ImageReader(images)
    noted = set(reader.profiles)
    for number in kept:
        yield Frame(image=reader.image(number), pts=number, time_base=1 / FOLDER_FPS, duration=1)
    if reader.is_transparent and not is_transparent(images):
        logger.warning("%s: %s", path, TRANSPARENT)
    for name in sorted(reader.profiles - noted):
        logger.warning("%s: %s", path, PROFILE.format(name))


def _probe_images(path: Path, images: list[Path], media: MediaConfig) -> VideoInfo:
    part = chosen(_steady_times(len(images)), 1 / FOLDER_FPS, media)
    reader = ImageReader(images)
    height, width = reader.image(0).shape[:2]
    notes = [PROFILE.format(name) for name in reader.profiles]
    if is_transparent(images[part.start : part.stop]):
        notes.append(TRANSPARENT)
    codec = images[0].suffix.lower().lstrip(".").replace("jpg", "jpeg")
    return replace(
        still_info(path, len(part), height, width, FOLDER_FPS, codec),
        image_names=tuple(one.name for one in images[part.start : part.stop]),
        notes=tuple(notes),
    )


def _steady_times(num_frames: int) -> list[tuple[int, int]]:
    return [(number, 1) for number in range(num_frames)]


def _probe_video(path: Path, media: MediaConfig) -> VideoInfo:
    index = frame_index(path, media.video_stream)
    with open_video(path, media.video_stream) as (container, stream):
        pictures = iter(Pictures(stream, readable_packets(container, stream)))
        first = next(pictures, None)
        if first is None:
            raise MediaError(f"{path}: {why_undecodable(path, container, stream)}")
        if index is not None:
            times = index.times
        else:
            later = ((picture.pts, picture.duration) for picture in pictures)
            times = ((first.pts, first.duration), *later)
        info = _describe(path, container, stream, first, times)
        _check_end(container, info)
        return info if is_whole(media) else _stretch_of(info, times, media)


def _stretch_of(info: VideoInfo, times: Times, media: MediaConfig) -> VideoInfo:
    """Return the info for the selected frames only; their times start at 0."""
    numbers = chosen(times, info.time_base, media)
    start_s, end_s = span(times, numbers, info.time_base)
    return replace(
        info,
        num_frames=len(numbers),
        start_s=0.0,
        duration_s=float(end_s - start_s),
        file_start_s=Fraction(0),
        cut_s=(start_s, end_s),
    )


def _describe(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    first: Picture,
    times: Sequence[tuple[int, int]],
) -> VideoInfo:
    """Return the info of a clip from its first picture and all (pts, duration) in ticks."""
    assert stream.time_base is not None
    frame, reader = first.frame, PictureReader(first.frame, Cropping.of(container, stream))
    orientation, (height, width) = reader.orientation, reader.size
    pixel_aspect = stream.sample_aspect_ratio or Fraction(1)
    programme = programme_of(container, path, stream.index)
    start, end = times[0][0], sum(times[-1])
    duration = max(end - start, 1) * stream.time_base
    return VideoInfo(
        path=path, stream_index=stream.index, num_frames=len(times),
        video_streams=tuple(video.index for video in container.streams.video),
        fps=_average_rate(stream, len(times), duration), height=height, width=width,
        coded_height=frame.height, coded_width=frame.width, rotation=orientation.rotation,
        mirrored=orientation.mirrored,
        sample_aspect_ratio=1 / pixel_aspect if orientation.transposed else pixel_aspect,
        start_s=float(start * stream.time_base), duration_s=float(duration),
        time_base=stream.time_base, codec=stream.codec_context.codec.canonical_name,
        pix_fmt=frame.format.name, full_chroma=reader.full_chroma, colours=reader.colours,
        audio=_audio(container, path, programme),
        programme=None if programme is None else tuple(sorted(programme)),
        file_start_s=_file_start_s(container, start * stream.time_base),
        longest_step_s=max((b - a for (a, _), (b, _) in pairwise(times)), default=0)
        * stream.time_base,
        notes=(*reader.notes, *map(LATE_STREAM.format, clock_of(container).late_streams)),
    )  # fmt: skip


def _average_rate(stream: VideoStream, num_frames: int, duration_s: Fraction) -> Fraction:
    """Return the file's own rate if it counts these frames; else theirs.

    An .mp4 has the sum of its decoding steps, which B frames at a variable rate make too short.
    """
    rate = stream.average_rate
    if rate and abs(rate * duration_s - num_frames) <= Fraction(1, 2):
        return rate
    return num_frames / duration_s


def _file_start_s(container: InputContainer, first_s: Fraction) -> Fraction:
    """Return when the file's first stream starts; `first_s` is when the pictures start."""
    if container.start_time is None or not clock_of(container).is_steady:
        return min(first_s, Fraction(0))
    return min(first_s, Fraction(container.start_time, av.time_base))


def _audio(
    container: InputContainer, path: Path, programme: set[int] | None
) -> tuple[AudioInfo, ...]:
    """Return the audio streams of a programme (None: all) that have one known codec."""
    known = []
    for stream in container.streams.audio:
        if programme is not None and stream.index not in programme:
            continue
        # The type stubs say it is never None, but a stream without a sample description has none.
        codec: AudioCodecContext | None = stream.codec_context
        if codec is None:
            logger.warning("%s: audio stream %d has no codec", shown_name(container), stream.index)
            continue
        if codecs := codecs_of(path, stream):
            logger.warning(
                "%s: audio stream %d changes its codec in the middle (%s); left out",
                path, stream.index, ", ".join(codecs),
            )  # fmt: skip
            continue
        known.append(
            AudioInfo(
                index=stream.index,
                codec=codec.name,
                sample_rate=codec.sample_rate,
                channels=codec.layout.nb_channels,
            )
        )
    return tuple(known)


def _check_end(container: InputContainer, info: VideoInfo) -> None:
    """Warn if the frames end well before the container does, as in a truncated Matroska file.

    This is not an error, because an audio track may simply be longer than the video.
    """
    if container.duration is None or not clock_of(container).is_steady:
        return
    # Matroska counts its duration from time 0, other containers from their start time.
    from_zero = container.format.name.startswith("matroska")
    start = 0 if from_zero else max(container.start_time or 0, 0)
    promised_s = (start + container.duration) / av.time_base
    end_s = info.start_s + info.duration_s
    if promised_s - end_s > max(EARLY_END_S, 0.05 * promised_s):
        logger.warning(
            "%s: the pictures end at %.2f s of %.2f s: is the file cut short?",
            info.path, end_s, promised_s,
        )  # fmt: skip
