"""The families of image editors: what differs between them, a few lines each.

`Family` says where the generated image's tokens are in the denoiser's attention, how positions are
turned into keys, and how the stock pipeline is called. docs/editor-families.md says how to add one.
Tests: every invariant runs for every family (tests/editors/stock/test_invariants.py).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import diffusers

from fairy.anchors.positions import Rope
from fairy.editors.unread_words import read_words
from fairy.errors import ModelError
from fairy.models.defaults import ModelDefaults
from fairy.system import parse_json

# Of the text encoders of Stable Diffusion and SDXL
CLIP_TOKENS = 77


@dataclass(frozen=True, kw_only=True)
class Family:
    """One kind of pipeline.

    Attributes:
        pipeline: the class's name in diffusers.
        tokens: where the generated image is in the denoiser's sequences: after the "text", "first",
            "last", or "all" of them.
        steps: default denoising steps.
        guidance: the argument for the instruction's weight, and its default; None if the model was
            distilled to need none.
        image_guidance: the same for the source's weight.
        negative: the negative prompt where the user gives none; the pipeline's own when None.
        takes_negative: whether the pipeline takes a negative prompt.
        branches: guidance branches at a guidance_scale over 1.
        in_one_call: whether they are rows of one call of the denoiser.
        text_last: whether the branch with the instruction is the last of these rows; if not, and
            in separate calls, it is the first.
        denoiser: the component's name.
        token_px: side of a token's square in pixels, of DiTs.
        grid: heights and widths must be multiples of it.
        least: smallest side in pixels that the pipeline takes.
        image: the argument for the source.
        image_list: whether it is a list even for one source.
        takes_size: whether the call has `height` and `width`.
        area: an argument for height * width.
        keywords: further arguments.
        resizes: module in diffusers.pipelines whose `calculate_dimensions` chooses a size of its
            own.
        adapt: changes a copy of the pipeline so that it keeps to a size (height, width).
        wording: instruction, number of pictures -> the prompt.
        references: how many pictures the pipeline takes besides the source.
        text_tokens: how many tokens of an instruction the pipeline reads; None if it reads all.
        text_sees_frame: a vision-language model reads the frame with the instruction.
        batches: several frames fit in one call.
        rope: denoiser's configuration -> positions in its keys; None if it has none.
    """

    pipeline: str
    tokens: str
    steps: int
    guidance: tuple[str, float] | None
    image_guidance: tuple[str, float] | None = None
    negative: str | None = None
    takes_negative: bool = True
    branches: int = 2
    in_one_call: bool = False
    text_last: bool = False
    denoiser: str = "transformer"
    token_px: int = 16
    grid: int = 16
    least: int = 16
    image: str = "image"
    image_list: bool = False
    takes_size: bool = True
    area: str | None = None
    keywords: tuple[tuple[str, Any], ...] = ()
    resizes: str | None = None
    adapt: Callable[[Any, tuple[int, int]], None] | None = None
    wording: Callable[[str, int], str] = lambda text, num_pictures: text
    references: int = 0
    text_tokens: int | None = None
    text_sees_frame: bool = False
    batches: bool = False
    rope: Callable[[Any], Rope] | None = None

    def read_words(self, pipe: Any, prompt: str) -> str:
        """Return the words of an instruction that the pipeline reads; warn of the others."""
        if self.text_tokens is None:
            return prompt
        tokenizer = getattr(pipe, "tokenizer_2", None) or pipe.tokenizer
        # Of a processor of texts and pictures
        tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
        return read_words(tokenizer, prompt, min(self.text_tokens, tokenizer.model_max_length))

    def num_tokens(self, size: tuple[int, int]) -> int:
        """Return the tokens of an image of (height, width)."""
        return (size[0] // self.token_px) * (size[1] // self.token_px)

    def finest_grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return (rows, columns) of tokens of an image of (height, width); a UNet halves them."""
        side = self.grid if self.tokens == "all" else self.token_px
        return size[0] // side, size[1] // side

    def text_branch(self, call: int, num_rows: int) -> int | None:
        """Return which of a call's rows follows the instruction; None if none of them does.

        Args:
            call: calls of the denoiser before it in the step.
            num_rows: guidance branches in the call.
        """
        if call > 0:
            return None
        return num_rows - 1 if self.text_last else 0

    def place(self, num_tokens: int, num_text: int, size: tuple[int, int]) -> slice:
        """Return where the image is in a sequence.

        Args:
            num_tokens: length of the sequence.
            num_text: tokens of the text in it.
            size: (height, width) of the image.
        """
        if self.tokens == "all":
            return slice(0, num_tokens)
        length = self.num_tokens(size)
        start = {"text": num_text, "first": 0, "last": num_tokens - length}[self.tokens]
        if start < 0 or start + length > num_tokens:
            raise RuntimeError(
                f"{self.pipeline}: {length} image tokens after {start} in a sequence of "
                f"{num_tokens}: the pipeline works at another size than {size}"
            )
        return slice(start, start + length)

    def __reduce__(self) -> tuple[Any, ...]:
        # Its functions cannot be pickled; an evaluation sends editors to its workers
        return family_of, (self.pipeline,)

    def defaults(self, is_distilled: bool = False) -> ModelDefaults:
        """Return the settings used where an edit names none."""
        return ModelDefaults(
            # A distilled model has no guidance
            guidance_scale=self.guidance[1] if self.guidance and not is_distilled else 1.0,
            image_guidance_scale=self.image_guidance[1] if self.image_guidance else 1.0,
            num_inference_steps=4 if is_distilled else self.steps,
            scheduler=None,
        )


def _rope(axes: str, plane_step: float = 1.0, theta: str | float = 10000.0) -> Any:
    """Return a function of a denoiser's configuration; names are looked up in it."""

    def of(config: Any) -> Rope:
        base = theta if isinstance(theta, float) else float(config[theta])
        return Rope(axes=tuple(config[axes]), theta=base, plane_step=plane_step)

    return of


def _flux2(name: str, **entries: Any) -> Family:
    return Family(
        pipeline=name,
        tokens="text",
        takes_negative=False,
        least=64,
        references=3,
        rope=_rope("axes_dims_rope", plane_step=10.0, theta="rope_theta"),
        **entries,
    )


def _qwen(name: str, resizes: str, **entries: Any) -> Family:
    return Family(
        pipeline=name,
        tokens="text",
        steps=40,
        guidance=("true_cfg_scale", 4.0),
        negative=" ",
        resizes=f"qwenimage.{resizes}",
        text_sees_frame=True,
        rope=_rope("axes_dims_rope"),
        **entries,
    )


def _joy(name: str, steps: int, **entries: Any) -> Family:
    return Family(
        pipeline=name,
        tokens="first",
        steps=steps,
        guidance=("guidance_scale", 4.0),
        text_tokens=2048,
        text_sees_frame=True,
        adapt=_keep_bucket,
        rope=_rope("rope_dim_list", theta="theta"),
        **entries,
    )


def _keep_bucket(pipe: Any, size: tuple[int, int]) -> None:
    """Have JoyImage's processor of pictures answer the asked size instead of one of its own."""
    name = "vae_image_processor" if hasattr(pipe, "vae_image_processor") else "image_processor"
    processor = copy.copy(getattr(pipe, name))
    processor.get_default_height_width = lambda *args, **kwargs: size
    setattr(pipe, name, processor)


def _as_json(text: str, num_pictures: int) -> str:
    """Return Bria's prompt, which is JSON; a prompt that is JSON already is returned."""
    try:
        if isinstance(parse_json(text), dict):
            return text
    except ValueError:
        pass
    return json.dumps({"edit_instruction": text})


def _with_tags(text: str, num_pictures: int) -> str:
    """Return OmniGen's prompt, which names its pictures."""
    return " ".join([*(f"<img><|image_{i + 1}|></img>" for i in range(num_pictures)), text])


_TABLE = (
    # With `--control`: its pictures are made from the frame
    Family(
        pipeline="StableDiffusionControlNetPipeline",
        denoiser="unet",
        tokens="all",
        steps=20,
        guidance=("guidance_scale", 7.5),
        in_one_call=True,
        text_last=True,
        grid=8,
        text_tokens=CLIP_TOKENS,
        batches=True,
    ),
    Family(
        pipeline="StableDiffusionXLInstructPix2PixPipeline",
        denoiser="unet",
        tokens="all",
        steps=20,
        guidance=("guidance_scale", 5.0),
        image_guidance=("image_guidance_scale", 1.5),
        branches=3,
        in_one_call=True,
        grid=8,
        text_tokens=CLIP_TOKENS,
        batches=True,
    ),
    Family(
        pipeline="FluxKontextPipeline",
        tokens="text",
        steps=28,
        guidance=("guidance_scale", 2.5),
        takes_negative=False,
        branches=1,
        area="max_area",
        keywords=(("_auto_resize", False),),
        text_tokens=512,
        batches=True,
        rope=_rope("axes_dims_rope"),
    ),
    # Of 512 tokens, some are those of the chat and of what the pipeline tells the encoder
    _flux2("Flux2KleinPipeline", steps=50, guidance=("guidance_scale", 4.0), text_tokens=512 - 16),
    _flux2(
        "Flux2Pipeline",
        steps=28,
        guidance=("guidance_scale", 4.0),
        branches=1,
        text_tokens=512 - 64,
    ),
    _qwen("QwenImageEditPipeline", "pipeline_qwenimage_edit"),
    _qwen("QwenImageEditPlusPipeline", "pipeline_qwenimage_edit_plus", references=2),
    Family(
        pipeline="LongCatImageEditPipeline",
        tokens="text",
        steps=50,
        guidance=("guidance_scale", 4.5),
        takes_size=False,
        resizes="longcat_image.pipeline_longcat_image_edit",
        # Its own message about longer ones fails with a TypeError (diffusers 0.42)
        text_tokens=512,
        text_sees_frame=True,
        rope=_rope("axes_dims_rope"),
    ),
    _joy("JoyImageEditPipeline", 40),
    _joy(
        "JoyImageEditPlusPipeline",
        30,
        in_one_call=True,
        text_last=True,
        image="images",
        image_list=True,
        references=3,
    ),
    Family(
        pipeline="BriaFiboEditPipeline",
        tokens="text",
        steps=30,
        guidance=("guidance_scale", 5.0),
        in_one_call=True,
        text_last=True,
        grid=32,
        keywords=(("_auto_resize", False),),
        wording=_as_json,
        references=3,
        text_tokens=2048 - 64,
        rope=_rope("axes_dims_rope", theta="rope_theta"),
    ),
    Family(
        pipeline="OmniGenPipeline",
        tokens="last",
        steps=50,
        guidance=("guidance_scale", 2.0),
        image_guidance=("img_guidance_scale", 1.6),
        takes_negative=False,
        branches=3,
        in_one_call=True,
        image="input_images",
        image_list=True,
        wording=_with_tags,
        references=3,
    ),
)
FAMILIES = {family.pipeline: family for family in _TABLE}

PAGE = "docs/editor-families.md"


def family_of(pipeline: str) -> Family:
    """Return the family of a pipeline class.

    Raises:
        ModelError: an unknown class, or one that the installed diffusers lacks.
    """
    if pipeline not in FAMILIES:
        known = ", ".join(name.removesuffix("Pipeline") for name in FAMILIES)
        raise ModelError(
            f"{pipeline} is no editor that Fairy knows: it knows {known} (and InstructPix2Pix of "
            f"Stable Diffusion 1.5); {PAGE} says how to add one"
        )
    if not hasattr(diffusers, pipeline):
        raise ModelError(
            f"{pipeline} is not in diffusers {diffusers.__version__}: update it (0.42 has them all)"
        )
    return FAMILIES[pipeline]
