"""A blend of two sessions: which frames, how much, and when the other one begins."""

from __future__ import annotations

import numpy as np

from fairy.editors.base import EditInput, EditSession
from fairy.editors.blend import BlendedSession


class Flat(EditSession):
    """Makes every frame one level."""

    batch_size = 4
    used = None

    def __init__(self, level: int) -> None:
        self.level, self.edited, self.closed = level, [], False

    @property
    def timing(self) -> dict[str, float]:
        return {"frames": 1.0}

    def edit(self, inputs):
        self.edited += [one.index for one in inputs]
        return np.full((len(inputs), 2, 2, 3), self.level, np.uint8)

    def close(self) -> None:
        self.closed = True


def frames(*numbers: int) -> list[EditInput]:
    return [EditInput(number, np.zeros((2, 2, 3), np.uint8)) for number in numbers]


def test_only_blended_frames_show_both():
    after, before = Flat(100), Flat(20)
    session = BlendedSession(after, lambda: before, {5: 0.25, 6: 0.75})
    assert session.edit(frames(4, 5, 6, 7))[:, 0, 0, 0].tolist() == [100, 40, 80, 100]
    assert before.edited == [5, 6]
    assert session.timing == {"frames": 2.0}
    session.close()
    assert after.closed
    assert before.closed


def test_the_other_session_begins_when_a_frame_needs_it():
    begun = []

    def begin():
        begun.append(1)
        return Flat(0)

    session = BlendedSession(Flat(9), begin, {5: 0.5})
    session.edit(frames(1, 2))
    session.close()
    assert not begun
    session.edit(frames(5))
    session.edit(frames(5))
    assert begun == [1]
