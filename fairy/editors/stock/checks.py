"""What a stock pipeline cannot do, refused in one line before anything runs.

Tests: tests/editors/stock/test_checks.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fairy.editors.base import Anchor
from fairy.errors import InstructionError, SettingsError
from fairy.settings import EXACT, EditConfig

if TYPE_CHECKING:
    from fairy.editors.stock.editor import StockEditor


def check_begin(
    editor: StockEditor,
    prompt: str,
    anchors: Sequence[Anchor],
    settings: EditConfig,
    size: tuple[int, int],
) -> None:
    """Refuse what the pipeline of `editor` cannot do.

    Raises:
        InstructionError: the instruction is empty.
        SettingsError: a setting that the family does not have.
        ValueError: anchors that are not sorted, or a size off the grid.
    """
    if not prompt.strip():
        raise InstructionError('the instruction is empty: say what to change, as in "make it snow"')
    indices = [anchor.index for anchor in anchors]
    if not indices or indices != sorted(set(indices)):
        raise ValueError(f"anchors {indices}: pass at least one, sorted by index, without repeats")
    family = editor.family
    if any(anchor.edited is not None for anchor in anchors):
        raise SettingsError(
            f"key frames: {family.pipeline} edits its anchors itself; leave them out"
        )
    if any(anchor.mask is not None for anchor in anchors):
        raise SettingsError(MASKS.format(family.pipeline))
    if any(side % family.grid for side in size):
        raise ValueError(f"size {size}: use multiples of {family.grid}, the model's grid")
    if min(size) < family.least:
        raise SettingsError(
            f"size {size[1]}x{size[0]}: {family.pipeline} takes pictures whose shorter side is at "
            f"least {family.least} pixels; use a larger --size"
        )
    for refused in _refused(editor, settings, len(anchors)):
        raise SettingsError(refused)


MASKS = "mask: {} edits whole frames; use --mask-strength 0, which cuts the mask out of the result"


def _refused(editor: StockEditor, settings: EditConfig, num_anchors: int) -> Iterator[str]:
    """Yield what is wrong with the settings, one line each."""
    family, name = editor.family, editor.family.pipeline
    if settings.shortcuts != EXACT:
        yield "quality, reuse, guidance_interval: for InstructPix2Pix's UNets only; leave them out"
    if settings.image_guidance_scale is not None and family.image_guidance is None:
        yield f"image_guidance_scale: {name} has no weight of the source; leave it out"
    if settings.strength != 1:
        yield f"strength: {name} makes whole edits only; leave it out"
    if settings.negative_prompt and not family.takes_negative:
        yield f"negative_prompt: {name} takes none; leave it out"
    if settings.anchor_position != "same" and family.rope is None:
        position = settings.anchor_position
        yield f"anchor_position {position}: the attention of {name} has no positions"
    if len(settings.ref) > family.references:
        most = f"at most {family.references}" if family.references else "none"
        yield f"ref: {name} takes {most}; leave --ref out, or use another --model"
    left = family.references - len(settings.ref)
    if settings.anchors_as == "reference" and num_anchors > left:
        several = f"at most {left} anchors" if left > 0 else "one picture only"
        yield f"anchors_as reference: {name} takes {several}; use --anchors-as attention"
    if settings.text_from == "anchor" and not family.text_sees_frame:
        yield f"text_from anchor: the text encoder of {name} sees no pictures; leave it out"
    if settings.backend == "triton" and settings.weighs_anchors and family.tokens != "all":
        yield "backend triton: for another strength of the anchors than 0 or 1 use sdpa"
    if getattr(editor.denoiser, "is_cache_enabled", False):
        yield (
            f"{name}: a cache of diffusers is enabled, which skips layers whose keys anchors need; "
            "call disable_cache() first"
        )
