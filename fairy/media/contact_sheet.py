"""Combine frames for viewing: a contact sheet of many frames, or two frames side by side.

Shapes: images uint8 (H,W,3) RGB in, one uint8 (H,W,3) out, on white, with labels in PIL's default
font. Tests: tests/media/test_contact_sheet.py.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from fairy.media.colours import Image

_WHITE = (255, 255, 255)
_INK = (32, 32, 32)


def contact_sheet(
    rows: Sequence[Sequence[Image]],
    labels: Sequence[str],
    *,
    column_labels: Sequence[str] = (),
    cell_height: int | None = None,
) -> Image:
    """Return all images on one white sheet, row by row, with a label above each row.

    Args:
        rows: images uint8 (H,W,3); rows may differ in length, images in size.
        labels: one text per row; long texts are wrapped.
        column_labels: one text per column, drawn above the first row; may be empty.
        cell_height: height in pixels that images are scaled to; None: that of the first image.

    Raises:
        ValueError: there are no images, or the number of labels differs from that of the rows.
    """
    if not rows or not all(len(row) > 0 for row in rows):
        raise ValueError("no images: give at least one row, and at least one image in each")
    if len(labels) != len(rows):
        raise ValueError(f"{len(labels)} labels for {len(rows)} rows: give one for each")
    height = cell_height or rows[0][0].shape[0]
    cells = [[_scaled(image, height) for image in row] for row in rows]
    gap, font = _gap(height), _font(height)
    strips = [_strip(row, gap) for row in cells]
    width = max(strip.width for strip in strips)
    blocks = [_text(column_labels, [cell.width for cell in cells[0]], gap, font)]
    for label, strip in zip(labels, strips, strict=True):
        blocks += [_text([label], [width], gap, font), strip]
    return np.asarray(_stack([block for block in blocks if block.height > 0], gap))


def side_by_side(
    left: Image, right: Image, labels: tuple[str, str] | None = ("source", "edited")
) -> Image:
    """Return two images side by side on white, with `right` scaled to the height of `left`.

    Args:
        left: uint8 (H,W,3).
        right: uint8 (H,W,3); its size may differ.
        labels: texts above the two images, each clipped to two lines; None: no labels.

    Returns:
        uint8 (H,W,3); height and width are even, so that it can be a video frame.
    """
    height = left.shape[0]
    cells = [_scaled(left, height), _scaled(right, height)]
    gap = _gap(height)
    widths = [cell.width for cell in cells]
    # Each letter is at least a pixel wide, so the rest cannot fit in two lines
    short = [text[: 2 * width] for text, width in zip(labels or (), widths, strict=False)]
    texts = _text(short, widths, gap, _font(height), max_lines=2)
    sheet = np.asarray(_stack([part for part in (texts, _strip(cells, gap)) if part.height], gap))
    rows, columns = sheet.shape[0] % 2, sheet.shape[1] % 2
    return np.pad(sheet, ((0, rows), (0, columns), (0, 0)), constant_values=255)


def _strip(cells: Sequence[PilImage.Image], gap: int) -> PilImage.Image:
    """Place images of equal height in a row, `gap` pixels apart."""
    width = sum(cell.width for cell in cells) + gap * (len(cells) - 1)
    strip = PilImage.new("RGB", (width, cells[0].height), _WHITE)
    x = 0
    for cell in cells:
        strip.paste(cell, (x, 0))
        x += cell.width + gap
    return strip


def _stack(blocks: Sequence[PilImage.Image], gap: int) -> PilImage.Image:
    """Stack blocks vertically, `gap` pixels apart, with a margin of twice that on all sides."""
    margin = 2 * gap
    width = max(block.width for block in blocks) + 2 * margin
    height = sum(block.height + gap for block in blocks) - gap + 2 * margin
    sheet = PilImage.new("RGB", (width, height), _WHITE)
    y = margin
    for block in blocks:
        sheet.paste(block, (margin, y))
        y += block.height + gap
    return sheet


def _text(
    texts: Sequence[str],
    widths: Sequence[int],
    gap: int,
    font: ImageFont.FreeTypeFont,
    max_lines: int | None = None,
) -> PilImage.Image:
    """Draw each text, wrapped to its column's width; the height is 0 if there are no texts."""
    lines = [
        _clip(_wrap(text, width, font), width, font, max_lines)
        for text, width in zip(texts, widths, strict=False)
    ]
    line_height = sum(font.getmetrics())
    height = line_height * max((len(column) for column in lines), default=0)
    block = PilImage.new("RGB", (sum(widths) + gap * (len(widths) - 1), height), _WHITE)
    draw = ImageDraw.Draw(block)
    x = 0
    for column, width in zip(lines, widths, strict=False):
        draw.multiline_text((x, 0), "\n".join(column), fill=_INK, font=font, spacing=0)
        x += width + gap
    return block


def _wrap(text: str, width: int, font: ImageFont.FreeTypeFont) -> list[str]:
    """Break `text` at spaces into lines of at most `width` pixels; longer words stay whole."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _clip(
    lines: list[str], width: int, font: ImageFont.FreeTypeFont, max_lines: int | None
) -> list[str]:
    """Keep at most `max_lines` lines and shorten wide ones with "…"; None returns all unchanged."""
    if max_lines is None:
        return lines
    kept = lines[:max_lines]
    if len(lines) > len(kept):
        kept[-1] += "…"
    return [_shortened(line, width, font) for line in kept]


def _shortened(line: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    if font.getlength(line) <= width:
        return line
    starts = [f"{line[:end].rstrip('…')}…" for end in range(len(line))]
    num_fitting = bisect_right(starts, width, key=lambda text: math.ceil(font.getlength(text)))
    return starts[max(num_fitting - 1, 0)]


def _scaled(image: Image, height: int) -> PilImage.Image:
    picture = PilImage.fromarray(image)
    if picture.height == height:
        return picture
    width = max(1, round(picture.width * height / picture.height))
    return picture.resize((width, height), PilImage.Resampling.LANCZOS)


def _gap(height: int) -> int:
    return max(4, height // 32)


def _font(height: int) -> ImageFont.FreeTypeFont:
    """Return a font that suits images of this height: 1/18 of it, from 12 to 40 pixels."""
    font = ImageFont.load_default(size=min(40, max(12, height // 18)))
    # PIL returns a bitmap font only if it was built without FreeType; its wheels include FreeType.
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font
