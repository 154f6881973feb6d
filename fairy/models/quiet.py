"""Hides the warnings of diffusers and transformers about models that are fine, and no others.

Tests: tests/models/test_quiet.py.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

# Logger -> the message that is hidden there
EXPECTED = {
    # These work in the pipeline as well as the AutoencoderKL of its type annotation
    "diffusers.pipelines.pipeline_utils": (
        r"Expected types for vae: .* got .*\.(AutoencoderTiny|PatchAutoencoder)'>"
    ),
    # AutoencoderTiny saves this setting, derives it again on loading, and warns about the saved one
    "diffusers.configuration_utils": (
        r"The config attributes \{'block_out_channels': [^:}]*\} were passed to AutoencoderTiny,"
    ),
    # Editing does not need torchvision: the fallback computes the same values
    "transformers.utils.import_utils": r"`\w+ImageProcessor` requires torchvision \(not inst",
}


@contextmanager
def without_expected_messages() -> Iterator[None]:
    """Hide the messages of `EXPECTED` in this block, and no others."""
    filters = {
        logging.getLogger(name): _unless(re.compile(pattern)) for name, pattern in EXPECTED.items()
    }
    for logger, keep in filters.items():
        logger.addFilter(keep)
    try:
        yield
    finally:
        for logger, keep in filters.items():
            logger.removeFilter(keep)


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Hide the libraries' progress bars in this block, for work that takes only a moment."""
    shown = [library for library in _libraries() if library._tqdm_active]
    for library in shown:
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library in shown:
            library.enable_progress_bar()


def _unless(pattern: re.Pattern[str]) -> logging.Filter:
    class Unless(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            return pattern.match(record.getMessage()) is None

    return Unless()


def _libraries() -> tuple[ModuleType, ModuleType]:
    import diffusers.utils.logging
    import transformers.utils.logging

    return diffusers.utils.logging, transformers.utils.logging
