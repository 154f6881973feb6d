"""What attention does in an edit: anchors attend to each other and are cached, frames read them.

A layer's sequence is [text, source, image] in some order; only image tokens meet those of other
frames. Text and source tokens attend as in the stock pipeline. For image queries

    keys:  text and source   own image   anchors' images
    bias:  log(copies)       0           log(strength)        copies = 1 + strength * anchors

The first bias keeps text and source at the weight they have in the stock pipeline, which the copies
of the image would take from them: a clip in which nothing moves is edited as its frame alone.
Shapes: q, k, v (B,N,H,D), B = G*F group-major; the cache's (G,M,H,D).
Tests: tests/editors/stock/test_invariants.py.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fairy.anchors.attention_hooks import Attended, Change
from fairy.anchors.cache import AnchorCache, KeysValues
from fairy.anchors.parts import Attend, Part
from fairy.anchors.positions import Rope, anchor_offset, damp, rotate
from fairy.editors.stock.families import Family
from fairy.editors.stock.hooks import Run, StockAttention
from fairy.editors.stock.strands import pause


@dataclass
class AnchorSharing:
    """The anchors of a session, as `Run.attend` uses them.

    Attributes:
        family: where the image's tokens are.
        cache: the anchors' keys and values by step and "branch.call.layer".
        num_anchors: anchors A.
        attend_parts: how attention is computed.
        strength: factor on the anchors' weights.
        balance: whether text and source keep their weight.
        rope: the family's positions; None if its attention has none.
        position: where frames see the anchors: same, shift, source or damp.
        damping: for "damp", the factor on the fastest pairs in the first and in the last step.
        num_steps: of the edit.
        keeping: whether anchors write the cache.
        change: called before each attention of frames to the anchors (`fairy.analysis.watching`).
    """

    family: Family
    cache: AnchorCache
    num_anchors: int
    attend_parts: Attend
    strength: float = 1.0
    balance: bool = True
    rope: Rope | None = None
    position: str = "same"
    damping: tuple[float, float] = (1.0, 1.0)
    num_steps: int = 1
    keeping: bool = True
    change: Change | None = None
    _mail: defaultdict[tuple[int, str], dict[int, KeysValues]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def begin_step(self, run: Run) -> None:
        """Bring a step's keys and values to the model's device."""
        if run.role == "frame" and self.strength > 0:
            self.cache.begin_step(run.step)

    def attend(
        self,
        run: Run,
        stock: StockAttention,
        qkv: tuple[Tensor, Tensor, Tensor],
        mask: Tensor | None,
        scale: float | None,
    ) -> Tensor:
        """Return the attention of the layer in which `run` is, (B,N,H,D)."""
        q, k, v = qkv
        if self.strength == 0:
            return stock(q, k, v, mask)
        place = self.family.place(q.shape[1], run.num_text, run.size)
        own = (k[:, place], v[:, place])
        others = self._others(run, own)
        if not others:
            return stock(q, k, v, mask)
        if mask is not None and mask.ndim == 2:
            mask = mask[:, None, None, :]
        outside = _without(torch.arange(q.shape[1], device=q.device), place, dim=0)
        masks = _masks(mask, place, outside)
        parts = self._parts((k[:, outside], v[:, outside]), own, others, masks)
        if self.change is not None and run.role == "frame":
            parts = self._changed(run, q[:, place], parts, scale)
        image = self.attend_parts(q[:, place], parts, scale=scale)
        if not len(outside):
            return image
        rest = stock(q[:, outside], k, v, _rows_of(mask, outside))
        before, after = rest.split([place.start, rest.shape[1] - place.start], dim=1)
        return torch.cat([before, image, after], dim=1)

    def _changed(self, run: Run, q: Tensor, parts: list[Part], scale: float | None) -> list[Part]:
        """Return a frame's parts, [outside,] own and anchors, as `change` makes them."""
        assert self.change is not None and run.layer is not None
        *outside, own, anchors = parts
        made = self.change(
            Attended(
                run.step,
                run.layer,
                q,
                own,
                anchors,
                outside[0] if outside else None,
                scale,
                self.family.text_branch(run.branch, len(q) // run.num_frames),
            )
        )
        return [*([] if made.outside is None else [made.outside]), made.own, made.anchors]

    def _parts(
        self,
        outside: KeysValues,
        own: KeysValues,
        others: Sequence[KeysValues],
        masks: tuple[Tensor | None, Tensor | None],
    ) -> list[Part]:
        num_others = sum(k.shape[1] for k, _ in others) / own[0].shape[1]
        copies = 1 + self.strength * num_others
        parts = [Part(*own, mask=masks[1])]
        parts += [Part(*other, bias=math.log(self.strength)) for other in others]
        if outside[0].shape[1]:
            parts = [Part(*outside, math.log(copies) if self.balance else 0.0, masks[0]), *parts]
        return parts

    def _others(self, run: Run, own: KeysValues) -> list[KeysValues]:
        """Return the images besides a run's own, each (B,M,H,D)."""
        if run.role == "anchor":
            return self._exchanged(run, own)
        k, v = self.cache.get(run.step, run.key)
        return [(_for_frames(k, run.num_frames), _for_frames(v, run.num_frames))]

    def _exchanged(self, run: Run, own: KeysValues) -> list[KeysValues]:
        """Hand an anchor's keys and values to the others; return theirs, and cache all."""
        place = (run.step, run.key)
        rows = [row.unflatten(0, (-1, run.num_frames)) for row in own]
        for index, number in enumerate(run.numbers):
            k, v = (row[:, index] for row in rows)
            self._mail[place][number] = (self._moved(k, number, run), v)
        if run.num_frames < self.num_anchors:
            # All anchors come to the same layer before the first goes on
            pause("layer")
        letters = self._mail[place]
        if len(letters) != self.num_anchors:
            raise RuntimeError(f"anchors are not in step at {place}: {sorted(letters)} are there")
        if run.numbers[-1] == self.num_anchors - 1:
            self._keep(place, [letters[number] for number in range(self.num_anchors)])
            del self._mail[place]
        return _stacked_others(letters, run.numbers)

    def _keep(self, place: tuple[int, str], letters: list[KeysValues]) -> None:
        if self.keeping:
            k, v = (torch.cat([letter[i] for letter in letters], dim=1) for i in (0, 1))
            self.cache.put(*place, k, v)

    def _moved(self, k: Tensor, number: int, run: Run) -> Tensor:
        """Return an anchor's keys at the place where others see them."""
        if self.rope is None or self.position == "same":
            return k
        if self.position == "damp":
            first, last = self.damping
            return damp(
                k, self.rope, first + (last - first) * run.step / max(1, self.num_steps - 1)
            )
        width = run.size[1] // self.family.token_px
        return rotate(k, self.rope, anchor_offset(self.rope, self.position, number, width))


def _stacked_others(letters: dict[int, KeysValues], numbers: Sequence[int]) -> list[KeysValues]:
    """Return for rows (G,F) of the anchors `numbers` the other anchors', each (G*F,N,H,D)."""
    others = [[n for n in sorted(letters) if n != number] for number in numbers]

    def rows(index: int, part: int) -> Tensor:
        return torch.stack([letters[row[index]][part] for row in others], dim=1).flatten(0, 1)

    return [(rows(index, 0), rows(index, 1)) for index in range(len(letters) - 1)]


def _for_frames(anchors: Tensor, num_frames: int) -> Tensor:
    """Return (G,M,H,D) as (G*F,M,H,D)."""
    return anchors if num_frames == 1 else anchors.repeat_interleave(num_frames, dim=0)


def _without(rows: Tensor, place: slice, dim: int) -> Tensor:
    return torch.cat([rows.narrow(dim, 0, place.start),
                      rows.narrow(dim, place.stop, rows.shape[dim] - place.stop)], dim)  # fmt: skip


def _rows_of(mask: Tensor | None, index: Tensor) -> Tensor | None:
    """Return a mask (B,H,N|1,L) for the queries `index`."""
    return mask if mask is None or mask.shape[2] == 1 else mask[:, :, index]


def _masks(
    mask: Tensor | None, place: slice, outside: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    """Return a mask (B,H,N|1,L) for image queries: of outside keys, and of the image's own."""
    if mask is None:
        return None, None
    rows = mask if mask.shape[2] == 1 else mask[:, :, place]
    return rows[..., outside], rows[..., place]
