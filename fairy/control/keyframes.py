"""Key frames: frames of a clip that a person edited, as pictures; they become anchors.

A folder of `fairy anchors` holds `000040.png` and so on, and `anchors.json`, which lists them. A
picture that is as it was exported is no key frame: the model edits that anchor.
Tests: tests/control/test_keyframes.py.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fairy.errors import SettingsError
from fairy.media.colours import Image
from fairy.media.folder import IMAGE_SUFFIXES, clip_images
from fairy.media.frames import resize
from fairy.media.info import VideoInfo
from fairy.media.read import probe, read_frame_at
from fairy.settings import Control
from fairy.system import parse_json

logger = logging.getLogger(__name__)

LIST = "anchors.json"


@dataclass(frozen=True)
class KeyFrames:
    """The pictures that people edited, and the anchors that the model edits besides.

    Attributes:
        pictures: the file of each key frame, by the frame's number.
        others: anchors of a folder that nobody edited, sorted.
        size: (height, width) of the clip.
    """

    pictures: Mapping[int, Path]
    others: tuple[int, ...]
    size: tuple[int, int]

    @classmethod
    def of(cls, config: Control, clip: VideoInfo) -> KeyFrames:
        """Return the key frames that the settings name.

        Raises:
            FairyError: a folder whose list and pictures disagree, a frame outside the clip, or a
                picture that cannot be read.
        """
        pictures: dict[int, Path] = {}
        others: set[int] = set()
        if config.keyframes is not None:
            pictures, others = _of_folder(config.keyframes, clip)
        for number, path in named_pictures(config.keyframe).items():
            if number >= clip.num_frames:
                raise SettingsError(
                    f"keyframe {number}={path}: the clip has frames 0 to {clip.num_frames - 1}"
                )
            pictures[number] = path
        for number, path in pictures.items():
            _check_picture(number, path, clip)
        left = tuple(sorted(others - pictures.keys()))
        return cls(dict(sorted(pictures.items())), left, (clip.height, clip.width))

    def picture(self, number: int) -> Image | None:
        """Return the picture of a frame, uint8 (H,W,3) at the clip's size, if it is a key frame."""
        if number not in self.pictures:
            return None
        return resize(read_frame_at(self.pictures[number], [0])[0].image, self.size)

    @property
    def anchors(self) -> tuple[int, ...]:
        """The numbers of all frames that are anchors because of these, sorted."""
        return tuple(sorted({*self.pictures, *self.others}))


def named_pictures(entries: tuple[str, ...]) -> dict[int, Path]:
    """Return the pictures that `--keyframe N=FILE` names, by the frame's number.

    Raises:
        SettingsError: an entry has another form, or a frame is named twice.
    """
    found: dict[int, Path] = {}
    for entry in entries:
        match = re.fullmatch(r"\s*(\d{1,9})\s*=\s*(.*\S)\s*", entry)
        if match is None:
            raise SettingsError(f"keyframe {entry!r}: give a frame and its picture, as in 40=a.png")
        number = int(match[1])
        if number in found:
            raise SettingsError(f"keyframe {number} is given twice: give one picture for a frame")
        found[number] = Path(match[2])
    return found


def picture_name(number: int) -> str:
    """Return the name of an anchor's picture in a folder."""
    return f"{number:06d}.png"


def digest(path: Path) -> str:
    """Return the SHA-256 of a picture's file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _of_folder(folder: Path, clip: VideoInfo) -> tuple[dict[int, Path], set[int]]:
    """Return the edited pictures of a folder by their frames, and the frames of the others."""
    listed = _read_list(folder)
    expected = ", ".join(picture_name(number) for number in listed)
    outside = [number for number in listed if number >= clip.num_frames]
    if outside:
        raise SettingsError(
            f"{folder}: lists frame {outside[0]}, but the clip has {clip.num_frames} frames: is it "
            "of another clip?"
        )
    names = {picture_name(number): number for number in listed}
    here = {path.name for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES}
    for words, wrong in (("misses", names.keys() - here), ("also holds", here - names.keys())):
        if wrong:
            raise SettingsError(
                f"{folder}: {words} {', '.join(sorted(wrong))}; {LIST} lists {expected}"
            )
    edited = {n: folder / name for name, n in names.items() if digest(folder / name) != listed[n]}
    if not edited:
        raise SettingsError(
            f"{folder}: its pictures are as they were exported: edit at least one of {expected}"
        )
    return edited, set(listed)


def _read_list(folder: Path) -> dict[int, str]:
    """Return the SHA-256 of each exported picture by its frame."""
    try:
        document = parse_json((folder / LIST).read_text(encoding="utf-8"))
        return {int(number): str(value) for number, value in document["anchors"].items()}
    except OSError as error:
        raise SettingsError(
            f"{folder / LIST}: cannot be read: {error.strerror}: give a folder of `fairy anchors`, "
            "or name pictures by --keyframe N=FILE"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"{folder / LIST}: is not a list of `fairy anchors`") from error


def _check_picture(number: int, path: Path, clip: VideoInfo) -> None:
    if not path.is_file():
        raise SettingsError(f"keyframe {number}={path}: no such file")
    if clip_images(path) is None:
        raise SettingsError(
            f"keyframe {number}={path}: not a picture: use {', '.join(IMAGE_SUFFIXES)}"
        )
    picture = probe(path)
    if (picture.height, picture.width) != (clip.height, clip.width):
        logger.warning(
            "%s: scaled from %dx%d to the clip's %dx%d",
            path, picture.width, picture.height, clip.width, clip.height,
        )  # fmt: skip
