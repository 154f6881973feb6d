"""An edit in progress with a stock pipeline: anchors first, then any frames.

Two ways, bit for bit alike. The whole cache: anchors run through all steps and their keys and
values are kept; then frames run one by one (or in batches, where a family can). Step by step: for
every batch of frames the anchors run again beside them, one step ahead, and one step's cache is
alive.
Frames are uint8 (H,W,3). Tests: tests/editors/stock/test_session.py, test_invariants.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fairy.anchors.attention_hooks import Change
from fairy.anchors.cache import load_anchors, save_anchors
from fairy.editors.base import Anchor, EditInput, EditSession, UsedSettings
from fairy.editors.batches import FrameBatches, one_line_when_out_of_memory
from fairy.editors.images import read_at_size
from fairy.editors.stock.calls import StockCall, Texts
from fairy.editors.stock.checks import MASKS
from fairy.editors.stock.hooks import Run, hooked
from fairy.editors.stock.sharing import AnchorSharing
from fairy.editors.stock.strands import Strand, round_robin, strands
from fairy.editors.timing import Stopwatch
from fairy.editors.turns import turn
from fairy.errors import SettingsError
from fairy.media.colours import Image
from fairy.media.frames import to_images
from fairy.settings import EXACT

if TYPE_CHECKING:
    from fairy.editors.stock.editor import StockEditor

# Frames that run beside the anchors: a segment (fairy.jobs.plan), so that a segment is one batch
STEP_FRAMES = 48
# Frames in one call of a pipeline that can take several
CALL_FRAMES = 4
ADVICE = "use a smaller size, fewer anchors, anchor_cache step, or offload"


@dataclass(frozen=True, kw_only=True)
class Ways:
    """How a session runs.

    Attributes:
        step_by_step: one step's cache at a time, anchors beside each batch of frames.
        as_references: anchors are further pictures of the call, without hooks.
        text_from_anchor: the first anchor's embeddings of the instruction serve all frames.
        frame_batch_size: frames at a time; None for the usual number.
        backend: name of the attention backend, and why.
    """

    step_by_step: bool = False
    as_references: bool = False
    text_from_anchor: bool = False
    frame_batch_size: int | None = None
    backend: tuple[str, str] = ("sdpa", "")


class StockSession(EditSession):
    """The edit of one shot. Made by `StockEditor.begin`.

    Args:
        editor: the model; other sessions may use it at the same time.
        call: what every call has in common.
        sharing: what attention does.
        anchors: sorted by index; they are edited at once.
        ways: how the session runs.
        anchor_store: file of the anchors' keys, values and results: read if it exists, otherwise
            written.
    """

    def __init__(
        self,
        editor: StockEditor,
        call: StockCall,
        sharing: AnchorSharing,
        anchors: Sequence[Anchor],
        ways: Ways,
        anchor_store: Path | None = None,
    ) -> None:
        self._editor, self._call, self._sharing, self._ways = editor, call, sharing, ways
        # Asking a pipeline for its device takes longer than one of its layers
        self._device = editor.device
        self._timer = Stopwatch(self._device)
        self._batches = FrameBatches(self._first_batch())
        self._num_rows = 0
        shares_text = ways.text_from_anchor or not call.family.text_sees_frame
        self._texts = Texts() if shares_text else None
        self._pictures = [self._picture(one.source) for one in anchors]
        self._anchors: dict[int, Tensor] = {}
        with turn(editor.denoiser), self._timer("anchors"):
            self._edit_anchors([one.index for one in anchors], anchor_store)

    @property
    def batch_size(self) -> int:
        """Frames that are edited together."""
        return self._batches.size

    @property
    def timing(self) -> dict[str, float]:
        """Seconds of "anchors" and "frames" so far."""
        return self._timer.seconds()

    @property
    def used(self) -> UsedSettings:
        """The settings used so far."""
        call, editor, cache = self._call, self._editor, self._sharing.cache
        return UsedSettings(
            num_inference_steps=call.steps,
            guidance_scale=call.guidance_scale,
            image_guidance_scale=call.image_guidance_scale,
            num_groups=self._num_rows,
            anchor_indices=tuple(sorted(self._anchors)),
            frame_batch_size=self._batches.size,
            height=call.size[0],
            width=call.size[1],
            device=str(self._device),
            dtype=str(editor.denoiser.dtype).removeprefix("torch."),
            scheduler=type(editor.pipe.scheduler).__name__,
            backend=self._ways.backend[0],
            backend_reason=self._ways.backend[1],
            anchor_cache_device=str(cache.device),
            anchor_cache_bytes=cache.num_bytes,
            quality=EXACT.quality,
            shortcuts=EXACT,
        )

    def edit(self, inputs: Sequence[EditInput]) -> Image:
        """Return the edited frames, uint8 (F,H,W,3), in the order of `inputs`."""
        return np.stack([_to_image(image) for image in self.edit_tensors(inputs)])

    def edit_tensors(self, inputs: Sequence[EditInput]) -> Tensor:
        """Return the results on the CPU, in order: images (F,3,H,W) in [0,1].

        Raises:
            SettingsError: out of memory even with one frame, or an input with a mask.
        """
        if any(one.mask is not None for one in inputs):
            raise SettingsError(MASKS.format(self._editor.family.pipeline))
        others = [one for one in inputs if one.index not in self._anchors]
        edited: Iterator[Tensor] = iter(())
        if others:
            frames = torch.from_numpy(np.stack([self._picture(one.source) for one in others]))
            with turn(self._editor.denoiser), self._timer("frames"):
                edited = iter(self._batches.run(frames, self._edit_frames))
        return torch.stack(
            [
                self._anchors[one.index] if one.index in self._anchors else next(edited)
                for one in inputs
            ]
        )

    def watch(self, change: Change) -> None:
        """Attend to what `change` makes of each attention of the frames to the anchors."""
        self._sharing.change = change

    def close(self) -> None:
        """Move a model that is offloaded between uses off the device."""
        with turn(self._editor.denoiser):
            self._editor.pipe.maybe_free_model_hooks()

    def _first_batch(self) -> int:
        if self._ways.step_by_step:
            return self._ways.frame_batch_size or STEP_FRAMES
        most = CALL_FRAMES if self._call.family.batches else 1
        return self._ways.frame_batch_size or most

    def _picture(self, source: Any) -> Image:
        image = next(read_at_size([source], self._call.size))
        picture: Image = to_images(image[None].cpu())[0]
        return picture

    def _edit_anchors(self, indices: Sequence[int], store: Path | None) -> None:
        """Fill the cache and keep the anchors' results, or read both from `store`."""
        cache, stepwise = self._sharing.cache, self._ways.step_by_step
        if store is not None and store.exists():
            self._anchors = load_anchors(store, cache)
            self._remember_text()
            return
        self._sharing.keeping = not (stepwise or self._ways.as_references)
        attempt = f"{len(indices)} anchors together"
        with one_line_when_out_of_memory(attempt, ADVICE):
            results = self._references() if self._ways.as_references else self._run_anchors()
        self._sharing.keeping = True
        self._anchors = dict(zip(indices, results, strict=True))
        if store is not None:
            save_anchors(store, cache, self._anchors)

    def _run_anchors(self) -> list[Tensor]:
        """Return the anchors' results; all advance together, layer by layer."""
        with self._hooks(), strands(self._anchor_works()) as made:
            round_robin(made, until="end")
            return [strand.result for strand in made]

    def _references(self) -> list[Tensor]:
        """Return the anchors' results, each edited with those before it as further pictures."""
        results: list[Tensor] = []
        for picture in self._pictures:
            results.append(self._one("stock", picture, references=results))
        return results

    def _remember_text(self) -> None:
        """Encode the instruction as the first anchor's call would, which did not run here."""
        if self._texts is not None and self._call.family.text_sees_frame:
            work = partial(self._one, "stock", self._pictures[0])
            with self._hooks(), strands([work]) as (strand,):
                strand.resume()

    def _edit_frames(self, frames: Tensor) -> Tensor:
        """Return the results of frames uint8 (F,H,W,3) that are not anchors."""
        pictures = list(frames.numpy())
        if self._ways.as_references:
            references = list(self._anchors.values())
            results = [self._one("stock", one, references=references) for one in pictures]
        elif self._ways.step_by_step:
            results = self._beside_anchors(pictures)
        else:
            with self._hooks():
                results = self._from_cache(pictures)
        return torch.stack(results)

    def _from_cache(self, pictures: Sequence[Image]) -> list[Tensor]:
        if not self._call.family.batches:
            return [self._one("frame", picture) for picture in pictures]
        run = Run("frame", self._call.size, self._sharing, num_frames=len(pictures))
        return list(self._run(run, pictures))

    def _beside_anchors(self, pictures: Sequence[Image]) -> list[Tensor]:
        """Return the frames' results: in every step the anchors go first, then each frame."""
        works = [partial(self._one, "frame", picture) for picture in pictures]
        with self._hooks(), strands(self._anchor_works()) as anchors, strands(works) as made:
            step = 0
            while not all(strand.ended for strand in made):
                round_robin(_left(anchors), until="step")
                for strand in _left(made):
                    strand.resume()
                self._sharing.cache.drop(step)
                step += 1
            return [strand.result for strand in made]

    def _anchor_works(self) -> list[Callable[[], Tensor]]:
        return [
            partial(self._one, "anchor", picture, (number,))
            for number, picture in enumerate(self._pictures)
        ]

    def _one(
        self,
        role: str,
        picture: Image,
        numbers: tuple[int, ...] = (),
        references: Sequence[Tensor] = (),
    ) -> Tensor:
        """Return the result (3,H,W) of a call with one frame."""
        run = Run(role, self._call.size, self._sharing if role != "stock" else None, numbers)
        return self._run(run, [picture], references)[0]

    def _run(
        self, run: Run, pictures: Sequence[Image], references: Sequence[Tensor] = ()
    ) -> Tensor:
        """Return the results (F,3,H,W) of a call."""
        edited = [_to_image(reference) for reference in references]
        arguments = self._call.arguments(pictures, edited)
        images = self._call.run(self._editor.pipe, run, self._texts, arguments)
        self._num_rows = run.num_rows or self._num_rows
        return images

    def _hooks(self) -> Any:
        return hooked(self._editor.denoiser, self._call.family)


def _to_image(image: Tensor) -> Image:
    """Return (3,H,W) in [0,1] as uint8 (H,W,3), rounded as diffusers rounds."""
    levels = (image.permute(1, 2, 0) * 255).round().to(torch.uint8)
    return np.asarray(levels.contiguous().numpy(), dtype=np.uint8)


def _left(made: Sequence[Strand]) -> list[Strand]:
    return [strand for strand in made if not strand.ended]
