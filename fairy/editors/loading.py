"""Load the editor that the settings name.

Tests: tests/jobs/test_edit.py, tests/editors/ip2p/levers/test_tiny_decoder.py.
"""

from __future__ import annotations

from fairy.editors.base import Editor
from fairy.editors.compute import check_compile, check_fp8, compile_unet, to_fp8
from fairy.editors.ip2p.levers.tiny_decoder import load_decoder
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.models.registry import resolve_device
from fairy.settings import Compute


def load_editor(settings: Compute) -> Editor:
    """Return the editor that the settings name, on its device.

    Raises:
        ModelError: the model or the decoder cannot be found or loaded.
        SettingsError: the device is missing or has no float8 or compiler, or the decoder is for
            another model.
    """
    if settings.fp8:
        check_fp8(resolve_device(settings.device))
    if settings.compile:
        check_compile(resolve_device(settings.device))
    pipe = FairyPipeline.from_pretrained(
        settings.model, device=settings.device, dtype=settings.dtype
    )
    if settings.decoder is not None:
        pipe.decoder = load_decoder(settings.decoder, pipe, settings.model)
    if settings.fp8:
        to_fp8(pipe.unet)
    if settings.compile:
        compile_unet(pipe.unet)
    return pipe
