"""Clips of H.264 as other programs store them, written with PyAV alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType

from fairy.media.h264 import ParameterSets, SequenceSet, _Bits, _escaped

# A closed group of eight pictures, with pictures stored in another order than they are shown
CLOSED = "keyint=8:min-keyint=8:scenecut=0:bframes=2:b-adapt=0"


def write_h264(
    path: Path,
    images: np.ndarray,
    params: str = CLOSED,
    *,
    times: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 10),
    pix_fmt: str = "yuv420p",
    profile: str | None = None,
    in_order: bool = False,
) -> Path:
    """Encode images (T,H,W,3), shown at `times`, in ticks, with x264's own `params`.

    With `in_order` pictures are stored in the order of showing, though `params` allow another.
    """
    times = range(len(images)) if times is None else times
    options = {"x264-params": params, "preset": "veryfast"}
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=1 / time_base, options=options)
        stream.height, stream.width = images.shape[1:3]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = stream.time_base = time_base
        if profile is not None:
            stream.profile = profile
        for image, pts in zip(images, times, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = pts, time_base
            if in_order and pts > 0:
                frame.pict_type = PictureType.P
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def without_vui(path: Path) -> Path:
    """Let a clip's header say nothing that decoding does not need, as some phones' headers."""
    with av.open(str(path)) as file:
        sets, _ = ParameterSets.of_record(file.streams.video[0].codec_context.extradata)
        one = SequenceSet.of(sets.sps[0])
        short = one.unit[:1] + _escaped(_Bits(one.unit).text[: one.labels[0]] + "01")
        record = ParameterSets((short,), sets.pps).record()
    return remuxed(path, record, lambda number, data: data)


def remuxed(path: Path, record: bytes, change: Callable[[int, bytes], bytes]) -> Path:
    """Write a clip again with another header, its packets changed by their number and bytes."""
    part = path.with_name(f"part_{path.name}")
    with av.open(str(path)) as file, av.open(str(part), "w") as other:
        stream = other.add_stream_from_template(file.streams.video[0])
        stream.codec_context.extradata = record
        for number, packet in enumerate(one for one in file.demux(video=0) if one.size):
            changed = av.Packet(change(number, bytes(packet)))
            changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
            changed.is_keyframe, changed.stream = packet.is_keyframe, stream
            changed.duration = packet.duration
            other.mux(changed)
    return part.replace(path)


def stored(path: Path) -> list[tuple[Fraction, bytes]]:
    """Return the time in seconds and the bytes of each packet of the first video stream."""
    with av.open(str(path)) as file:
        return [(one.pts * one.time_base, bytes(one)) for one in file.demux(video=0) if one.size]


def shown(path: Path, threads: str = "AUTO") -> list[tuple[Fraction, np.ndarray]]:
    """Return the time in seconds and the decoded planes of each frame, by FFmpeg alone.

    It opens the file without a look at more than the first pictures, as it opens a longer one.
    """
    with av.open(str(path), options={"probesize": "32", "fpsprobesize": "0"}) as file:
        file.streams.video[0].thread_type = threads
        return [(one.pts * one.time_base, one.to_ndarray()) for one in file.decode(video=0)]
