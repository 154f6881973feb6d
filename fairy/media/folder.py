"""A folder of images, or one image, as a clip, read and written: in natural order, without sound.

Shapes: each image uint8 (H,W,3) RGB, upright, all of one size. Tests: tests/media/test_folder.py.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
from PIL import ExifTags, UnidentifiedImageError
from PIL import Image as PilImage
from PIL.Image import Transpose

from fairy.errors import MediaError, OutputExistsError
from fairy.media.colours import Image, on_black
from fairy.media.names import is_left_by_others

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
# Phones' photos consist of tiles, which FFmpeg gives one by one: another library joins them
HEIC_SUFFIXES = (".heic", ".heif", ".hif")
# What of a folder Fairy wrote: names and SHA-256
MANIFEST = ".fairy.json"
# Of a JPEG or WebP that is written, out of 100; PNG loses nothing.
QUALITY = 95

# What the orientations of EXIF (CIPA DC-008, 4.6.4) ask for
_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE, 6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}  # fmt: skip
# What Pillow raises of EXIF data of an odd form
_ODD_EXIF = (
    struct.error, ArithmeticError, AttributeError, LookupError, OSError, SyntaxError, TypeError,
    ValueError,
)  # fmt: skip
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
    if not path.is_file() or not _is_image(path) or (_is_heic(path) and not _reads_heic()):
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
    """Frames as 000000.png, 000001.png, ...; the timestamps are not kept.

    A manifest beside them names the files, so that only these are ever replaced.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hashes: dict[str, str] = {}
        folder.mkdir()

    def write(self, image: Image, pts: int, time_base: Fraction, duration: int) -> None:
        """Write one frame uint8 (H,W,3)."""
        content = io.BytesIO()
        PilImage.fromarray(image).save(content, format="PNG")
        name = f"{len(self._hashes):06d}.png"
        (self._folder / name).write_bytes(content.getbuffer())
        self._hashes[name] = hashlib.sha256(content.getbuffer()).hexdigest()

    def close(self) -> None:
        """Write the manifest."""
        document = {"tool": "fairy", "files": self._hashes}
        (self._folder / MANIFEST).write_text(json.dumps(document, indent=1), encoding="utf-8")

    def abandon(self) -> None:
        """Nothing is open."""


def own_files(folder: Path) -> list[Path]:
    """Return the files in `folder` that Fairy wrote and nobody has changed, the manifest last."""
    manifest = folder / MANIFEST
    try:
        files = json.loads(manifest.read_text(encoding="utf-8"))["files"]
        hashes = {str(name): str(known) for name, known in files.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []
    own = [
        path
        for path in folder.iterdir()
        if not path.is_symlink() and path.is_file() and path.name in hashes
        and hashlib.sha256(path.read_bytes()).hexdigest() == hashes[path.name]
    ]  # fmt: skip
    return [*own, manifest]


def foreign_files(folder: Path) -> list[Path]:
    """Return what is in `folder` and neither Fairy's nor left there by a file manager."""
    own = set(own_files(folder))
    return [path for path in folder.iterdir() if path not in own and not is_left_by_others(path)]


def check_folder(out: Path, overwrite: bool) -> None:
    """Accept an empty folder, or with `overwrite` one that holds nothing but what Fairy wrote."""
    if out.is_symlink():
        raise OutputExistsError(f"{out}: a link to a folder: name the folder {out.resolve()}")
    if foreign := foreign_files(out):
        raise OutputExistsError(
            f"{out}: holds files that Fairy did not write, such as {foreign[0].name}, and is "
            "never overwritten: use a new name"
        )
    if not overwrite and own_files(out):
        raise OutputExistsError(f"{out}: already holds images: use --overwrite or another name")


def replace_folder(new: Path, old: Path, kept: Path) -> None:
    """Put the folder `new` in the place of `old`, of which only Fairy's own files are deleted.

    Others go into the new folder, or stay in `kept` where one of that name is there.
    """
    while kept.exists():
        # Of a run that was stopped right here
        kept = kept.with_name(f"{kept.name}.old")
    old.rename(kept)
    new.rename(old)
    for path in own_files(kept):
        path.unlink()
    for path in list(kept.iterdir()):
        if not (old / path.name).exists():
            path.rename(old / path.name)
    if any(kept.iterdir()):
        logger.warning("%s: holds files that were not written by Fairy", kept)
    else:
        kept.rmdir()


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
    if _is_heic(path) and not _reads_heic():
        raise MediaError(f"{path}: {HEIC_ADVICE}")
    try:
        with PilImage.open(path) as picture:
            upright = _upright(path, picture)
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


def _upright(path: Path, picture: PilImage.Image) -> PilImage.Image:
    """Return a picture turned as its EXIF data asks, or as it is where that cannot be read."""
    try:
        turn = _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except _ODD_EXIF:
        logger.warning("%s: its EXIF data cannot be read; the picture is not turned", path)
        turn = None
    # Not by `ImageOps.exif_transpose`, which writes all EXIF data again and fails on odd ones
    return picture if turn is None else picture.transpose(turn)


HEIC_ADVICE = (
    "reading HEIC photos needs the package pillow-heif: pip install 'fairy-video[heic]', or "
    "convert it to JPEG first"
)


@cache
def _reads_heic() -> bool:
    """Return whether Pillow reads HEIC, once the library is asked to teach it."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _is_heic(path: Path) -> bool:
    return path.suffix.lower() in HEIC_SUFFIXES


def _is_image(path: Path) -> bool:
    suffixes = IMAGE_SUFFIXES + HEIC_SUFFIXES
    return path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()


def _natural_key(path: Path) -> list[tuple[int, str]]:
    """Split a name into text and numbers, so that numbers compare by value."""
    parts = re.split(r"(\d+)", path.name.lower())
    # `isdigit` holds for circled digits too, of which `int` knows no value
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
