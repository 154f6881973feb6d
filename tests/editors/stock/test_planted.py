"""Planted bugs: each must be caught by an invariant of test_invariants.py, named beside it.

Slow: the invariant's case is computed again with each bug.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fairy.anchors.cache import AnchorCache
from fairy.editors.stock import sharing
from fairy.editors.stock.families import Family
from fairy.editors.stock.hooks import Run
from fairy.editors.stock.sharing import AnchorSharing
from tests.editors.stock import test_invariants as invariants
from tests.editors.stock.test_invariants import make_case

__all__ = ["make_case"]

pytestmark = pytest.mark.slow

Original = Callable[..., Any]


def _balance_is_lost(parts: Original) -> Original:
    return lambda self, *rest: [one._replace(bias=0.0) for one in parts(self, *rest)]


def _frames_read_none(others: Original) -> Original:
    return lambda self, run, own: [] if run.role == "frame" else others(self, run, own)


def _read_twice(others: Original) -> Original:
    return lambda self, run, own: [*others(self, run, own), own]


def _none_is_little(attend: Original) -> Original:
    def change(self: AnchorSharing, *rest: Any) -> Any:
        self.strength = self.strength or 0.01
        return attend(self, *rest)

    return change


def _steps_are_mixed_up(get: Original) -> Original:
    return lambda self, step, layer: get(self, min(self._steps), layer)


def _rows_are_mixed_up(for_frames: Original) -> Original:
    return lambda anchors, num_frames: anchors.repeat(num_frames, *[1] * (anchors.ndim - 1))


def _place_is_off_by_one(place: Original) -> Original:
    def change(self: Family, *rest: Any) -> slice:
        right = place(self, *rest)
        return slice(right.start - 1, right.stop - 1)

    return change


def _state_stays(attend: Original) -> Original:
    count = [0]

    def change(self: AnchorSharing, run: Run, stock: Any, qkv: Any, *rest: Any) -> Any:
        count[0] += 1
        return attend(self, run, stock, qkv, *rest) + 1e-3 * count[0]

    return change


def _anchors_see_themselves(exchanged: Original) -> Original:
    return lambda self, run, own: [own for _ in exchanged(self, run, own)]


def _rows_of_a_batch_are_swapped(stacked: Original) -> Original:
    return lambda letters, numbers: stacked(letters, numbers[::-1])


# Bug, where it is planted, the family, the invariant that must fail
PLANTED = {
    "a_still_clip_gives_the_stock_result": (_balance_is_lost, AnchorSharing, "_parts", "kontext"),
    "anchors_change_other_frames": (_frames_read_none, AnchorSharing, "_others", "kontext"),
    "anchors_change_each_other": (_anchors_see_themselves, AnchorSharing, "_exchanged", "kontext"),
    "one_anchor_alone_gives_the_stock_result": (_read_twice, AnchorSharing, "_others", "sdxl"),
    "strength_0_gives_the_stock_result": (_none_is_little, AnchorSharing, "attend", "kontext"),
    "step_by_step_is_the_whole_cache": (_steps_are_mixed_up, AnchorCache, "get", "kontext"),
    "batches_of_any_size_give_the_same": (_rows_are_mixed_up, sharing, "_for_frames", "sdxl"),
    "the_same_frame_again_is_the_same": (_state_stays, AnchorSharing, "attend", "kontext"),
    "anchors_in_lock_step_are_anchors_in_one_batch": (
        _rows_of_a_batch_are_swapped, sharing, "_stacked_others", "kontext",
    ),
    "the_image_is_where_the_noise_is": (_place_is_off_by_one, Family, "place", "kontext"),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_caught(make_case, frames, monkeypatch: pytest.MonkeyPatch, name: str):
    bug, where, attribute, family = PLANTED[name]
    invariant = getattr(invariants, f"test_{name}")
    make = make_case.__wrapped__
    given: dict[str, Callable[[], Any]] = {
        "case": lambda: make(family),
        "make_case": lambda: make,
        "frames": lambda: frames,
        "family": lambda: family,
        "monkeypatch": lambda: monkeypatch,
    }
    code = invariant.__code__

    def check() -> None:
        invariant(**{one: given[one]() for one in code.co_varnames[: code.co_argcount]})

    check()
    monkeypatch.setattr(where, attribute, bug(getattr(where, attribute)))
    with pytest.raises((AssertionError, RuntimeError)):
        check()
