"""Read a clip: what it is, and its frames as a stream, upright, in RGB, with exact timestamps.

Shapes: each frame uint8 (H,W,3); a whole clip (T,H,W,3). A folder of images is a clip too
(`fairy.media.folder`). Tests: tests/media/test_read.py, tests/media/test_bad_input.py.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.container import InputContainer
from av.video.stream import VideoStream

from fairy.config import MediaConfig
from fairy.errors import MediaError
from fairy.media.colours import Image, frame_colours, to_rgb
from fairy.media.container import open_video
from fairy.media.folder import list_images, read_images
from fairy.media.info import AudioInfo, Frame, VideoInfo, still_info

__all__ = ["AudioInfo", "Frame", "VideoInfo", "probe", "read_frame_at", "read_frames", "read_video"]

logger = logging.getLogger(__name__)

AS_IT_COMES = MediaConfig()
FOLDER_FPS = Fraction(25)
# Sound often outlasts the pictures by a packet or two; half a second is no such rounding.
EARLY_END_S = 0.5


def probe(path: str | Path, media: MediaConfig = AS_IT_COMES) -> VideoInfo:
    """Return what `path` holds; decodes it once, so that `num_frames` is exact.

    Headers are not believed: hidden VP8 frames, edit lists and damage make packets and frames
    differ in number, and only decoding tells.

    Raises:
        MediaError: the file is missing, empty, cut short, no video, or nothing can be decoded.
    """
    path = Path(path)
    if path.is_dir():
        return _probe_folder(path)
    with open_video(path, media.video_stream) as (container, stream):
        frames = _decode(container, stream)
        first = next(frames, None)
        if first is None:
            raise MediaError(f"{path}: no frame can be decoded: is the file damaged?")
        num_frames, last = 1, first
        for frame in frames:
            num_frames, last = num_frames + 1, frame
        info = _describe(path, container, stream, first, last, num_frames)
        _check_end(container, info)
        return info


def read_frames(
    path: str | Path, media: MediaConfig = AS_IT_COMES, *, start: int = 0
) -> Iterator[Frame]:
    """Yield every shown frame once, in the order shown; memory does not grow with the clip.

    The frames before frame `start` are passed over.

    A frame that cannot be decoded is left out with a logged warning; `VideoInfo.num_frames`
    counts the same frames.
    """
    return frames_at(path, range(start, sys.maxsize), media)


def frames_at(
    path: str | Path, indices: Container[int], media: MediaConfig = AS_IT_COMES
) -> Iterator[Frame]:
    """Yield the frames at `indices` in the order shown, each as soon as it is decoded."""
    return (frame for frame in _read(Path(path), indices, media) if frame is not None)


def read_frame_at(
    path: str | Path, indices: Sequence[int], media: MediaConfig = AS_IT_COMES
) -> list[Frame]:
    """Return the frames at `indices`, in the order asked; only these are held in memory.

    Raises:
        ValueError: an index is negative or past the clip's last frame.
    """
    if not indices:
        return []
    wanted = set(indices)
    found: dict[int, Frame] = {}
    for index, frame in enumerate(_read(Path(path), wanted, media)):
        if frame is not None:
            found[index] = frame
        if len(found) == len(wanted):
            return [found[asked] for asked in indices]
    missing = sorted(wanted - found.keys())
    raise ValueError(f"{path}: no frame at {missing}: use indices from 0 to num_frames - 1")


def read_video(path: str | Path) -> Image:
    """Return the whole clip as uint8 (T,H,W,3) RGB; for clips that fit in memory."""
    return np.stack([frame.image for frame in read_frames(path)])


def _read(path: Path, wanted: Container[int], media: MediaConfig) -> Iterator[Frame | None]:
    """Yield each shown frame, or None where its index is not in `wanted`."""
    if path.is_dir():
        yield from _read_folder(path, wanted)
        return
    with open_video(path, media.video_stream) as (container, stream):
        size: tuple[int, int] | None = None
        for index, frame in enumerate(_decode(container, stream)):
            size = size or (frame.height, frame.width)
            if index not in wanted:
                yield None
                continue
            assert frame.pts is not None and frame.time_base is not None
            image = _turn(to_rgb(frame, *size), _rotation(frame))
            yield Frame(
                image=image, pts=frame.pts, time_base=frame.time_base, duration=frame.duration
            )


def _read_folder(folder: Path, wanted: Container[int]) -> Iterator[Frame | None]:
    for index, image in enumerate(read_images(list_images(folder))):
        if index not in wanted:
            yield None
            continue
        yield Frame(image=image, pts=index, time_base=1 / FOLDER_FPS, duration=1)


def _probe_folder(folder: Path) -> VideoInfo:
    paths = list_images(folder)
    height, width = next(read_images(paths)).shape[:2]
    codec = paths[0].suffix.lower().lstrip(".").replace("jpg", "jpeg")
    return still_info(folder, len(paths), height, width, FOLDER_FPS, codec)


def _describe(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    first: av.VideoFrame,
    last: av.VideoFrame,
    num_frames: int,
) -> VideoInfo:
    """Put together the info of a decoded clip from its first and last frame."""
    assert first.pts is not None and last.pts is not None and first.time_base is not None
    rotation = _rotation(first)
    height, width = first.height, first.width
    pixel_aspect = stream.sample_aspect_ratio or Fraction(1)
    shown = last.pts - first.pts + last.duration
    duration = max(shown, 1) * first.time_base
    info = VideoInfo(
        path=path, stream_index=stream.index, num_frames=num_frames,
        fps=stream.average_rate or num_frames / duration,
        height=height, width=width, coded_height=height, coded_width=width, rotation=rotation,
        sample_aspect_ratio=pixel_aspect, start_s=float(first.pts * first.time_base),
        duration_s=float(duration), time_base=first.time_base, codec=stream.codec_context.name,
        pix_fmt=first.format.name, colours=frame_colours(first), audio=_audio(container),
    )  # fmt: skip
    if rotation in (90, 270):
        info = replace(info, height=width, width=height, sample_aspect_ratio=1 / pixel_aspect)
    return info


def _audio(container: InputContainer) -> tuple[AudioInfo, ...]:
    """Return the audio streams that can be copied: those whose codec is known."""
    known = []
    for stream in container.streams.audio:
        # The stubs say there always is one; a stream without sample description has none.
        codec: AudioCodecContext | None = stream.codec_context
        if codec is None:
            logger.warning("%s: audio stream %d has no codec", container.name, stream.index)
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
    """Warn of frames that stop well before the container's own end, as in a cut Matroska file.

    It is no error, since a sound track may simply be longer than the pictures.
    """
    if container.duration is None:
        return
    promised_s = (max(container.start_time, 0) + container.duration) / av.time_base
    end_s = info.start_s + info.duration_s
    if promised_s - end_s > max(EARLY_END_S, 0.05 * promised_s):
        logger.warning(
            "%s: the pictures end at %.2f s of %.2f s: is the file cut short?",
            info.path, end_s, promised_s,
        )  # fmt: skip


def _decode(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Yield decoded frames in order shown, with times that strictly grow; skip what is damaged.

    Decoding stays with slice threads (FFmpeg's default here): with frame threads one damaged
    packet costs its neighbours too.
    """
    last_pts: int | None = None
    num_lost = 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
            frames = packet.decode()
        except StopIteration:
            break
        except av.error.InvalidDataError:
            num_lost += 1
            continue
        for frame in frames:
            last_pts = frame.pts = _next_pts(frame, last_pts)
            yield frame
    if num_lost:
        logger.warning("%s: %d damaged packets left out", container.name, num_lost)


def _next_pts(frame: av.VideoFrame, last_pts: int | None) -> int:
    """Return the frame's time in ticks: its own, its packet's, or one frame after the last."""
    step = max(frame.duration, 1)
    guess = 0 if last_pts is None else last_pts + step
    pts = next((time for time in (frame.pts, frame.dts) if time is not None), guess)
    if last_pts is not None and pts <= last_pts:
        logger.warning("frame at tick %d follows tick %d; shown one tick later", pts, last_pts)
        return last_pts + 1
    return pts


def _rotation(frame: av.VideoFrame) -> int:
    """Return by how much to turn the frame counter-clockwise: 0, 90, 180 or 270 degrees."""
    return round(frame.rotation / 90) % 4 * 90


def _turn(image: Image, rotation: int) -> Image:
    """Turn uint8 (H,W,3) counter-clockwise by `rotation` degrees, a multiple of 90."""
    return np.ascontiguousarray(np.rot90(image, rotation // 90))
