"""Hide a few letters in finished frames, by TrustMark: `--watermark TEXT`.

The mark is made for pictures that are compressed and cropped later; `TrustMark.decode` reads it.
The package and its weights are asked for only here. Shapes: images uint8 (H,W,3).
Tests: tests/jobs/test_watermark.py.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import torch
from PIL import Image as PilImage

from fairy.errors import ModelError, require_package
from fairy.media.colours import Image


def check_watermark() -> None:
    """Raise SettingsError if the package is missing."""
    require_package("trustmark", "--watermark", "watermark")


class Watermark:
    """Hides a text in pictures.

    Args:
        text: as `EditConfig.watermark` takes it.
        device: where the model runs.

    Raises:
        SettingsError: the package is missing.
        ModelError: its weights are neither here nor to be had.
    """

    def __init__(self, text: str, device: torch.device) -> None:
        check_watermark()
        from trustmark import TrustMark

        self._text = text
        # It prints what it downloads and where it fails
        with redirect_stdout(io.StringIO()) as printed:
            self._marker: Any = TrustMark(verbose=False, device=str(device), loadRemover=False)
        if self._marker.encoder is None:
            said = " ".join(printed.getvalue().split()) or "no reason given"
            raise ModelError(
                f"--watermark: trustmark has no weights ({said}): run it once where there is a "
                "network"
            )

    def __call__(self, image: Image) -> Image:
        """Return the image with the text in it."""
        marked = self._marker.encode(PilImage.fromarray(image), self._text)
        return np.asarray(marked, np.uint8)
