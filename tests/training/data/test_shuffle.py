"""The order of a data set."""

from __future__ import annotations

import pytest

from fairy.training.data.shuffle import ShuffledOrder

BLOCKS = [3, 1, 4, 0, 2, 5]
TOTAL, HELD_OUT = 15, 2


def order(window: int = 5, seed: int = 0) -> ShuffledOrder:
    return ShuffledOrder(BLOCKS, window, HELD_OUT, seed)


def epoch(source: ShuffledOrder, number: int) -> list[tuple[int, int]]:
    count = TOTAL - HELD_OUT
    return [source.at(position) for position in range(number * count, (number + 1) * count)]


def test_every_epoch_has_each_example_once_but_those_held_out() -> None:
    everything = [(block, row) for block, size in enumerate(BLOCKS) for row in range(size)]
    for number in range(3):
        assert sorted(epoch(order(), number)) == everything[HELD_OUT:]


def test_epochs_and_seeds_have_other_orders() -> None:
    orders = [epoch(order(), 0), epoch(order(), 1), epoch(order(seed=1), 0)]
    assert all(first != second for first in orders for second in orders if first is not second)


def test_a_position_does_not_depend_on_what_was_asked_before() -> None:
    asked = order()
    asked.at(40)
    assert asked.at(7) == order().at(7)


def test_blocks_of_other_windows_are_not_mixed() -> None:
    source = ShuffledOrder([4] * 10, 8, 0, 0)
    blocks = [source.at(position)[0] for position in range(40)]
    windows = [set(blocks[start : start + 8]) for start in range(0, 40, 8)]
    assert [len(window) for window in windows] == [2] * 5
    assert blocks[:8] != sorted(blocks[:8])


def test_place_is_by_the_number_in_the_data_set() -> None:
    assert [order().place(example) for example in (0, 2, 3, 4, 8)] == [
        (0, 0),
        (0, 2),
        (1, 0),
        (2, 0),
        (4, 0),
    ]


def test_nothing_left_is_refused() -> None:
    with pytest.raises(ValueError, match="20 held out of 15 examples"):
        ShuffledOrder(BLOCKS, 5, 20, 0)
