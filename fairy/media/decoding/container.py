"""Open a media file, or report in one line what is wrong with it and how to fix it.

Tests: tests/media/test_bad_input.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import av
from av.container import Container, InputContainer
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from fairy.errors import MediaError
from fairy.media.compat import index_end, open_input
from fairy.media.decoding.boxes import top_boxes
from fairy.media.decoding.programmes import codecs_of
from fairy.media.decoding.protection import is_encrypted, is_of_tiles
from fairy.media.folder import HEIC_ADVICE

# Playlists, which refer to other files (one that refers to itself never ends), and text formats
# that FFmpeg renders as pictures.
_NO_CLIPS = {"hls", "concat", "sdp", "tty", "bin", "xbin", "adf", "idf"}


@contextmanager
def open_video(
    path: Path, stream_index: int | None = None
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open `path` and one video stream (None: the best), or raise a one-line MediaError."""
    container = open_container(path)
    with container:
        _check_whole(path, container)
        if is_of_tiles(path):
            raise MediaError(f"{path}: a picture of tiles: {HEIC_ADVICE}")
        stream = _video_stream(path, container, stream_index)
        if codecs := codecs_of(path, stream):
            raise MediaError(
                f"{path}: its pictures change their codec in the middle ({', '.join(codecs)}): "
                "cut the file there and edit the parts"
            )
        yield container, stream


def open_container(path: Path) -> InputContainer:
    """Open the file at `path` for reading.

    Raises:
        MediaError: the file is missing, empty, or not a clip.
    """
    if not path.exists():
        raise MediaError(f"{path}: {_why_missing(path)}")
    if not path.is_file():
        raise MediaError(f"{path}: a pipe or a device, not a file: use - and pipe the clip in")
    if path.stat().st_size == 0:
        raise MediaError(f"{path}: the file is empty (0 bytes): copy or download it again")
    try:
        # "file:" keeps FFmpeg from parsing a colon in the name as a protocol, and the allow lists
        # keep it from reading other files.
        return open_input(
            f"file:{path}", {"protocol_whitelist": "file", "format_whitelist": _formats()}
        )
    # FFmpeg reports an invalid argument if the format is not in the allow list.
    except (av.error.InvalidDataError, av.error.ArgumentError) as error:
        raise MediaError(f"{path}: {_why_unreadable(path)}") from error
    except av.error.EOFError as error:
        raise MediaError(
            f"{path}: the file ends before its first picture: copy or download it again"
        ) from error
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(f"{path}: cannot be opened: {error.strerror}") from error


def why_undecodable(path: Path, container: InputContainer, stream: VideoStream) -> str:
    """Explain whether the pictures are encrypted or damaged."""
    if is_encrypted(path, container, stream):
        return "its pictures are encrypted (DRM): give a copy without protection"
    return "no frame can be decoded: is the file damaged?"


def shown_name(container: Container) -> str:
    """Return the name of an open file without the "file:" prefix."""
    return container.name.removeprefix("file:")


@cache
def _formats() -> str:
    """Return the allowed formats as a comma-separated list for FFmpeg."""
    return ",".join(sorted(av.formats_available - _NO_CLIPS))


def _why_missing(path: Path) -> str:
    """Distinguish a URL (`Path` collapses its two slashes to one) from a wrong name."""
    if path.as_posix().startswith("file:/"):
        return f"an address: give the path, {unquote(path.as_posix().removeprefix('file:'))}"
    if re.match(r"\w+:/", path.as_posix()) and not path.drive:
        return "an address, not a file: download it first"
    if path.is_symlink():
        return "no such file: a link that leads nowhere"
    return "no such file: check the name"


def _why_unreadable(path: Path) -> str:
    """Distinguish a truncated clip from a file that is not a video, by its first bytes."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
        return "the file is cut short (its index is missing): copy or download it again"
    return "not a video (no known container in it): give a clip, such as .mp4, .mov, .mkv, .webm"


def _check_whole(path: Path, container: InputContainer) -> None:
    """Refuse a file that ends before the packets listed in its own index.

    A fragmented file has an index in each fragment, so all but the last can be read.
    """
    found = top_boxes(path) if container.format.name.startswith("mov,") else []
    if any(box.kind == b"moof" for box in found):
        return
    ends = [index_end(stream) for stream in container.streams] + [box.end for box in found]
    end, size = max(ends, default=0), path.stat().st_size
    if end > size:
        raise MediaError(
            f"{path}: the file is cut short ({size} bytes, its index needs {end}): "
            "copy or download it again"
        )


def _video_stream(path: Path, container: InputContainer, index: int | None) -> VideoStream:
    """Return the video stream at `index`, or the best one that is not a cover picture."""
    known = {stream.index: stream for stream in container.streams.video}
    if index is not None and known and index not in known:
        raise MediaError(
            f"{path}: stream {index} is no video stream: use {', '.join(map(str, known))}"
        )
    stream = container.streams.best("video") if index is None else known.get(index)
    if stream is None or stream.disposition & Disposition.attached_pic:
        num_audio = len(container.streams.audio)
        raise MediaError(
            f"{path}: no video stream found ({num_audio} audio streams); is this the right file?"
        )
    assert isinstance(stream, VideoStream)
    # The type stubs say it is never None, but FFmpeg creates none for an unknown codec.
    codec: VideoCodecContext | None = stream.codec_context
    if codec is None:
        raise MediaError(f"{path}: its video codec is unknown: convert it to H.264 first")
    return stream
