"""Read and write a folder of images, or one image, as a clip: in natural order, without sound.

Shapes: each image uint8 (H,W,3) RGB, upright, all of one size. Tests: tests/media/test_folder.py.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from PIL import ExifTags, ImageChops, ImageCms, UnidentifiedImageError
from PIL import Image as PilImage
from PIL.Image import Transpose

from fairy.errors import MediaError, OutputExistsError
from fairy.media.colours import Image, on_black
from fairy.media.names import is_left_by_others
from fairy.system import parse_json

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
# Photos from phones consist of tiles. FFmpeg returns them one by one; another library joins them
HEIC_SUFFIXES = (".heic", ".heif", ".hif")
# Lists the files of a folder that Fairy wrote: names and SHA-256
MANIFEST = ".fairy.json"
# Quality of JPEG and WebP output, out of 100; PNG is lossless.
QUALITY = 95

# Kinds of pictures that a colour profile can be for -> what they become
_PROFILED = {"RGB": "RGB", "RGBA": "RGBA", "CMYK": "RGB", "L": "RGB"}
# Modes of more than 8 bits, which Pillow converts from no profile
_DEEP = ("I", "F")
# Levels of 255 by which a profile may differ from sRGB and still be taken for it
SAME_COLOURS = 2
# EXIF orientation (CIPA DC-008, 4.6.4) -> the operation that brings the picture upright
_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE, 6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}  # fmt: skip
# What Pillow raises for malformed EXIF data
_ODD_EXIF = (
    struct.error, ArithmeticError, AttributeError, LookupError, OSError, SyntaxError, TypeError,
    ValueError,
)  # fmt: skip
# What Pillow raises for files that are not a complete image.
_BROKEN = (
    UnidentifiedImageError,
    OSError,
    SyntaxError,
    ValueError,
    PilImage.DecompressionBombError,
)


def clip_images(path: Path) -> list[Path] | None:
    """Return the images of a folder, or `path` itself if it is an image; None for other files."""
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


class ImageReader:
    """Reads the images of a clip as uint8 (H,W,3) RGB, rotated according to their EXIF data.

    Args:
        paths: the images; the first one's size is that of all.

    Attributes:
        is_transparent: whether an image read so far is at least partly transparent.
        profiles: names of the colour profiles from which images were converted to sRGB.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self.is_transparent = False
        self.profiles = set[str]()
        self._first = self._read(paths[0])

    def image(self, number: int) -> Image:
        """Return an image.

        Raises:
            MediaError: it cannot be read, or its size differs from the first one's.
        """
        path, first = self._paths[number], self._first
        image = first if number == 0 else self._read(path)
        if image.shape != first.shape:
            raise MediaError(
                f"{path}: {image.shape[1]}x{image.shape[0]} pixels, but the first image of the "
                f"folder is {first.shape[1]}x{first.shape[0]}: a clip's images share one size"
            )
        return image

    def _read(self, path: Path) -> Image:
        with _opened(path) as picture:
            upright = self._in_srgb(path, _upright(path, picture))
            if upright.has_transparency_data:
                rgba = np.asarray(upright.convert("RGBA"), dtype=np.uint8)
                self.is_transparent |= _shows_through(rgba)
                return on_black(rgba)
            if upright.mode.startswith("I;16"):
                levels = np.asarray(upright) // 257
                return np.repeat(levels[..., None].astype(np.uint8), 3, axis=-1)
            return np.asarray(upright.convert("RGB"), dtype=np.uint8)

    def _in_srgb(self, path: Path, picture: PilImage.Image) -> PilImage.Image:
        """Convert a picture from the colour profile that its file holds, as viewers do."""
        content = picture.info.get("icc_profile")
        if not content:
            return picture
        try:
            if picture.mode.startswith(_DEEP):
                raise ImageCms.PyCMSError(f"mode {picture.mode}")
            if picture.mode not in _PROFILED:
                picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
            name, transform = _to_srgb(content, picture.mode)
            if transform is None:
                return picture
            converted = ImageCms.applyTransform(picture, transform)
        except (ImageCms.PyCMSError, OSError) as error:
            logger.warning("%s: its colour profile cannot be used (%s)", path, error)
            return picture
        assert converted is not None
        self.profiles.add(name)
        return converted


@lru_cache(maxsize=8)
def _to_srgb(content: bytes, mode: str) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """Return a colour profile's name, and the conversion to sRGB; None if it is sRGB itself.

    Raises:
        PyCMSError: the profile is damaged, or is not for pictures of this mode.
        OSError: it is no profile.
    """
    profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
    name = ImageCms.getProfileDescription(profile).strip()
    transform = ImageCms.buildTransform(
        profile, ImageCms.createProfile("sRGB"), mode, _PROFILED[mode]
    )
    levels = np.linspace(0, 255, 6, dtype=np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(6, 36, 3)
    before = PilImage.fromarray(colours).convert(mode)
    after = ImageCms.applyTransform(before, transform)
    assert after is not None
    difference = ImageChops.difference(after.convert("RGB"), before.convert("RGB"))
    # Rounding, and profiles of sRGB by different makers
    if np.asarray(difference).max() <= SAME_COLOURS:
        return name, None
    return name, transform


def is_transparent(paths: Sequence[Path]) -> bool:
    """Return whether the first image that may be transparent, by the heads of the files, is so."""
    for path in paths:
        with _opened(path) as picture:
            if picture.has_transparency_data:
                return _shows_through(np.asarray(picture.convert("RGBA")))
    return False


def _shows_through(rgba: Image) -> bool:
    return bool((rgba[..., 3] < 255).any())


@contextmanager
def _opened(path: Path) -> Iterator[PilImage.Image]:
    """Open an image, or raise a one-line MediaError if it cannot be read, also later."""
    if _is_heic(path) and not _reads_heic():
        raise MediaError(f"{path}: {HEIC_ADVICE}")
    try:
        with PilImage.open(path) as picture:
            yield picture
    except _BROKEN as error:
        raise MediaError(
            f"{path}: not an image that can be read ({error}): remove it or make it again"
        ) from error


def png_name(name: str) -> str:
    """Return a picture's name as a PNG.

    >>> png_name("IMG_0042.jpg")
    'IMG_0042.png'
    """
    return Path(name).with_suffix(".png").name


class PngFolder:
    """Writes frames as PNGs; timestamps are lost.

    A manifest in the same folder lists the files, so that Fairy replaces only its own.

    Args:
        folder: the folder, which must not exist.
        names: the source's pictures, whose names are kept; 000000.png, 000001.png, ... if empty.
    """

    def __init__(self, folder: Path, names: Sequence[str] = ()) -> None:
        self._folder, self._names = folder, names
        self._hashes: dict[str, str] = {}
        folder.mkdir()

    def write(self, image: Image, pts: int, time_base: Fraction, duration: int) -> None:
        """Write one frame uint8 (H,W,3)."""
        content = io.BytesIO()
        PilImage.fromarray(image).save(content, format="PNG")
        number = len(self._hashes)
        name = png_name(self._names[number]) if self._names else f"{number:06d}.png"
        (self._folder / name).write_bytes(content.getbuffer())
        self._hashes[name] = hashlib.sha256(content.getbuffer()).hexdigest()

    def close(self) -> None:
        """Write the manifest."""
        document = {"tool": "fairy", "files": self._hashes}
        (self._folder / MANIFEST).write_text(json.dumps(document, indent=1), encoding="utf-8")

    def abandon(self) -> None:
        """Do nothing: no file is open."""


def own_files(folder: Path) -> list[Path]:
    """Return the unchanged files in `folder` that Fairy wrote, with the manifest last."""
    manifest = folder / MANIFEST
    try:
        files = parse_json(manifest.read_text(encoding="utf-8"))["files"]
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


def is_result(out: Path) -> bool:
    """Return whether there is a file, or a folder that Fairy wrote."""
    return (out / MANIFEST).exists() if out.is_dir() else out.exists()


def foreign_files(folder: Path) -> list[Path]:
    """Return everything in `folder` that neither Fairy nor a file manager put there."""
    own = set(own_files(folder))
    return [path for path in folder.iterdir() if path not in own and not is_left_by_others(path)]


def check_folder(out: Path, overwrite: bool) -> None:
    """Check that the folder is empty or, with `overwrite`, holds only files that Fairy wrote."""
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
    """Replace the folder `old` with `new`, deleting only Fairy's own files.

    Other files move to the new folder, or stay in `kept` if their name is already taken there.
    """
    while kept.exists():
        # Left over from a run that was interrupted at this point
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
    """Writes the single frame of a clip as an image file; the suffix sets the type."""

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
        """Do nothing: the image is already written."""

    def abandon(self) -> None:
        """Do nothing: no file is open."""


def _upright(path: Path, picture: PilImage.Image) -> PilImage.Image:
    """Rotate a picture according to its EXIF data; return it as it is if that is unreadable."""
    try:
        turn = _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except _ODD_EXIF:
        logger.warning("%s: its EXIF data cannot be read; the picture is not turned", path)
        turn = None
    # `ImageOps.exif_transpose` rewrites all EXIF data, which fails if it is malformed
    return picture if turn is None else picture.transpose(turn)


HEIC_ADVICE = (
    "reading HEIC photos needs the package pillow-heif: pip install 'fairy-video[heic]', or "
    "convert it to JPEG first"
)


@cache
def _reads_heic() -> bool:
    """Register pillow-heif with Pillow; return whether it is installed."""
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
    # `isdigit` is also true for circled digits, which `int` cannot parse
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
