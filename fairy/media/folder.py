"""A folder of images, or one image, as a clip, read and written: in natural order, without sound.

Shapes: each image uint8 (H,W,3) RGB, upright, all of one size. Tests: tests/media/test_folder.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image as PilImage
from PIL import ImageOps, UnidentifiedImageError

from fairy.errors import MediaError
from fairy.media.colours import Image, on_black

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
# Of a JPEG or WebP that is written, out of 100; PNG loses nothing.
QUALITY = 95

# What Pillow raises of files that are no whole image.
_BROKEN = (
    UnidentifiedImageError,
    OSError,
    SyntaxError,
    ValueError,
    PilImage.DecompressionBombError,
)


def clip_images(path: Path) -> list[Path] | None:
    """Return the images that `path` is a clip of: a folder's, or itself; None for other files."""
    if path.is_dir():
        return list_images(path)
    if not path.is_file() or not _is_image(path):
        return None
    if not _moves(path):
        return [path]
    if path.suffix.lower() == ".webp":
        raise MediaError(
            f"{path}: an animated WebP cannot be read: convert it to .gif or .mp4 first"
        )
    return None


def _moves(path: Path) -> bool:
    """Return whether an image file is an animation."""
    try:
        with PilImage.open(path) as picture:
            return bool(getattr(picture, "is_animated", False))
    except _BROKEN:
        return False


def list_images(folder: Path) -> list[Path]:
    """Return the images of `folder` in natural order: `frame2.png` before `frame10.png`."""
    images = [path for path in folder.iterdir() if _is_image(path)]
    if not images:
        raise MediaError(
            f"{folder}: no images in this folder: "
            f"a folder is read as a clip when it holds {', '.join(IMAGE_SUFFIXES)} files"
        )
    return sorted(images, key=_natural_key)


def read_images(paths: Sequence[Path], numbers: Iterable[int]) -> Iterator[Image]:
    """Yield the images at `numbers` as uint8 (H,W,3) RGB, turned as their EXIF data asks.

    Raises:
        MediaError: an image cannot be read, or its size is not the first one's.
    """
    first = _read_image(paths[0])
    for number in numbers:
        path = paths[number]
        image = first if number == 0 else _read_image(path)
        if image.shape != first.shape:
            raise MediaError(
                f"{path}: {image.shape[1]}x{image.shape[0]} pixels, but the first image of the "
                f"folder is {first.shape[1]}x{first.shape[0]}: a clip's images share one size"
            )
        yield image


class PngFolder:
    """Frames as 000000.png, 000001.png, ...; the timestamps are not kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._num_written = 0
        folder.mkdir()

    def write(self, image: Image, pts: int, time_base: Fraction, duration: int) -> None:
        """Write one frame uint8 (H,W,3)."""
        PilImage.fromarray(image).save(self._folder / f"{self._num_written:06d}.png")
        self._num_written += 1

    def close(self) -> None:
        """Nothing is held back."""

    def abandon(self) -> None:
        """Nothing is open."""


class OneImage:
    """The one frame of a clip as an image file of the type that its name asks for."""

    def __init__(self, part: Path, suffix: str) -> None:
        self._part = part
        self._format = PilImage.registered_extensions()[suffix.lower()]
        self._written = False

    def write(self, image: Image, pts: int, time_base: Fraction, duration: int) -> None:
        """Write the frame uint8 (H,W,3)."""
        if self._written:
            raise MediaError(f"{self._part}: a second frame for one picture: use a folder")
        PilImage.fromarray(image).save(self._part, format=self._format, quality=QUALITY)
        self._written = True

    def close(self) -> None:
        """Nothing is held back."""

    def abandon(self) -> None:
        """Nothing is open."""


def _read_image(path: Path) -> Image:
    try:
        with PilImage.open(path) as picture:
            upright = ImageOps.exif_transpose(picture)
            if upright.has_transparency_data:
                return on_black(np.asarray(upright.convert("RGBA"), dtype=np.uint8))
            if upright.mode.startswith("I;16"):
                levels = np.asarray(upright) // 257
                return np.repeat(levels[..., None].astype(np.uint8), 3, axis=-1)
            return np.asarray(upright.convert("RGB"), dtype=np.uint8)
    except _BROKEN as error:
        raise MediaError(
            f"{path}: not an image that can be read ({error}): remove it or make it again"
        ) from error


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _natural_key(path: Path) -> list[tuple[int, str]]:
    """Split a name into text and numbers, so that numbers compare by value."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
