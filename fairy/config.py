"""Settings of an edit and of a training run: frozen dataclasses, checked once when made.

Names are diffusers'. In `EditConfig`, `None` means "what the model's own defaults say"
(`fairy.models.registry`).
Tests: tests/test_config.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fairy.errors import SettingsError

BACKENDS = ("auto", "triton", "sdpa", "reference")
DTYPES = ("auto", "float32", "float16", "bfloat16")
STAGES = ("autoencoder", "editor")
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
        media: how the clip is read and the result written.
    """

    model: str = "mini"
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    image_guidance_scale: float | None = None
    negative_prompt: str = ""
    num_anchors: int = 3
    anchor_indices: tuple[int, ...] | None = None
    shots: str = "auto"
    seed: int = 0
    size: int | None = None
    keep_size: bool = True
    device: str = "auto"
    dtype: str = "auto"
    backend: str = "auto"
    frame_batch_size: int | None = None
    anchor_cache_device: str | None = None
    media: MediaConfig = MediaConfig()

    def __post_init__(self) -> None:
        """Refuse settings that no edit can have."""
        for name in ("num_inference_steps", "num_anchors", "frame_batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"{name} is {value}: it must be at least 1")
        for name in ("guidance_scale", "image_guidance_scale"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise SettingsError(f"{name} is {value}: it must not be negative")
        if self.size is not None and self.size < 16:
            raise SettingsError(f"size is {self.size}: the longer side must be at least 16 pixels")
        if self.backend not in BACKENDS:
            raise SettingsError(f"backend {self.backend!r} is unknown: use {', '.join(BACKENDS)}")
        if self.dtype not in DTYPES:
            raise SettingsError(f"dtype {self.dtype!r} is unknown: use {', '.join(DTYPES)}")
        if self.anchor_indices is not None and not self.anchor_indices:
            raise SettingsError("anchor_indices is empty: name at least one frame")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How one stage of an InstructPix2Pix-type model is trained; a recipe is this as YAML.

    Attributes:
        stage: "autoencoder" (images to latents and back) or "editor" (UNet and text encoder).
        output: folder of the run: checkpoints, metrics, validation sheets, the finished model.
        images: folder of photographs mixed into the scenes; rendered scenes alone when None.
        autoencoder: folder of the trained autoencoder; the editor needs it.
        device: "auto", "cpu", "cuda", "cuda:1". bf16 mixed precision on CUDA, float32 elsewhere.
        seed: everything random depends on (seed, step) alone.
        sizes: (height, width) of the training images; one is drawn per step.
        batch_size: images, or noised pairs, per step and process.
        draws_per_pair: noised copies of each pair in a batch; 2 halve the cost of rendering
            and encoding. `batch_size` counts the copies.
        max_steps: optimizer steps of the whole run.
        max_minutes: wall-clock budget of this call; no budget when None.
        resume: go on from the newest checkpoint in `output`.
        learning_rate: after `warmup_steps` of linear rise; falls linearly to zero over the last
            `decay_steps` before `max_steps`.
        betas: of AdamW.
        weight_decay: of AdamW.
        max_grad_norm: gradients are clipped to this norm.
        ema_decay: decay of the averaged weights, which are what is exported.
        latent_channels: channels of the latents.
        num_component_images: images whose principal components make the encoder.
        latent_noise: noise added to the latents that the decoder learns to decode.
        decoder_channels: channels of the decoder.
        decoder_blocks: blocks per level; each level after the first halves the size.
        unet_channels: channels per level of the UNet.
        unet_norm_groups: group norm's groups in the UNet.
        head_dim: channels per attention head in the UNet.
        text_width: hidden size of the text encoder.
        text_layers: layers of the text encoder.
        text_heads: attention heads of the text encoder.
        text_tokens: tokens of an instruction, padded to this length.
        timestep_power: t = 999 * u**(1 / timestep_power), u uniform: over 1 favours high noise.
        change_share: share of each pair's loss that is spread over the changed places alone;
            0 is the plain mean squared error.
        drop_text: share of pairs that lose their instruction alone.
        drop_image: share of pairs that lose their source image alone.
        drop_both: share of pairs that lose both.
        log_every: steps between lines of `metrics.jsonl`.
        checkpoint_every: steps between checkpoints.
        validate_every: steps between validation sheets.
        num_validation: rows of a validation sheet.
        validation_size: (height, width) of the sheet's images.
        edit_size: longer side at which the finished model edits by default.
        num_inference_steps: the finished model's default, and the sheet's.
        guidance_scale: the finished model's default, and the sheet's.
        image_guidance_scale: the finished model's default, and the sheet's.
    """

    stage: str
    output: Path
    images: Path | None = None
    autoencoder: Path | None = None
    device: str = "auto"
    seed: int = 0
    sizes: tuple[tuple[int, int], ...] = ((64, 64),)
    batch_size: int = 32
    draws_per_pair: int = 1
    max_steps: int = 10_000
    max_minutes: float | None = None
    resume: bool = False
    learning_rate: float = 5e-4
    warmup_steps: int = 200
    decay_steps: int = 1_000
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 1e-2
    max_grad_norm: float = 1.0
    ema_decay: float = 0.999
    latent_channels: int = 12
    num_component_images: int = 512
    latent_noise: float = 0.04
    decoder_channels: int = 32
    decoder_blocks: tuple[int, ...] = (3, 2, 1)
    unet_channels: tuple[int, ...] = (64, 128, 192)
    unet_norm_groups: int = 32
    head_dim: int = 32
    text_width: int = 128
    text_layers: int = 2
    text_heads: int = 4
    text_tokens: int = 16
    timestep_power: float = 2.0
    change_share: float = 0.6
    drop_text: float = 0.05
    drop_image: float = 0.05
    drop_both: float = 0.05
    log_every: int = 20
    checkpoint_every: int = 500
    validate_every: int = 500
    num_validation: int = 12
    validation_size: tuple[int, int] = (64, 64)
    edit_size: int = 192
    num_inference_steps: int = 10
    guidance_scale: float = 1.0
    image_guidance_scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse settings that no run can have."""
        if self.stage not in STAGES:
            raise SettingsError(f"stage {self.stage!r} is unknown: use {' or '.join(STAGES)}")
        if self.stage == "editor" and self.autoencoder is None:
            raise SettingsError("the editor stage needs a trained autoencoder: give its folder")
        for name in ("batch_size", "max_steps", "log_every", "checkpoint_every", "validate_every"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}: it must be at least 1")
        grid = 2 ** (len(self.decoder_blocks) - 1)
        if self.draws_per_pair < 1 or self.batch_size % self.draws_per_pair:
            raise SettingsError(
                f"draws_per_pair is {self.draws_per_pair}: it must divide batch_size "
                f"{self.batch_size}"
            )
        for height, width in (*self.sizes, self.validation_size):
            if height < grid or width < grid or height % grid or width % grid:
                raise SettingsError(
                    f"size {height}x{width} does not fit: sides must be multiples of {grid}"
                )
        for channels in self.unet_channels:
            if channels % self.head_dim or channels % self.unet_norm_groups:
                raise SettingsError(
                    f"unet_channels {channels} must be a multiple of head_dim {self.head_dim} "
                    f"and of unet_norm_groups {self.unet_norm_groups}"
                )
        if not 0 <= self.change_share <= 1:
            raise SettingsError(f"change_share is {self.change_share}: it must lie in [0, 1]")
        if not 0 <= self.drop_text + self.drop_image + self.drop_both <= 1:
            raise SettingsError("drop_text + drop_image + drop_both must lie between 0 and 1")
