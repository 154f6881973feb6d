"""Settings of an edit: frozen dataclasses, checked once when made.

Names are diffusers'. In `EditConfig`, `None` means "what the model's own defaults say"
(`fairy.models.registry`).
Tests: tests/test_settings.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fairy.errors import SettingsError

BACKENDS = ("auto", "triton", "sdpa", "reference")
DTYPES = ("auto", "float32", "float16", "bfloat16")
# Timesteps that diffusion models of this class are trained with
MAX_STEPS = 1000
# 8K: memory grows with the square of it, and a slip of the finger must not fill the machine
MAX_SIZE = 8192
# What a generator of torch takes
SEEDS = range(-(2**63), 2**64)
CODECS = ("h264", "hevc", "vp9", "av1", "prores", "ffv1")


@dataclass(frozen=True, kw_only=True)
class MediaConfig:
    """How clips are read and written. None means "what suits the clip and the file's suffix".

    Attributes:
        video_stream: index in the file of the video stream to edit, as `fairy info` shows it;
            the best one when None.
        strict: a picture that cannot be decoded is an error, instead of the last good one again.
        codec: one of `CODECS`; the usual one of the output's suffix when None.
        crf: constant rate factor of the codec: lower is better and larger.
        pix_fmt: how pixels are stored, in FFmpeg's names, such as "yuv420p" or "yuv444p".
        provenance: say in the output's metadata how it was made.
    """

    video_stream: int | None = None
    strict: bool = False
    codec: str | None = None
    crf: int | None = None
    pix_fmt: str | None = None
    provenance: bool = True

    def __post_init__(self) -> None:
        """Refuse what no clip can have; what the output's container refuses is checked with it."""
        if self.codec is not None and self.codec not in CODECS:
            raise SettingsError(f"codec {self.codec!r} is unknown: use {', '.join(CODECS)}")
        if self.video_stream is not None and self.video_stream < 0:
            raise SettingsError(f"video_stream is {self.video_stream}: streams count from 0")
        if self.crf is not None and not 0 <= self.crf <= 63:
            raise SettingsError(f"crf is {self.crf}: it must be between 0 and 63")


@dataclass(frozen=True, kw_only=True)
class Shortcuts:
    """Ways to a result that is there sooner, and near the exact one; the defaults are exact.

    What each costs and saves is measured in docs/speed.md.

    Attributes:
        guidance_interval: (first, end) as fractions of the steps: guidance is computed from step
            round(first * steps) up to, not including, round(end * steps); the other steps follow
            the instruction alone, as at a guidance_scale of 1.
        reuse: the UNet's lower levels are computed in every `reuse`-th step only, and its top level
            in all.
        anchor_merge: frames see squares of `anchor_merge` by `anchor_merge` tokens of an anchor as
            one, at the UNet's top level.
    """

    guidance_interval: tuple[float, float] = (0.0, 1.0)
    reuse: int = 1
    anchor_merge: int = 1

    def __post_init__(self) -> None:
        """Refuse what no edit can have."""
        first, end = self.guidance_interval
        if not 0 <= first < end <= 1:
            raise SettingsError(
                f"guidance_interval is {first:g} {end:g}: give two fractions of the steps, the "
                "smaller first, as in 0 0.6"
            )
        for name in ("reuse", "anchor_merge"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}: 1 is off, 2 or more is on")

    @classmethod
    def of(
        cls,
        quality: str = "exact",
        *,
        guidance_interval: tuple[float, float] | None = None,
        reuse: int | None = None,
        anchor_merge: int | None = None,
    ) -> Shortcuts:
        """Return what `quality` bundles, with what is given in its place.

        Raises:
            SettingsError: an unknown quality.
        """
        if quality not in QUALITIES:
            raise SettingsError(f"quality {quality!r} is unknown: use {', '.join(QUALITIES)}")
        bundle = QUALITIES[quality]
        return cls(
            guidance_interval=guidance_interval or bundle.guidance_interval,
            reuse=bundle.reuse if reuse is None else reuse,
            anchor_merge=bundle.anchor_merge if anchor_merge is None else anchor_merge,
        )

    @property
    def quality(self) -> str:
        """The name of the bundle that these are; "custom" if they are none."""
        return next((name for name, bundle in QUALITIES.items() if bundle == self), "custom")


EXACT = Shortcuts()
# What measured best for its time (docs/speed.md)
QUALITIES = {
    "exact": EXACT,
    "balanced": Shortcuts(reuse=2),
    "fast": Shortcuts(guidance_interval=(0.2, 0.8), reuse=3),
}


@dataclass(frozen=True, kw_only=True)
class EditConfig:
    """How one clip is edited.

    Attributes:
        model: "mini" (bundled), a folder in diffusers format, a `.safetensors` file or a hub id.
        num_inference_steps: denoising steps; the model's default when None.
        guidance_scale: weight of the instruction; the model's default when None.
        image_guidance_scale: weight of the source image; the model's default when None.
        negative_prompt: what the edit shall not look like.
        num_anchors: anchor frames, spread evenly over the clip (section 3 of the paper: 3).
        anchor_indices: anchor frames chosen by hand, instead of `num_anchors`.
        anchor_strength: factor on the anchors' weights in the other frames' attention: 1 is the
            paper, less leans on the frame itself, 0 edits every frame alone.
        shots: "auto" (each shot of a clip with cuts has its own anchors), "off", or a text file of
            the frame numbers at which shots begin.
        seed: seed of the clip's one noise; the same seed gives the same video.
        size: longer side in pixels at which the model works; the model's default when None.
        keep_size: scale the result back to the source's size.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        dtype: "auto" (float32 on CPU, float16 on GPU) or one of `DTYPES`.
        backend: how anchor attention is computed, one of `BACKENDS`.
        frame_batch_size: frames denoised together; from free memory when None.
        anchor_cache_device: where the anchors' keys and values live; the model's device when None.
        shortcuts: ways to a result sooner that is not the exact one; none.
        fp8: compute the UNet's linear layers in float8, on cards that can.
        compile: let torch compile the UNet: minutes at first, faster then (benchmarks/NOTES.md).
        decoder: a tiny autoencoder to decode with, a folder or a hub id; the model's own when None.
        media: how the clip is read and the result written.
    """

    model: str = "mini"
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    image_guidance_scale: float | None = None
    negative_prompt: str = ""
    num_anchors: int = 3
    anchor_indices: tuple[int, ...] | None = None
    anchor_strength: float = 1.0
    shots: str = "auto"
    seed: int = 0
    size: int | None = None
    keep_size: bool = True
    device: str = "auto"
    dtype: str = "auto"
    backend: str = "auto"
    frame_batch_size: int | None = None
    anchor_cache_device: str | None = None
    shortcuts: Shortcuts = EXACT
    fp8: bool = False
    compile: bool = False
    decoder: str | None = None
    media: MediaConfig = MediaConfig()

    def __post_init__(self) -> None:
        """Refuse settings that no edit can have."""
        for name in ("num_inference_steps", "num_anchors", "frame_batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"{name} is {value}: it must be at least 1")
        if self.num_inference_steps is not None and self.num_inference_steps > MAX_STEPS:
            steps = self.num_inference_steps
            raise SettingsError(f"num_inference_steps is {steps}: it must be at most {MAX_STEPS}")
        for name in ("guidance_scale", "image_guidance_scale", "anchor_strength"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise SettingsError(f"{name} is {value}: use 0 or more")
        if self.seed not in SEEDS:
            raise SettingsError(f"seed is {self.seed}: use a number of at most 19 digits")
        if self.size is not None and not 16 <= self.size <= MAX_SIZE:
            raise SettingsError(
                f"size is {self.size}: the longer side must be at least 16 pixels, and at most "
                f"{MAX_SIZE}"
            )
        if self.backend not in BACKENDS:
            raise SettingsError(f"backend {self.backend!r} is unknown: use {', '.join(BACKENDS)}")
        if self.dtype not in DTYPES:
            raise SettingsError(f"dtype {self.dtype!r} is unknown: use {', '.join(DTYPES)}")
        where = self.anchor_cache_device
        if where is not None and where.split(":")[0] not in ("cpu", "cuda", "mps"):
            raise SettingsError(
                f"anchor_cache_device {where!r} is unknown: use cpu, or leave it out for the "
                "model's device"
            )
        if self.anchor_indices is not None and not self.anchor_indices:
            raise SettingsError("anchor_indices is empty: name at least one frame")
