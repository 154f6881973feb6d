"""Loading a sound model prints no messages; real warnings still come through."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import diffusers.utils.logging
import pytest
import transformers.utils.logging
from diffusers import AutoencoderTiny

from fairy.models.quiet import EXPECTED, without_expected_messages, without_progress_bars
from fairy.models.registry import load_pipeline
from tests.tiny import make_tiny_mini, make_tiny_pipeline, save_tiny_pipeline

ROOT = Path(__file__).parents[2]


def save_with_tiny_autoencoder(folder: Path) -> Path:
    """Save a model with an AutoencoderTiny, as diffusers does."""
    pipe = make_tiny_pipeline()
    channels = {"encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8)}
    blocks = {"num_encoder_blocks": (1, 1), "num_decoder_blocks": (1, 1)}
    pipe.register_modules(vae=AutoencoderTiny(latent_channels=4, **channels, **blocks))
    pipe.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_with_tiny_autoencoder(tmp_path / "model")


# Slow: two processes' imports; tests/cli/test_edit.py has one that edits
@pytest.mark.slow
def test_fresh_process_loads_in_silence(tmp_path):
    diffusers_own = save_with_tiny_autoencoder(tmp_path / "AutoencoderTiny")
    like_mini = save_tiny_pipeline(tmp_path / "PatchAutoencoder", make=make_tiny_mini)
    code = "\n".join(
        f"from fairy import FairyPipeline; FairyPipeline.from_pretrained({str(folder)!r})"
        for folder in (diffusers_own, like_mini)
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture
def said(caplog, monkeypatch) -> pytest.LogCaptureFixture:
    """Messages of diffusers at its usual verbosity, independent of earlier tests."""
    monkeypatch.setattr(logging.getLogger("diffusers"), "propagate", True)
    caplog.set_level(logging.WARNING, "diffusers")
    return caplog


def test_setting_that_means_nothing_is_still_warned_of(folder, said):
    config = folder / "vae" / "config.json"
    config.write_text(config.read_text().replace('"in_channels"', '"nonsense": 1, "in_channels"'))
    load_pipeline(folder, device="cpu")
    assert {"nonsense" in message for message in said.messages} == {True}


def test_other_types_are_still_warned_of(said):
    logger = logging.getLogger("diffusers.pipelines.pipeline_utils")
    with without_expected_messages():
        logger.warning("Expected types for vae: (<class 'A.B'>,), got <class 'c.AutoencoderTiny'>.")
        logger.warning("Expected types for unet: (<class 'A.B'>,), got <class 'c.Linear'>.")
    assert {"unet" in message for message in said.messages} == {True}


@pytest.fixture
def bars(monkeypatch) -> None:
    for library in (diffusers, transformers):
        monkeypatch.setattr(library.utils.logging, "_tqdm_active", True)


def test_logging_and_bars_are_as_before(folder, bars):
    loggers = [logging.getLogger(name) for name in EXPECTED]
    before = [(logger.level, list(logger.filters), list(logger.handlers)) for logger in loggers]
    load_pipeline(folder, device="cpu")
    after = [(logger.level, list(logger.filters), list(logger.handlers)) for logger in loggers]
    assert after == before
    assert diffusers.utils.logging._tqdm_active
    assert transformers.utils.logging._tqdm_active


def test_bars_that_were_off_stay_off(bars, monkeypatch):
    monkeypatch.setattr(diffusers.utils.logging, "_tqdm_active", False)
    with without_progress_bars():
        assert not transformers.utils.logging._tqdm_active
    assert not diffusers.utils.logging._tqdm_active
    assert transformers.utils.logging._tqdm_active
