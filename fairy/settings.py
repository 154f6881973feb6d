"""Settings of an edit: frozen dataclasses whose fields are declared once, as options.

`EditConfig` = `Sampling` (what the result looks like) + `Compute` (where and how fast it runs) +
`MediaConfig` (files) + `Control` (which part of the clip). Its fields are flat, and it can be
passed to any function that takes one of the four. The names are those of diffusers. The option's
`unset` text explains what None means; `ModelDefaults.fill` fills in the model's defaults.
Tests: tests/test_settings.py.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from fairy.errors import SettingsError
from fairy.options import Option, Settings, checked, options_of

BACKENDS = ("auto", "triton", "sdpa", "reference")
DTYPES = ("auto", "float32", "float16", "bfloat16")
POSITIONS = ("same", "shift", "source", "damp")
# Enlarging by --upscale without a model
PLAIN_UPSCALE = "[234]x"
ENLARGERS = ("guided", "bicubic", "lanczos", "none")
CODECS = ("h264", "hevc", "vp9", "av1", "prores", "ffv1")
# Timesteps that diffusion models of this class are trained with
MAX_STEPS = 1000
# 8K: memory grows with the square of the size, and a typo must not exhaust the machine's memory
MAX_SIZE = 8192
# Bounds of torch's generators
MIN_SEED, MAX_SEED = -(2**63), 2**64 - 1
# Drawn seeds are short enough to type
DRAWN_SEEDS = 10**9

# Headings of the options, in the order of `--help`
MODEL = "Model and device"
EDIT = "Edit"
ANCHORS = "Anchors"
QUALITY = "Quality and speed"
WHERE = "Where and when"
CLIP = "Clip"
OUTPUT = "Output"
SHARING = "Sharing the work"
SERVER = "Page"
GROUPS = (MODEL, EDIT, ANCHORS, WHERE, QUALITY, CLIP, OUTPUT)


BUNDLED_MODEL = "mini"


def _if_here(name: str) -> Iterator[Path]:
    """Yield a name that may also be one of a hub, if such a file exists."""
    if name != BUNDLED_MODEL and os.path.exists(name):
        yield Path(name)


def _lora_if_here(lora: str) -> Iterator[Path]:
    """Yield the file of FILE or FILE:SCALE."""
    yield from _if_here(lora)
    yield from _if_here(lora.rpartition(":")[0])


def _upscaling_model(upscale: str) -> Iterator[Path]:
    if not re.fullmatch(PLAIN_UPSCALE, upscale):
        yield Path(upscale)


def _control_if_here(control: str) -> Iterator[Path]:
    """Yield the folder of KIND=DIR or KIND=DIR:SCALE."""
    yield from _lora_if_here(control.partition("=")[2])


def _shots_file(shots: str) -> Iterator[Path]:
    if shots not in ("auto", "off"):
        yield Path(shots)


def _after_equals(entry: str) -> Iterator[Path]:
    """Yield the file of N=FILE."""
    if path := entry.partition("=")[2].strip():
        yield Path(path)


SEED = Option(
    help="Seed of the noise: the same seed gives the same video.",
    group=EDIT,
    min=MIN_SEED,
    max=MAX_SEED,
    allowed="use a number of at most 19 digits",
)
_BUNDLE = Option(
    help="Bundle of the faster, approximate modes: exact has none.",
    group=QUALITY,
    choices=("exact", "balanced", "fast"),
)
_GUIDANCE_INTERVAL = Option(
    help="Compute guidance only in this part of the steps, from A to B as fractions: 0 0.6.",
    group=QUALITY,
    form="two fractions, as in 0 0.6",
    allowed="give two fractions of the steps, the smaller first, as in 0 0.6",
    unset="as --quality says",
    metavar="A B",
)
_REUSE = Option(
    help="Compute the UNet's lower levels only in every N-th step.",
    group=QUALITY,
    min=1,
    allowed="1 is off, 2 or more is on",
    unset="as --quality says",
    metavar="N",
)


@dataclass(frozen=True, kw_only=True)
class Shortcuts(Settings):
    """Faster modes whose result is close to the exact one; the defaults are exact.

    docs/speed.md shows measurements of what each one costs and saves.

    Attributes:
        guidance_interval: (first, end) as fractions of the steps. Guidance is computed from step
            round(first * steps) up to, but not including, round(end * steps). The other steps
            follow the instruction alone, as at a guidance_scale of 1.
        reuse: the UNet's lower levels are computed once every `reuse` steps, its top level in
            every step.
    """

    guidance_interval: Annotated[tuple[float, float], _GUIDANCE_INTERVAL] = (0.0, 1.0)
    reuse: Annotated[int, _REUSE] = 1

    def __post_init__(self) -> None:
        """Check that the interval begins before it ends."""
        super().__post_init__()
        first, end = self.guidance_interval
        if not 0 <= first < end <= 1:
            raise SettingsError(
                f"guidance_interval is {first:g} {end:g}: {_GUIDANCE_INTERVAL.allowed}"
            )

    @classmethod
    def of(
        cls,
        quality: str = "exact",
        *,
        guidance_interval: tuple[float, float] | None = None,
        reuse: int | None = None,
    ) -> Shortcuts:
        """Return the bundle `quality`; an argument that is not None replaces the bundle's value.

        Raises:
            SettingsError: an unknown quality.
        """
        bundle = QUALITIES[checked("quality", quality, str, _BUNDLE)]
        return cls(
            guidance_interval=guidance_interval or bundle.guidance_interval,
            reuse=bundle.reuse if reuse is None else reuse,
        )

    @property
    def quality(self) -> str:
        """Name of the bundle with these values, or "custom"."""
        return next((name for name, bundle in QUALITIES.items() if bundle == self), "custom")


EXACT = Shortcuts()
# The best result for its time, as measured in docs/speed.md
QUALITIES = {
    "exact": EXACT,
    "balanced": Shortcuts(reuse=2),
    "fast": Shortcuts(guidance_interval=(0.2, 0.8), reuse=3),
}


@dataclass(frozen=True, kw_only=True)
class Sampling(Settings):
    """Settings that determine what the edited frames look like.

    A `seed` of None is replaced by a random one, which reports record.
    """

    num_inference_steps: Annotated[
        int | None,
        Option(
            help="Denoising steps.",
            group=EDIT,
            min=1,
            max=MAX_STEPS,
            unset="the model's",
            flag="steps",
        ),
    ] = None
    guidance_scale: Annotated[
        float | None,
        Option(
            help="Weight of the instruction.",
            group=EDIT,
            min=0,
            allowed="use 0 or more",
            unset="the model's",
        ),
    ] = None
    image_guidance_scale: Annotated[
        float | None,
        Option(
            help="Weight of the source.",
            group=EDIT,
            min=0,
            allowed="use 0 or more",
            unset="the model's",
        ),
    ] = None
    negative_prompt: Annotated[
        str, Option(help="What the result should not look like.", group=EDIT)
    ] = ""
    seed: Annotated[int | None, SEED] = 0
    size: Annotated[
        int | None,
        Option(
            help="Longer side in pixels at which the model works.",
            group=EDIT,
            min=16,
            max=MAX_SIZE,
            allowed=f"the longer side must be at least 16 pixels, and at most {MAX_SIZE}",
            unset="the model's",
        ),
    ] = None
    # Section 3 of the paper: 3
    num_anchors: Annotated[
        int,
        Option(help="Anchor frames, spread evenly over each shot.", group=ANCHORS, min=1),
    ] = 3
    anchor_indices: Annotated[
        tuple[int, ...] | None,
        Option(
            help="Anchor frames by number, instead of --num-anchors: 0,40,80.",
            group=ANCHORS,
            form="frame numbers, as in 0,40,80",
            flag="anchors",
            metavar="N,N,...",
        ),
    ] = None
    anchor_strength: Annotated[
        float,
        Option(
            help="Factor on the anchors' weights in the frames' attention: 1 is the paper, "
            "0 edits every frame alone.",
            group=ANCHORS,
            min=0,
            allowed="use 0 or more",
        ),
    ] = 1.0
    balance: Annotated[
        bool,
        Option(
            help="Keep the weight of text and source beside the anchors' in joint attention.",
            group=ANCHORS,
        ),
    ] = True
    anchor_position: Annotated[
        str,
        Option(
            help="Where frames see the anchors: same place, shift (beside the frame), source (a "
            "picture of its own), damp (fine positions weakened).",
            group=ANCHORS,
            choices=POSITIONS,
        ),
    ] = "same"
    anchor_damping: Annotated[
        tuple[float, float],
        Option(
            help="For --anchor-position damp: factor on the finest positions in the first and in "
            "the last step.",
            group=ANCHORS,
            min=0,
            max=1,
            form="two factors, as in 0.5 1",
            allowed="give two factors from 0 to 1, as in 0.5 1",
            metavar="A B",
        ),
    ] = (0.5, 0.5)
    anchors_as: Annotated[
        str,
        Option(
            help="How frames see the anchors: attention, or as further reference pictures.",
            group=ANCHORS,
            choices=("attention", "reference"),
        ),
    ] = "attention"
    text_from: Annotated[
        str,
        Option(
            help="Whose picture a text encoder that sees pictures reads: each frame's, or for all "
            "the first anchor's.",
            group=ANCHORS,
            choices=("frame", "anchor"),
        ),
    ] = "frame"
    quality: Annotated[str, _BUNDLE] = "exact"
    guidance_interval: Annotated[tuple[float, float] | None, _GUIDANCE_INTERVAL] = None
    reuse: Annotated[int | None, _REUSE] = None

    def __post_init__(self) -> None:
        """Draw a seed if there is none, and check settings that depend on each other."""
        super().__post_init__()
        if self.seed is None:
            object.__setattr__(self, "seed", secrets.randbelow(DRAWN_SEEDS))
        if self.anchor_indices is not None and not self.anchor_indices:
            raise SettingsError("anchor_indices is empty: name at least one frame")
        # Raises if the interval is invalid
        _ = self.shortcuts

    @property
    def shortcuts(self) -> Shortcuts:
        """The bundle `quality`; `guidance_interval` and `reuse` override it where set."""
        return Shortcuts.of(
            self.quality, guidance_interval=self.guidance_interval, reuse=self.reuse
        )

    @property
    def weighs_anchors(self) -> bool:
        """Whether the anchors' weight is neither 0 nor that of the frame's own keys."""
        return self.anchor_strength not in (0, 1)


@dataclass(frozen=True, kw_only=True)
class Compute(Settings):
    """Which model runs, where, and how fast."""

    model: Annotated[
        str,
        Option(
            help='"mini" (bundled), a folder in diffusers format, a .safetensors file or a hub id.',
            group=MODEL,
            file="read",
            paths=_if_here,
        ),
    ] = BUNDLED_MODEL
    device: Annotated[str, Option(help="auto, cpu, cuda, cuda:1 or mps.", group=MODEL)] = "auto"
    dtype: Annotated[
        str,
        Option(
            help="Precision; auto is float16 on a GPU, and on a CPU float32, or bfloat16 where a "
            "check shows it to be faster.",
            group=MODEL,
            choices=DTYPES,
        ),
    ] = "auto"
    backend: Annotated[
        str, Option(help="How anchor attention is computed.", group=MODEL, choices=BACKENDS)
    ] = "auto"
    frame_batch_size: Annotated[
        int | None,
        Option(
            help="Frames denoised together; the result does not depend on it.",
            group=MODEL,
            min=1,
            unset="from free memory",
        ),
    ] = None
    anchor_cache_device: Annotated[
        str | None,
        Option(
            help="Where the anchors' keys and values are kept: cpu saves memory on the GPU.",
            group=MODEL,
            unset="the model's device",
        ),
    ] = None
    anchor_cache: Annotated[
        str,
        Option(
            help="Keep the anchors' keys and values of all steps (whole), or of one (step), with "
            "the anchors run again beside every 48 frames; the result is the same.",
            group=MODEL,
            choices=("auto", "whole", "step"),
        ),
    ] = "auto"
    decoder: Annotated[
        str | None,
        Option(
            help="Decode with a tiny autoencoder: a folder or a hub id, as madebyollin/taesd.",
            group=QUALITY,
            unset="the model's own",
            file="read",
            paths=_if_here,
        ),
    ] = None
    lora: Annotated[
        tuple[str, ...],
        Option(
            help="LoRA to load: a .safetensors file, a folder, a hub id or a file of one, with a "
            "factor after a colon. Repeatable.",
            group=MODEL,
            form="names with factors, as in style.safetensors:0.8",
            metavar="PATH[:SCALE]",
            many=True,
            file="read",
            paths=_lora_if_here,
        ),
    ] = ()
    ip_adapter: Annotated[
        str | None,
        Option(
            help="IP-Adapter that lets an InstructPix2Pix model see --ref: a .safetensors file or "
            "one of a hub id, with a factor after a colon.",
            group=MODEL,
            metavar="FILE[:SCALE]",
            unset="none",
            file="read",
            paths=_lora_if_here,
        ),
    ] = None
    control: Annotated[
        tuple[str, ...],
        Option(
            help="ControlNets for a Stable Diffusion 1.5 model: ip2p (edit by an instruction), "
            "canny, depth, pose, lineart, each with a factor after a colon; several with commas; "
            "canny=DIR for other weights.",
            group=MODEL,
            form="kinds with factors, as in ip2p,canny:0.5",
            metavar="KIND[:SCALE],...",
            unset="none",
            file="read",
            paths=_control_if_here,
        ),
    ] = ()
    quantize: Annotated[
        str | None,
        Option(
            help="Load the denoiser and the text encoder quantised, by diffusers (needs the extra "
            "[quantize]).",
            group=MODEL,
            choices=("int8", "fp8", "nf4"),
            unset="off",
        ),
    ] = None
    offload: Annotated[
        str | None,
        Option(
            help="Keep weights in the host's memory and bring them to the device model by model, "
            "or layer by layer (sequential).",
            group=MODEL,
            choices=("model", "sequential"),
            unset="off",
        ),
    ] = None
    fp8: Annotated[
        bool,
        Option(help="Compute linear layers in float8 (needs the extra [fp8]).", group=QUALITY),
    ] = False
    compile: Annotated[
        bool,
        Option(
            help="Compile the UNet with torch: slow to start, then faster; for long clips.",
            group=QUALITY,
        ),
    ] = False

    def __post_init__(self) -> None:
        """Check the device type; loading a model checks whether the machine has it."""
        super().__post_init__()
        where = self.anchor_cache_device
        if where is not None and where.split(":")[0] not in ("cpu", "cuda", "mps"):
            raise SettingsError(
                f"anchor_cache_device {where!r} is unknown: use cpu, or leave it out for the "
                "model's device"
            )


@dataclass(frozen=True, kw_only=True)
class MediaConfig(Settings):
    """How clips are read and written; what depends on the container is checked with the file."""

    shots: Annotated[
        str,
        Option(
            help="auto (each shot of a clip with cuts gets its own anchors), off, or a text file "
            "of the frame numbers at which shots begin.",
            group=CLIP,
            file="read",
            paths=_shots_file,
        ),
    ] = "auto"
    start_s: Annotated[
        float | None,
        Option(
            help="Edit only from this time on: the result begins there.",
            group=CLIP,
            min=0,
            allowed="times count from the clip's first frame",
            form="seconds, or 1:30",
            unset="the clip's beginning",
            flag="start",
            metavar="TIME",
            is_time=True,
        ),
    ] = None
    end_s: Annotated[
        float | None,
        Option(
            help="Edit only up to this time: the result ends there.",
            group=CLIP,
            min=0,
            allowed="times count from the clip's first frame",
            form="seconds, or 1:30",
            unset="the clip's end",
            flag="end",
            metavar="TIME",
            is_time=True,
        ),
    ] = None
    max_frames: Annotated[
        int | None,
        Option(help="Edit at most this many frames.", group=CLIP, min=1, unset="all", metavar="N"),
    ] = None
    video_stream: Annotated[
        int | None,
        Option(
            help="Video stream of IN to edit, by its number in `fairy info`.",
            group=CLIP,
            min=0,
            allowed="streams count from 0",
            unset="the best",
        ),
    ] = None
    strict: Annotated[
        bool,
        Option(
            help="Stop at a picture that cannot be decoded, instead of repeating the one before.",
            group=CLIP,
        ),
    ] = False
    keep_size: Annotated[
        bool, Option(help="Scale the result back to the source's size.", group=OUTPUT)
    ] = True
    enlarge: Annotated[
        str,
        Option(
            help="How the result is enlarged to the source's size: guided takes the detail from "
            "the source; none leaves it at the model's size.",
            group=OUTPUT,
            choices=ENLARGERS,
        ),
    ] = "guided"
    upscale: Annotated[
        str | None,
        Option(
            help="Enlarge the finished frames further: 2x, 3x or 4x (Lanczos), or by a model's "
            "file, as RealESRGAN.pth (needs the extra [upscale]).",
            group=OUTPUT,
            unset="off",
            metavar="MODEL.pth|2x",
            file="read",
            paths=_upscaling_model,
        ),
    ] = None
    interpolate: Annotated[
        int | None,
        Option(
            help="2 doubles the frame rate: a frame half-way between each two, but not across "
            "cuts.",
            group=OUTPUT,
            min=2,
            max=2,
            allowed="2 is the only factor",
            unset="off",
            metavar="2",
        ),
    ] = None
    codec: Annotated[
        str | None,
        Option(help="Video codec.", group=OUTPUT, choices=CODECS, unset="by OUT's name"),
    ] = None
    crf: Annotated[
        int | None,
        Option(
            help="Constant rate factor of the codec: lower is better and larger.",
            group=OUTPUT,
            min=0,
            max=63,
            allowed="it must be between 0 and 63",
            unset="the codec's",
        ),
    ] = None
    pix_fmt: Annotated[
        str | None,
        Option(
            help="How pixels are stored, in FFmpeg's names, as yuv444p.",
            group=OUTPUT,
            unset="the codec's",
        ),
    ] = None
    provenance: Annotated[
        bool, Option(help="Say in OUT's metadata how it was made.", group=OUTPUT)
    ] = True
    c2pa: Annotated[
        tuple[Path, Path] | None,
        Option(
            help="Sign OUT with C2PA, by a certificate and its key as PEM files (needs the extra "
            "[c2pa]).",
            group=OUTPUT,
            form="two files, the certificate and its key",
            metavar="CERT KEY",
            unset="not signed",
            file="read",
        ),
    ] = None
    c2pa_no_prompt: Annotated[
        bool,
        Option(
            help="Leave the instruction out of what --c2pa signs, and out of OUT's metadata.",
            group=OUTPUT,
        ),
    ] = False

    watermark: Annotated[
        str | None,
        Option(
            help="Hide these letters, 8 at most, in every frame (needs the extra [watermark]).",
            group=OUTPUT,
            unset="off",
            metavar="TEXT",
        ),
    ] = None

    def __post_init__(self) -> None:
        """Treat `enlarge="none"` as the model's size; check what is signed and hidden."""
        super().__post_init__()
        if self.watermark is not None and not re.fullmatch(r"[ -~]{1,8}", self.watermark):
            raise SettingsError(f"watermark {self.watermark!r}: use 1 to 8 letters of ASCII")
        if self.c2pa_no_prompt and self.c2pa is None:
            raise SettingsError(
                "c2pa_no_prompt: nothing is signed: give --c2pa CERT KEY, or use --no-provenance "
                "to leave out all metadata"
            )
        if self.enlarge == "none":
            object.__setattr__(self, "keep_size", False)


@dataclass(frozen=True, kw_only=True)
class Control(Settings):
    """Where and when a clip is edited, and how strongly."""

    mask: Annotated[
        str | None,
        Option(
            help="Change only what is white here, a picture, a folder of pictures or a video; or "
            'what words describe, as in "red car".',
            group=WHERE,
            metavar="PATH|WORDS",
            unset="the whole frame",
            file="read",
            paths=_if_here,
        ),
    ] = None
    mask_invert: Annotated[
        bool, Option(help="Change only what is black in the mask.", group=WHERE)
    ] = False
    mask_grow: Annotated[
        int,
        Option(
            help="Pixels of the source by which the mask grows; negative numbers shrink it.",
            group=WHERE,
            min=-MAX_SIZE,
            max=MAX_SIZE,
            metavar="PX",
        ),
    ] = 0
    mask_feather: Annotated[
        int,
        Option(
            help="Pixels of the source over which the edit fades out around the mask.",
            group=WHERE,
            min=0,
            max=MAX_SIZE,
            metavar="PX",
        ),
    ] = 0
    mask_strength: Annotated[
        float,
        Option(
            help="Part of the steps in which the model is kept to the source outside the mask; "
            "the result is, whatever this is.",
            group=WHERE,
            min=0,
            max=1,
            allowed="give a number from 0 to 1",
        ),
    ] = 1.0
    region: Annotated[
        tuple[int, int, int, int] | None,
        Option(
            help="Change only this rectangle, in pixels of the source: left, top, width, height.",
            group=WHERE,
            form="four whole numbers, as in 100,50,320,240",
            min=0,
            metavar="X,Y,W,H",
            unset="the whole frame",
        ),
    ] = None
    keyframes: Annotated[
        Path | None,
        Option(
            help="Folder of `fairy anchors` with pictures that a person edited: they are anchors, "
            "and come out as they are.",
            group=ANCHORS,
            unset="none",
            file="read",
        ),
    ] = None
    keyframe: Annotated[
        tuple[str, ...],
        Option(
            help="A frame, counted from 0, as a person edited it: 40=a.png. Repeatable.",
            group=ANCHORS,
            form="frames and their pictures, as in 40=a.png",
            metavar="N=FILE",
            many=True,
            unset="none",
            file="read",
            paths=_after_equals,
        ),
    ] = ()
    ref: Annotated[
        tuple[Path, ...],
        Option(
            help="A further picture for models that take several: the first is `image 1` in the "
            "instruction. Repeatable.",
            group=WHERE,
            form="pictures",
            metavar="PATH",
            many=True,
            unset="none",
            file="read",
        ),
    ] = ()
    edit_from: Annotated[
        str | None,
        Option(
            help="Edit from here on; what is before stays as it is. A frame (100), seconds (4s) or "
            "a part (50%).",
            group=WHERE,
            flag="from",
            metavar="TIME",
            counts_frames=True,
            unset="the start",
        ),
    ] = None
    edit_to: Annotated[
        str | None,
        Option(
            help="Edit up to here; this frame and what follows stay as they are.",
            group=WHERE,
            flag="to",
            metavar="TIME",
            counts_frames=True,
            unset="the end",
        ),
    ] = None
    stream_copy: Annotated[
        bool,
        Option(
            help="Copy the frames before --from and after --to as they are stored, where H.264 "
            "allows it; else they are encoded again.",
            group=WHERE,
        ),
    ] = True
    fade: Annotated[
        str | None,
        Option(
            help="Blend the edit in after --from and out before --to: frames (12) or seconds "
            "(0.5s).",
            group=WHERE,
            metavar="TIME",
            counts_frames=True,
            unset="at once",
        ),
    ] = None
    schedule: Annotated[
        Path | None,
        Option(
            help='JSON file of instructions by time, {"4s": "make it night", "80%": ""}; '
            "INSTRUCTION holds before the first.",
            group=WHERE,
            unset="INSTRUCTION everywhere",
            file="read",
        ),
    ] = None
    blend: Annotated[
        str | None,
        Option(
            help="Blend each instruction of --schedule in over the one before: frames (12) or "
            "seconds (0.5s).",
            group=WHERE,
            metavar="TIME",
            counts_frames=True,
            unset="at once",
        ),
    ] = None
    strength: Annotated[
        float,
        Option(
            help="How far the edit goes: 0 is the source, 1 the whole edit.",
            group=WHERE,
            min=0,
            max=1,
            allowed="give a number from 0 to 1",
        ),
    ] = 1.0

    def __post_init__(self) -> None:
        """Check settings that depend on each other."""
        super().__post_init__()
        if self.region is not None and 0 in self.region[2:]:
            raise SettingsError(
                f"region is {','.join(map(str, self.region))}: it has no area: give left, top, "
                "width and height, as in 100,50,320,240"
            )
        shaped = {"mask_grow": self.mask_grow, "mask_feather": self.mask_feather}
        shaped |= {"mask_invert": self.mask_invert}
        unused = [name for name, value in shaped.items() if value]
        if unused and self.mask is None and self.region is None:
            raise SettingsError(
                f"{unused[0]} shapes a mask, but there is none: give --mask or --region"
            )
        if self.blend is not None and self.schedule is None:
            raise SettingsError(
                f"blend {self.blend}: there is one instruction only: give more with --schedule"
            )
        if self.fade is not None and self.edit_from is None and self.edit_to is None:
            raise SettingsError(
                f"fade {self.fade}: there is no beginning or end to fade at: give --from or --to"
            )


@dataclass(frozen=True, kw_only=True)
class EditConfig(Control, MediaConfig, Compute, Sampling):
    """All settings of one clip's edit, flat, as in `EditConfig(seed=7, codec="hevc")`."""

    def without_anchors(self) -> EditConfig:
        """Return these settings with anchors that change nothing."""
        return replace(self, anchor_strength=0.0)


@dataclass(frozen=True, kw_only=True)
class PageOptions(Settings):
    """Where the web page is, who may use it, and how large their clips may be."""

    host: Annotated[
        str,
        Option(
            help="Address to listen on; 0.0.0.0 lets other machines open the page.", group=SERVER
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int | None,
        Option(help="Port of the page.", group=SERVER, min=1, max=65535, unset="7860 or the next"),
    ] = None
    auth: Annotated[
        tuple[str, ...],
        Option(
            help="Ask for a name and password. Repeatable.",
            group=SERVER,
            form="a name and a password, as in ada:secret",
            metavar="NAME:PASSWORD",
            many=True,
            unset="anyone who can open it",
        ),
    ] = ()
    out: Annotated[
        Path,
        Option(help="Folder for clips and results.", group=SERVER, short="-o", metavar="DIR"),
    ] = Path("fairy-results")
    devices: Annotated[
        tuple[str, ...],
        Option(
            help="Edit one clip at a time on each of these: cuda:0,cuda:1.",
            group=SERVER,
            form="devices, as in cuda:0,cuda:1",
            unset="one, as --device says",
            metavar="NAME,...",
        ),
    ] = ()
    max_mb: Annotated[
        int, Option(help="Largest upload in megabytes.", group=SERVER, min=1, metavar="MB")
    ] = 2000
    max_length: Annotated[
        float,
        Option(
            help="Longest clip, or part of one, in seconds.",
            group=SERVER,
            min=0.1,
            metavar="SECONDS",
        ),
    ] = 600.0
    max_pixels: Annotated[
        int,
        Option(help="Most pixels of a frame, width times height.", group=SERVER, min=1),
    ] = 3840 * 2160
    max_waiting: Annotated[
        int, Option(help="Longest queue; more are sent away.", group=SERVER, min=1)
    ] = 20
    keep_days: Annotated[
        float | None,
        Option(
            help="Delete results that are older than this.",
            group=SERVER,
            min=0,
            unset="never",
            metavar="DAYS",
        ),
    ] = None
    open: Annotated[bool, Option(help="Open the page in the browser.", group=SERVER)] = True

    def __post_init__(self) -> None:
        """Check the form of names and passwords."""
        super().__post_init__()
        if any(not all(entry.partition(":")) for entry in self.auth):
            raise SettingsError("auth: give a name and a password, as in ada:secret")


@dataclass(frozen=True, kw_only=True)
class BatchOptions(Settings):
    """How the jobs of a list are shared among processes."""

    out: Annotated[
        str | None,
        Option(
            help="Folder or address (s3://...) below which relative outputs are.",
            group=OUTPUT,
            short="-o",
            metavar="DIR_OR_URL",
        ),
    ] = None
    cluster: Annotated[
        str | None,
        Option(
            help="shared: start the same command any number of times, on any machines. ray: on a "
            "Ray cluster, or on this machine with Ray.",
            group=SHARING,
            choices=("shared", "ray"),
        ),
    ] = None
    workers: Annotated[
        int,
        Option(
            help="Processes on this machine, or on the Ray cluster; one per GPU.",
            group=SHARING,
            min=1,
            metavar="N",
        ),
    ] = 1
    address: Annotated[
        str | None,
        Option(
            help="Ray cluster, as in auto or ray://HOST:10001; otherwise RAY_ADDRESS, or one "
            "is started here.",
            group=SHARING,
        ),
    ] = None
    gpus_per_worker: Annotated[
        float | None,
        Option(
            help="GPUs of a Ray worker, may be a fraction. [default: 1 if the cluster has any]",
            group=SHARING,
            min=0,
            metavar="N",
        ),
    ] = None
    cpus_per_worker: Annotated[
        float | None,
        Option(
            help="CPUs of a Ray worker. [default: an equal share; 1 with a GPU]",
            group=SHARING,
            min=0.1,
            metavar="N",
        ),
    ] = None
    max_attempts: Annotated[
        int,
        Option(
            help="Set a job aside after so many workers have died with it.",
            group=SHARING,
            min=1,
            metavar="N",
        ),
    ] = 3
    clip_timeout: Annotated[
        float | None,
        Option(
            help="Seconds after which a worker gives up a job and starts afresh. [default: when "
            "no frame was finished for an hour]",
            group=SHARING,
            min=0.01,
            metavar="SECONDS",
        ),
    ] = None
    split_frames: Annotated[
        int,
        Option(
            help="Workers without a job help with clips of more frames, segment by segment.",
            group=SHARING,
            min=1,
            metavar="N",
        ),
    ] = 1200
    lease: Annotated[
        float,
        Option(
            help="Seconds without a sign of life after which a worker counts as dead.",
            group=SHARING,
            min=0.1,
            metavar="SECONDS",
        ),
    ] = 600.0
    order: Annotated[
        str,
        Option(
            help="The largest files first, so that all workers end together, or as given.",
            group=SHARING,
            choices=("longest", "given"),
        ),
    ] = "longest"
    stop_after_failures: Annotated[
        int,
        Option(
            help="Stop if so many jobs have failed and none has succeeded.",
            group=SHARING,
            min=1,
            metavar="N",
        ),
    ] = 20
    retry_failed: Annotated[
        bool, Option(help="Try the jobs again that were set aside.", group=SHARING)
    ] = False
    print_script: Annotated[
        str | None,
        Option(
            help="Only print a script or manifest that runs this command with --workers N.",
            group=SHARING,
            flag="print",
            choices=("slurm", "kubernetes", "rayjob"),
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class RunOptions(Settings):
    """What one run of an edit writes besides its result, and what it may overwrite."""

    compare: Annotated[
        Path | None,
        Option(
            help="Also write source and result side by side to this file.",
            group=OUTPUT,
            file="written",
        ),
    ] = None
    report: Annotated[
        Path | None,
        Option(
            help="Also write settings, versions, times and memory as JSON.",
            group=OUTPUT,
            file="written",
        ),
    ] = None
    save_masks: Annotated[
        Path | None,
        Option(
            help="Also write the masks as they are used to this folder.",
            group=OUTPUT,
            file="written",
        ),
    ] = None
    overwrite: Annotated[bool, Option(help="Replace outputs that exist.", group=OUTPUT)] = False
    force: Annotated[
        bool, Option(help="Edit even if the model does not know the words.", group=EDIT)
    ] = False
    restart: Annotated[
        bool, Option(help="Start over instead of continuing an interrupted edit.", group=OUTPUT)
    ] = False
    workers: Annotated[
        int,
        Option(
            help="Processes that edit the clip together, each with its own model; one per GPU.",
            group=QUALITY,
            min=1,
            metavar="N",
        ),
    ] = 1
    work_dir: Annotated[
        Path | None,
        Option(
            help="Folder for what is done so far, instead of beside OUT.",
            group=OUTPUT,
            metavar="DIR",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class EditRun(RunOptions):
    """What a call of `fairy edit` does besides the edit."""

    preview: Annotated[
        int | None,
        Option(help="Only draw N edited frames on a contact sheet.", group=OUTPUT, metavar="N"),
    ] = None
    save_settings: Annotated[
        Path | None,
        Option(help="Write the settings as JSON, for --settings.", group=OUTPUT, file="written"),
    ] = None


def in_flags(message: str) -> str:
    """Return a library's error message with settings replaced by their command-line flags.

    >>> in_flags("num_anchors is 0: it must be at least 1")
    '--num-anchors is 0: it must be at least 1'
    >>> in_flags("force=True tries anyway")
    '--force tries anyway'
    """
    flags = {one.name: one.flag for kind in (EditConfig, RunOptions) for one in options_of(kind)}
    for name, flag in flags.items():
        # Replace a name with underscores anywhere, a single word only at the beginning
        where = rf"(?<![\w-]){name}(?![\w(=.-])" if "_" in name else rf"^{name}(?= (is|{_VALUE}))"
        message = re.sub(rf"{where}|(?<![\w-]){name}=True(?!\w)", flag, message)
    return message


# A value in a message: 'text'
_VALUE = "['\"]"
