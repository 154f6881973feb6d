"""Settings of a training run: one frozen dataclass, checked when made; recipes are its YAML form.

`fairy train --explain RECIPE` prints the descriptions below. Tests: tests/training/test_config.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fairy.errors import SettingsError
from fairy.options import Option, Settings

# The zero-noise end of the schedule is step 0, the pure-noise end step 999, as in SD 1.5.
LAST_TIMESTEP = 999

Stage = Annotated[str, Option(choices=("autoencoder", "editor", "finetune"))]
Precision = Annotated[str, Option(choices=("auto", "float32", "bf16"))]
Count = Annotated[int, Option(min=1)]
CountOrNone = Annotated[int, Option(min=0, allowed="use 0 for none")]
Share = Annotated[float, Option(min=0, max=1)]
Range = Annotated[float, Option(min=0, allowed="ranges are given as +-value")]
Enlargement = Annotated[float, Option(min=1)]


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Settings):
    """How one stage of an InstructPix2Pix-type model is trained.

    Attributes:
        stage: "autoencoder" (images to latents and back), "editor" (a new UNet and text encoder) or
            "finetune" (the UNet of an existing model).
        output: folder of the run: checkpoints, metrics, validation sheets, the finished model.
        images: folder of photographs mixed into the rendered scenes; only scenes when None.
        autoencoder: folder of the trained autoencoder; the editor stage needs it.
        start: weights that a new model starts from: a folder in diffusers' format, or a safetensors
            file with `unet.*` and `text.*` and a folder `tokenizer` beside it. Embeddings of words
            that both tokenizers know are kept. The autoencoder stage loads its linear code from it
            (`vae/`, or `pca.*` in the file). Random weights when None.
        model: the model that the finetune stage starts from: "mini", a folder, a file or a hub id.
        data: pairs to finetune on: a folder or a hub id of a data set; rendered scenes when None.
        shuffle_window: how many examples of a data set are shuffled together; every process keeps
            twice as many encoded pairs in memory.
        device: "auto", "cpu", "cuda", "cuda:1".
        seed: all randomness depends on (seed, step) alone.
        clear_share: share of scenes with few, large, distinct objects, so that "the circle" is
            never ambiguous; the others are crowded.
        photo_share: share of scenes with a photograph as background, if there are any.
        scope_weights: how often looks of the whole picture, local changes and one-to-many edits of
            rendered scenes are drawn, relative to each other.
        pool_batches: batches of rendered pairs that worker processes render ahead as one pool,
            kept as uint8; 0 renders each batch when it is needed. A pool has one size.
        pool_uses: how often each pool is used, each time in a different order.
        pool_workers: processes that render the pools of each training process.
        sizes: (height, width) of the training images; one is drawn per step or pool.
        resize_scale: images are loaded this much larger than `sizes`, for a random crop.
        affine_rotation_deg: source and target are rotated by the same random angle, up to this.
        affine_translation: they are moved by up to this share of the size, along both axes.
        affine_scale: they are scaled by a random factor between these.
        affine_shear_deg: they are sheared by a random angle up to this, along both axes.
        clip_frames: each pair becomes a pseudo-clip of this many frames by a smooth path of affine
            maps, trained with anchor attention; 1 trains on images.
        clip_anchors: anchor frames among them.
        batch_size: images, or noised pairs, per forward pass and process. Frames of a
            pseudo-clip and copies of a pair count.
        global_batch_size: images per optimizer step on all processes together; reached by
            accumulating gradients. batch_size times processes when None.
        average_every: processes, each with its own optimizer, average their weights after this many
            steps; 0 exchanges gradients every step.
        precision: "auto", "float32" or "bf16". bf16 means bf16 weights with float32 masters on
            CPUs, and mixed precision on CUDA; auto uses it on CUDA, and on CPUs with AMX or
            AVX512-BF16 for the editor, but not for a LoRA.
        draws_per_pair: noised copies of each pair in a batch; 2 halves the cost of rendering and
            encoding.
        max_steps: optimizer steps of the whole run.
        max_minutes: wall-clock budget of this call; no budget when None.
        resume: continue from the newest checkpoint in `output`.
        learning_rate: the rate after a linear rise over `warmup_steps`; it falls linearly to zero
            over the last `decay_steps` before `max_steps`.
        warmup_steps: steps of the rise.
        decay_steps: steps of the fall.
        betas: AdamW's betas.
        weight_decay: AdamW's weight decay.
        max_grad_norm: gradients are clipped to this norm.
        max_loss_rise: the run stops when the loss, averaged over about ten steps, is this many
            times its lowest value.
        ema_decay: decay of the averaged weights, which are exported.
        gradient_checkpointing: compute activations of the UNet twice instead of keeping them.
        lora_rank: rank of the LoRA that is finetuned in the UNet's attention; 0 finetunes all of
            its weights.
        latent_channels: channels of the latents: components kept of each block of pixels.
        patch_size: side of a block in pixels, a power of two; latents are that much smaller.
        correction_channels: width of the decoder's correction of the linear code.
        correction_depth: its layers between the first and the last.
        num_component_images: images whose principal components give the code.
        latent_noise: noise added to the latents that the decoder learns to decode.
        unet_channels: channels per level of the UNet.
        unet_norm_groups: group norm's groups in the UNet.
        head_dim: channels per attention head in the UNet.
        text_width: hidden size of the text encoder.
        text_layers: layers of the text encoder.
        text_heads: attention heads of the text encoder.
        text_tokens: tokens of an instruction, padded to this length.
        timestep_power: t = 999 * u**(1 / timestep_power), u uniform: above 1 favours high noise.
        timestep_set: train on these timesteps instead, which sampling with few steps uses; the
            first is pure noise. One-to-many edits are then trained on all timesteps from 100 on.
        timestep_jitter: timesteps after the first are moved by up to this.
        pure_noise_share: share of pairs at the first of `timestep_set`.
        open_pure_noise_share: the same for one-to-many edits.
        own_guess_share: share of batches in which deterministic edits get noisy inputs made from
            the model's own guess from pure noise, as in sampling; for models that predict the
            clean latents.
        channel_weight_power: a latent channel's error is weighted by its variance in the picture to
            this power; 0 weighs all equally. For linear codes.
        change_share: share of each pair's loss that is spread over the pixels that the edit
            changes, or those it keeps if they are fewer; 0 is the plain mean squared error.
        drop_text: share of pairs that lose only their instruction.
        drop_image: share of pairs that lose only their source image.
        drop_both: share of pairs that lose both.
        log_every: steps between lines of `metrics.jsonl`.
        checkpoint_every: steps between checkpoints.
        validate_every: steps between validation sheets.
        num_validation: rows of a validation sheet. From a data set, these are its first examples,
            which are never trained on.
        validation_size: (height, width) of the sheet's images.
        edit_size: longer side at which a new model edits by default.
        num_inference_steps: a new model's default, and the sheet's.
        open_inference_steps: a new model's steps for one-to-many edits.
        guidance_scale: a new model's default, and the sheet's.
        image_guidance_scale: a new model's default, and the sheet's.
    """

    stage: Stage
    output: Annotated[Path, Option(short="-o")]
    images: Path | None = None
    autoencoder: Path | None = None
    start: Path | None = None
    model: Annotated[str | None, Option(flag="from")] = None
    data: str | None = None
    shuffle_window: Count = 1_000
    device: str = "auto"
    seed: int = 0
    clear_share: Share = 0.0
    photo_share: Share = 0.7
    scope_weights: tuple[float, float, float] = (0.6, 4.0, 1.4)
    pool_batches: CountOrNone = 0
    pool_uses: Count = 3
    pool_workers: Count = 1
    sizes: tuple[tuple[int, int], ...] = ((64, 64),)
    resize_scale: Enlargement = 1.0
    affine_rotation_deg: Range = 0.0
    affine_translation: Range = 0.0
    affine_scale: tuple[float, float] = (1.0, 1.0)
    affine_shear_deg: Range = 0.0
    clip_frames: Count = 1
    clip_anchors: int = 3
    batch_size: Count = 32
    global_batch_size: int | None = None
    average_every: CountOrNone = 0
    precision: Precision = "auto"
    draws_per_pair: Count = 1
    max_steps: Count = 10_000
    max_minutes: float | None = None
    resume: bool = False
    learning_rate: float = 5e-4
    warmup_steps: int = 200
    decay_steps: int = 1_000
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 1e-2
    max_grad_norm: float = 1.0
    max_loss_rise: float = 10.0
    ema_decay: float = 0.999
    gradient_checkpointing: bool = False
    lora_rank: CountOrNone = 0
    latent_channels: int = 48
    patch_size: Count = 8
    correction_channels: int = 128
    correction_depth: int = 2
    num_component_images: int = 512
    latent_noise: float = 0.03
    unet_channels: tuple[int, ...] = (96, 160, 224)
    unet_norm_groups: int = 8
    head_dim: int = 32
    text_width: int = 128
    text_layers: int = 2
    text_heads: int = 4
    text_tokens: int = 16
    timestep_power: float = 1.0
    timestep_set: tuple[int, ...] = ()
    timestep_jitter: int = 30
    pure_noise_share: Share = 0.4
    open_pure_noise_share: Share = 0.12
    own_guess_share: Share = 0.0
    channel_weight_power: float = 0.0
    change_share: Share = 0.5
    drop_text: float = 0.05
    drop_image: float = 0.0
    drop_both: float = 0.0
    log_every: Count = 20
    checkpoint_every: Count = 500
    validate_every: Count = 500
    num_validation: Count = 12
    validation_size: tuple[int, int] = (64, 64)
    edit_size: int = 256
    num_inference_steps: int = 2
    open_inference_steps: int = 6
    guidance_scale: float = 1.0
    image_guidance_scale: float = 1.0

    @property
    def rows_per_pair(self) -> int:
        """Rows of a batch that come from one pair."""
        return self.draws_per_pair * self.clip_frames

    def pool_of(self, step: int) -> int:
        """Return the pool that a step (1 is the first) draws from; without pools, its own."""
        steps = self.pool_batches * self.pool_uses if self.data is None else 0
        return (step - 1) // max(steps, 1)

    def __post_init__(self) -> None:
        """Validate the settings."""
        super().__post_init__()
        self._check_stage()
        self._check_counts()
        self._check_sizes()
        self._check_shares()

    def _check_stage(self) -> None:
        if self.stage == "editor" and self.autoencoder is None:
            raise SettingsError("the editor stage needs a trained autoencoder: give its folder")
        if self.stage == "finetune" and self.model is None:
            raise SettingsError("the finetune stage needs a model to start from: give --from MODEL")
        only_finetune = {"data": self.data is not None, "lora_rank": self.lora_rank != 0}
        for name, used in only_finetune.items():
            if used and self.stage != "finetune":
                raise SettingsError(f"{name} is for the finetune stage, not for {self.stage}")
        if self.start is not None and self.stage == "finetune":
            raise SettingsError("start is for new models; to finetune a model, use --from")

    def _check_counts(self) -> None:
        if self.batch_size % self.rows_per_pair:
            raise SettingsError(
                f"draws_per_pair {self.draws_per_pair} times clip_frames {self.clip_frames} must "
                f"divide batch_size {self.batch_size}"
            )
        if self.clip_frames > 1 and not 1 <= self.clip_anchors <= self.clip_frames:
            raise SettingsError(
                f"clip_anchors is {self.clip_anchors}: use 1 to clip_frames, {self.clip_frames}"
            )

    def _check_sizes(self) -> None:
        # A finetuned model has its own grid, which is checked when it is loaded.
        grid = 1 if self.stage == "finetune" else self.patch_size
        if self.patch_size.bit_count() != 1:
            raise SettingsError(f"patch_size is {self.patch_size}: it must be a power of two")
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

    def _check_shares(self) -> None:
        if not all(0 <= timestep <= LAST_TIMESTEP for timestep in self.timestep_set):
            raise SettingsError(f"timestep_set is {self.timestep_set}: use 0 to {LAST_TIMESTEP}")
        if not 0 <= self.drop_text + self.drop_image + self.drop_both <= 1:
            raise SettingsError("drop_text + drop_image + drop_both must be between 0 and 1")
        if min(self.scope_weights) < 0 or sum(self.scope_weights) == 0:
            raise SettingsError("scope_weights must not be negative, and not all 0")
        if self.max_loss_rise <= 1:
            raise SettingsError(f"max_loss_rise is {self.max_loss_rise}: it must be above 1")
        low, high = self.affine_scale
        if not 0 < low <= high:
            raise SettingsError(
                f"affine_scale is {low}, {high}: use two numbers above 0, the smaller first"
            )
