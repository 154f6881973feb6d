"""One call of a stock pipeline: its arguments, on a copy of the pipeline that knows where it is.

Pictures are uint8 (H,W,3), results float (F,3,H,W) in [0,1]. The copy shares the models; its
scheduler, its sizes and its step count are its own. Tests: tests/editors/stock/test_calls.py.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import PIL.Image
import torch
from torch import Tensor, nn

from fairy.editors.finite import check_finite
from fairy.editors.stock.control_images import ControlImages
from fairy.editors.stock.families import Family
from fairy.editors.stock.hooks import Run, counted_scheduler, running
from fairy.media.colours import Image

TEXT_ENCODERS = ("encode_prompt", "encode_prompt_multiple_images")


@dataclass(frozen=True, kw_only=True)
class StockCall:
    """What every call of an edit has in common.

    Attributes:
        family: the pipeline's.
        prompt: the instruction.
        size: (height, width).
        steps: denoising steps.
        seed: of the noise, the same for every frame.
        guidance_scale: weight of the instruction.
        image_guidance_scale: weight of the source.
        negative_prompt: the family's default when empty.
        control: makes what ControlNets see of the frames, in place of the frames.
        references: pictures that every frame's call takes besides the frame.
        extra: further arguments of a Python caller, passed unchanged.
    """

    family: Family
    prompt: str
    size: tuple[int, int]
    steps: int
    seed: int
    guidance_scale: float
    image_guidance_scale: float
    negative_prompt: str = ""
    control: ControlImages | None = None
    references: tuple[Image, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    def arguments(self, pictures: Sequence[Image], references: Sequence[Image] = ()) -> Any:
        """Return the arguments of the pipeline's call.

        Args:
            pictures: the frames of the call; several only where the family batches.
            references: further pictures, for one frame.
        """
        references = (*self.references, *references)
        family, (height, width) = self.family, self.size
        images = [PIL.Image.fromarray(picture) for picture in (*pictures, *references)]
        generators = [torch.Generator().manual_seed(self.seed) for _ in pictures]
        single = len(images) == 1
        prompt = family.wording(self.prompt, 1 + len(references))
        given: dict[str, Any] = {
            "prompt": self._each(prompt, pictures),
            family.image: images[0] if single and not family.image_list else images,
            "num_inference_steps": self.steps,
            "generator": generators[0] if len(pictures) == 1 else generators,
            "output_type": "pt",
            **dict(family.keywords),
        }
        if family.takes_size:
            given |= {"height": height, "width": width}
        if family.area:
            given[family.area] = height * width
        if family.guidance:
            given[family.guidance[0]] = self.guidance_scale
        if family.image_guidance:
            given[family.image_guidance[0]] = self.image_guidance_scale
        if negative := self.negative_prompt or family.negative:
            given["negative_prompt"] = (
                negative if len(pictures) == 1 else [negative] * len(pictures)
            )
        if self.control is not None:
            given |= self.control.arguments(pictures)
        return given | self.extra

    def _each(self, text: str, pictures: Sequence[Image]) -> str | list[str]:
        return text if len(pictures) == 1 else [text] * len(pictures)

    def run(self, pipe: Any, run: Run, texts: Texts | None, arguments: dict[str, Any]) -> Tensor:
        """Call the pipeline in `run`; return its pictures, float32 (F,3,H,W) in [0,1] on the CPU.

        Raises:
            RuntimeError: the pipeline's pictures have another size.
        """
        # Copies do not inherit diffusers' offloading: the session frees the hooks at its end
        own = copy.copy(pipe)
        own.maybe_free_model_hooks = _nothing
        own.scheduler = counted_scheduler(pipe.scheduler, run)
        own.set_progress_bar_config(disable=True)
        if self.family.adapt is not None:
            self.family.adapt(own, self.size)
        if texts is not None:
            texts.share(own, run.num_frames)
        # Some pipelines draw from torch's global generators when they encode the source
        with running(run), torch.no_grad(), ExitStack() as until_denoising:
            until_denoising.enter_context(torch.random.fork_rng())
            torch.manual_seed(self.seed)
            run.before_denoising = until_denoising.close
            images: Tensor = own(**arguments, return_dict=False)[0]
        if tuple(images.shape[-2:]) != self.size:
            raise RuntimeError(
                f"{self.family.pipeline}: a picture of {tuple(images.shape[-2:])} for {self.size}"
            )
        models = {name: one for name, one in own.components.items() if isinstance(one, nn.Module)}
        check_finite(images, f"{self.family.pipeline}", models, self.guidance_scale)
        return images.float().cpu()


class Texts:
    """Embeddings of the instruction that all calls of an edit share, made by the first of them.

    Where the text encoder does not see the frame they are the same anyway; where it does, they are
    those of the first anchor (`--text-from anchor`).
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int], Any] = {}

    def __bool__(self) -> bool:
        return bool(self._kept)

    def share(self, pipe: Any, num_frames: int) -> None:
        """Have a copy of the pipeline take the embeddings from here, or leave them here."""
        calls = iter(range(1000))
        for name in TEXT_ENCODERS:
            if hasattr(pipe, name):
                setattr(pipe, name, self._remembered(getattr(pipe, name), calls, num_frames))

    def _remembered(
        self, encode: Callable[..., Any], calls: Any, num_frames: int
    ) -> Callable[..., Any]:
        def remembered(*args: Any, **kwargs: Any) -> Any:
            key = (num_frames, next(calls))
            if key not in self._kept:
                self._kept[key] = encode(*args, **kwargs)
            return self._kept[key]

        return remembered


def numbered_after_frame(text: str, num_references: int) -> str:
    """Return an instruction whose "image 1" is the first reference, as a pipeline counts pictures.

    The frame is a pipeline's first picture.

    >>> numbered_after_frame("put the hat of image 1 on her", 1)
    'put the hat of image 2 on her'
    """
    if not num_references:
        return text
    return re.sub(
        r"\b(image )(\d+)\b", lambda found: f"{found[1]}{int(found[2]) + 1}", text, flags=re.I
    )


def _nothing() -> None:
    pass
