"""Choose the shots of a clip that is edited, and remember them from run to run.

Tests: tests/jobs/test_shots.py, tests/jobs/test_plan.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fairy.interrupt import Cancel
from fairy.jobs.manifest import ClipFile, Document, clip_files, is_source_of
from fairy.media.info import VideoInfo
from fairy.media.shots import Shot, find_shots, read_shots
from fairy.settings import EditConfig, MediaConfig


def choose_shots(
    info: VideoInfo,
    config: EditConfig,
    earlier: Document | None = None,
    cancel: Cancel | None = None,
) -> tuple[Shot, ...]:
    """Return the shots of the clip: detected, read from a file, or the whole clip as one.

    Shots that an `earlier` run detected in the same clip are used again. `cancel` stops
    the detection, and is checked after each frame.

    Raises:
        SettingsError: the file of shots is not valid.
    """
    if config.shots == "off":
        return ((0, info.num_frames),)
    if config.shots != "auto":
        return read_shots(Path(config.shots), info.num_frames)
    files = clip_files(info.path)
    return _remembered_shots(files, config, earlier) or _found_shots(
        info.path, files, MediaConfig.part_of(config), cancel or Cancel()
    )


_SHOTS_DEPEND_ON = ("shots", "video_stream", "start_s", "end_s", "max_frames")


def _remembered_shots(
    files: Sequence[ClipFile], config: EditConfig, earlier: Document | None
) -> tuple[Shot, ...] | None:
    if earlier is None or not is_source_of(tuple(files), earlier):
        return None
    before = {**earlier["settings"], "shots": earlier["shots_setting"]}
    if any(before.get(name) != getattr(config, name) for name in _SHOTS_DEPEND_ON):
        return None
    return tuple((first, end) for first, end in earlier["shots"])


# Those of the last clip, so that several instructions for one clip detect its cuts once
_found: dict[tuple[Path, tuple[ClipFile, ...], MediaConfig], tuple[Shot, ...]] = {}


def _found_shots(
    path: Path, files: tuple[ClipFile, ...], media: MediaConfig, cancel: Cancel
) -> tuple[Shot, ...]:
    """Return the shots of the clip at `path`; `files` is its state, for the key."""
    shots = _found.get((path, files, media))
    if shots is None:
        shots = find_shots(path, media, cancel.check)
        _found.clear()
        _found[path, files, media] = shots
    return shots
