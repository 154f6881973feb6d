"""The table of docs/memory.md: how many frames at a time fit, by size, anchors and card.

    python benchmarks/memory/memory_table.py

It prints Markdown; `fairy doctor --plan` prints the details of one size.
"""

from __future__ import annotations

import argparse
import sys
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.clips import parse_size, size_words
from benchmarks.lib.pages import markdown_table
from fairy.doctor.memory_plan import CARDS_GB, Fit, MemoryPlan, plan_memory
from fairy.settings import EditConfig
from fairy.system import GIB

SIZES = ((384, 512), (432, 768), (720, 1280))


def cell(plan: MemoryPlan, card_gb: int) -> str:
    """Return the frames at a time and, after a slash, with the cache in the host's memory."""
    fits = (plan.fit(card_gb * GIB, cache_far=cache_far) for cache_far in (False, True))
    return " / ".join(words(fit) for fit in fits)


def words(fit: Fit | None) -> str:
    """Return how many frames fit, or a dash."""
    return "–" if fit is None else str(fit.num_frames)


def row_of(model: str, size: tuple[int, int], num_anchors: int) -> list[str]:
    """Return the row of one size and number of anchors."""
    plan = plan_memory(size, EditConfig(model=model, size=max(size), num_anchors=num_anchors))
    least = " / ".join(f"{plan.least(cache_far=far) / GIB:.1f}" for far in (False, True))
    cache = f"{plan.near.cache / GIB:.1f}"
    at = size_words(plan.shape.size)
    return [at, str(num_anchors), cache, least, *(cell(plan, card) for card in CARDS_GB)]


def main() -> None:
    """Print a row for each size and number of anchors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="sd15")
    parser.add_argument("--anchors", type=int, nargs="+", default=[1, 3, 6])
    parser.add_argument("--sizes", type=parse_size, nargs="+", default=SIZES, metavar="WxH")
    args = parser.parse_args()
    columns = ["works at", "anchors", "cache, GiB", "at least, GiB"]
    rows = [row_of(args.model, *shape) for shape in product(args.sizes, args.anchors)]
    print(markdown_table([*columns, *(f"{card} GB" for card in CARDS_GB)], rows))


if __name__ == "__main__":
    main()
