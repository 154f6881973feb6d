"""Write an edited clip with the source's timestamps and audio; the suffix selects the codec.

Shapes: frames uint8 (H,W,3) RGB. A name without a suffix is a folder of PNGs. The output appears
only once it is complete, by one rename.
Tests: tests/media/test_write.py, tests/media/test_bad_output.py.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import av
import numpy as np

from fairy.errors import MediaError, OutputExistsError
from fairy.media.colours import Image
from fairy.media.encoding.codecs import CONTAINERS, Encoding, choose_encoding
from fairy.media.encoding.copied import CopiedFrames
from fairy.media.encoding.encode import (
    VideoEncoder,
    VideoPacket,
    output_time_base,
    too_far_apart,
)
from fairy.media.encoding.rehearsal import Said, rehearse
from fairy.media.folder import (
    IMAGE_SUFFIXES,
    OneImage,
    PngFolder,
    check_folder,
    png_name,
    replace_folder,
)
from fairy.media.info import VideoInfo, still_info
from fairy.media.names import beside, is_same, make_folder_of
from fairy.media.python_frames import frame_rate, listed, picture, to_uint8
from fairy.settings import MediaConfig

logger = logging.getLogger(__name__)


def check_new_file(path: Path, *, overwrite: bool, read: Collection[Path] = ()) -> None:
    """Check that a file can be written; call it before any work is done.

    Raises:
        MediaError: a file is in the place of a folder. Missing folders are made when it is written.
        OutputExistsError: the file exists and `overwrite` is False, or it is one of the files in
            `read`, possibly under another name.
    """
    for other in read:
        if is_same(path, other):
            raise OutputExistsError(f"{path}: would replace what is read; use another name")
    nearest = next(folder for folder in (*path.parents, path) if os.path.exists(folder))
    if nearest != path and not nearest.is_dir():
        raise MediaError(f"{path}: {nearest} is a file, not a folder: use another name")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path}: already there: use --overwrite or another name")


def check_output(
    out: str | Path, overwrite: bool = False, media: MediaConfig | None = None
) -> None:
    """Check that the output can be written; call it before any work is done.

    Raises:
        OutputExistsError: it exists, and `overwrite` is False or it is not a folder of PNGs.
        MediaError: it cannot be in its folder, or its suffix is not a supported container.
    """
    out = Path(out)
    check_new_file(out, overwrite=True)
    if out.is_dir():
        _check_images(out, media)
        check_folder(out, overwrite)
        return
    suffix = out.suffix.lower()
    if suffix in CONTAINERS:
        choose_encoding(out, media)
    elif suffix in IMAGE_SUFFIXES or not suffix:
        _check_images(out, media)
    else:
        raise MediaError(
            f"{out}: unknown container {out.suffix}: use {', '.join(CONTAINERS)}, "
            f"{', '.join(IMAGE_SUFFIXES)} for one picture, or no suffix for a folder of PNGs"
        )
    if out.exists() and not suffix:
        raise OutputExistsError(f"{out}: a file, but a name without suffix is a folder of PNGs")
    check_new_file(out, overwrite=overwrite)


def check_holds(out: str | Path, num_frames: int) -> None:
    """Refuse to write a clip of more than one frame to a single picture.

    Raises:
        MediaError: `out` has the suffix of a picture, and the clip has several frames.
    """
    if num_frames > 1 and Path(out).suffix.lower() in IMAGE_SUFFIXES and not Path(out).is_dir():
        raise MediaError(
            f"{out}: one picture, but the clip has {num_frames} frames: use "
            f"{', '.join(CONTAINERS)}, or a name without suffix for a folder of PNGs"
        )


def check_names(out: str | Path, info: VideoInfo) -> None:
    """Refuse two pictures of a folder that would get the same name in the folder `out`.

    Raises:
        MediaError: the message names both.
    """
    out = Path(out)
    if (out.suffix and not out.is_dir()) or not info.image_names:
        return
    taken: dict[str, str] = {}
    for name in info.image_names:
        other = taken.setdefault(png_name(name).casefold(), name)
        if other is not name:
            raise MediaError(
                f"{out}: {other} and {name} would both be {png_name(name)}: rename one of them"
            )


def check_times(out: str | Path, info: VideoInfo, media: MediaConfig | None = None) -> None:
    """Refuse a clip whose gap between two frames is too long for the container of `out`.

    Raises:
        MediaError: the gap is too long; the message names the alternatives.
    """
    out = Path(out)
    if out.is_dir() or out.suffix.lower() not in CONTAINERS:
        return
    encoding = choose_encoding(out, media)
    ticks = info.longest_step_s / output_time_base(encoding, info)
    if ticks > encoding.container.max_step:
        raise too_far_apart(encoding)


def video_encoding(
    out: Path, info: VideoInfo, size: tuple[int, int], media: MediaConfig | None
) -> Encoding | None:
    """Return how frames of (height, width) of a clip are encoded in `out`; None for pictures.

    Raises:
        MediaError: as `choose_encoding`.
    """
    if out.is_dir() or out.suffix.lower() not in CONTAINERS:
        return None
    height, width = size
    return choose_encoding(out, media, full_chroma=info.full_chroma, num_pixels=height * width)


class VideoWriter:
    """Context manager that writes frames to `out`; the file appears complete or not at all.

    `fairy.media.encoding.codecs` chooses codec and pixel format. If the codec accepts only even
    sizes, an odd height or width is padded by one line. A GIF has one palette per frame; its times
    are multiples of 1/100 s and at least 2/100 s apart. `fairy.media.encoding.other_streams` copies
    the source's other tracks.
    """

    def __init__(
        self, out: str | Path, *, info: VideoInfo, height: int, width: int,
        overwrite: bool = False, copy_tracks: bool = True, media: MediaConfig | None = None,
        comment: str | None = None, part: Path | None = None,
        when_whole: Callable[[Path], None] = lambda part: None, copied: CopiedFrames | None = None,
    ) -> None:  # fmt: skip
        """Prepare to write frames of (height, width) with the times, tags and audio of `info`.

        `media` sets codec and pixel format. `comment` is added to the source's metadata. The
        writer first writes to `part`, which must be on the same disk as `out`, then calls
        `when_whole` with it and renames it to `out`. The file also holds the frames `copied`.

        Raises:
            OutputExistsError, MediaError: as `check_output`.
        """
        check_output(out, overwrite, media)
        self._out = Path(out)
        self._info, self._copy_tracks, self._overwrite = info, copy_tracks, overwrite
        self._shape = (height, width, 3)
        self._media, self._comment = media, comment
        # Next to the output, so that publishing is a rename within one file system.
        self._when_whole = when_whole
        self._part = part or beside(self._out, f".{os.getpid()}.part", hidden=True)
        self._said = Said()
        self._copied = copied

    def __enter__(self) -> VideoWriter:
        """Open the hidden file next to the output, in a folder that is made if it is missing."""
        make_folder_of(self._out)
        try:
            with self._guarded():
                self._sink = self._open()
        except BaseException:
            _remove(self._part)
            raise
        return self

    @property
    def in_segments(self) -> bool:
        """Whether the file can be joined from segments; GIFs and PNGs cannot."""
        encoding = self._encoding()
        return encoding is not None and encoding.codec.encoder != "gif"

    def try_encoder(self) -> None:
        """Encode one test picture, so that an unsupported size or rate fails before the work.

        Raises:
            MediaError: the codec does not support pictures of this size and rate.
        """
        encoder = self.part_encoder()
        try:
            encoder.encode(np.zeros(self._shape, np.uint8), 0, self._info.time_base, 1)
            encoder.flush()
        except av.error.FFmpegError as error:
            height, width, _ = self._shape
            raise MediaError(
                f"{self._out}: its codec takes no pictures of {width}x{height} at "
                f"{float(self._info.fps):g} frames/s: use another --codec, such as h264"
            ) from error
        finally:
            encoder.abandon()

    def try_tracks(self) -> None:
        """Copy and transcode the source's other tracks to nowhere, so that errors come first.

        Raises:
            MediaError: a track cannot be written.
        """
        encoding = self._encoding()
        has_tracks = self._copy_tracks and self._info.stream_index is not None
        if encoding is not None and has_tracks:
            with self._guarded():
                rehearse(self._info, encoding.container)

    def part_encoder(self) -> VideoEncoder:
        """Return an encoder whose packets can be passed to `copy`; requires `in_segments`."""
        encoding = self._encoding()
        assert encoding is not None
        return VideoEncoder(Path(os.devnull), encoding, self._info, *self._shape[:2], tracks=False)

    def _open(self) -> _Sink:
        encoding, size = self._encoding(), self._shape[:2]
        if encoding is not None:
            return VideoEncoder(
                self._part, encoding, self._info, *size,
                tracks=self._copy_tracks, comment=self._comment,
            )  # fmt: skip
        if self._info.audio and self._copy_tracks:
            logger.warning("%s: pictures hold no sound; left out", self._out)
        if self._out.suffix and not self._out.is_dir():
            return OneImage(self._part, self._out.suffix)
        return PngFolder(self._part, self._info.image_names)

    def _encoding(self) -> Encoding | None:
        """Return the encoding of a video file, or None for pictures."""
        encoding = video_encoding(self._out, self._info, self._shape[:2], self._media)
        if encoding is None or self._copied is None:
            return encoding
        return self._copied.beside(encoding)

    def write(self, image: Image, pts: int, time_base: Fraction, duration: int = 0) -> None:
        """Write the next frame, uint8 (H,W,3), shown at `pts * time_base` seconds.

        `pts` must increase. `duration`, in ticks, matters only for the last frame; 0 if unknown.
        """
        if image.shape != self._shape or image.dtype != np.uint8:
            raise ValueError(
                f"frame is {image.dtype} {image.shape}: give uint8 of {self._shape}, "
                "as the writer was told"
            )
        with self._guarded():
            self._sink.write(image, pts, time_base, duration)

    def copy(self, packet: VideoPacket) -> None:
        """Add a packet from another encoder with the same header (`encoding.segments`)."""
        assert isinstance(self._sink, VideoEncoder)
        with self._guarded():
            self._sink.copy(packet)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Publish the file, or remove the partial one if the block raised an exception."""
        try:
            if kind is None:
                with self._guarded():
                    self._sink.close()
                    self._when_whole(self._part)
                    _publish(self._part, self._out, self._overwrite)
            else:
                # The user should see the exception that ended the block, not this one.
                with suppress(av.error.FFmpegError, OSError):
                    self._sink.abandon()
        finally:
            _remove(self._part)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turn errors into one line, and log no warning twice."""
        with _errors_of(self._out), self._said.once():
            yield


def write_video(
    frames: Any, path: str | Path, fps: Fraction | float = 25, *,
    overwrite: bool = False, media: MediaConfig | None = None,
) -> None:  # fmt: skip
    """Write frames at a steady rate, without audio.

    Args:
        frames: uint8 (T,H,W,3), PIL images, floats in [0,1] as (T,H,W,3) or tensors (T,3,H,W), or
            an iterable of such frames: anything that `FairyPipeline` returns.
        path: the file or folder to write.
        fps: frames per second; rates like 29.97 are taken as the exact NTSC ones, 30000/1001.
        overwrite: replace an existing output.
        media: encoding settings such as `crf`; by default the suffix decides.

    Raises:
        ValueError: there are no frames, they have another form, or the rate is invalid.
        FairyError: the output cannot be written.
    """
    images = (to_uint8(picture(one, index)) for index, one in enumerate(listed(frames)))
    first = next(images, None)
    if first is None:
        raise ValueError("frames is empty: pass at least one")
    height, width = first.shape[:2]
    info = still_info(Path(path), 0, height, width, frame_rate(fps), "rgb24")
    with VideoWriter(
        path, info=info, height=height, width=width, overwrite=overwrite, media=media
    ) as writer:
        writer.write(first, 0, info.time_base, 1)
        for index, image in enumerate(images, start=1):
            writer.write(image, index, info.time_base, 1)


class _Sink(Protocol):
    def write(self, image: Image, pts: int, time_base: Fraction, duration: int) -> None: ...
    def close(self) -> None: ...
    def abandon(self) -> None: ...


def _check_images(out: Path, media: MediaConfig | None) -> None:
    """Refuse settings that apply only to video files."""
    asked = media or MediaConfig()
    for name, value in (("codec", asked.codec), ("crf", asked.crf), ("pix-fmt", asked.pix_fmt)):
        if value is not None:
            raise MediaError(
                f"{out}: --{name} does not go with pictures: leave it out, or use a name that "
                f"ends in {', '.join(CONTAINERS)}"
            )


def _publish(part: Path, out: Path, overwrite: bool) -> None:
    """Rename the finished `part` to `out`.

    Raises:
        OutputExistsError: something that must not be replaced has appeared at `out`.
    """
    if out.is_dir():
        check_folder(out, overwrite)
        replace_folder(part, out, part.with_suffix(".old"))
        return
    check_new_file(out, overwrite=overwrite)
    os.replace(part, out)


def _remove(part: Path) -> None:
    """Remove the partial output, if any; after a clean end there is none."""
    if part.is_dir():
        shutil.rmtree(part)
    else:
        part.unlink(missing_ok=True)


@contextmanager
def _errors_of(out: Path) -> Iterator[None]:
    """Turn FFmpeg and file system errors while writing into one line for the user."""
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(f"{out}: cannot be written: {error.strerror or error}") from error
