"""Two edits of the same frames, one blended into the other: from one instruction to the next.

Tests: tests/editors/test_blend.py, tests/jobs/test_schedule.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fairy.editors.base import EditInput, EditSession, UsedSettings
from fairy.media.colours import Image


class BlendedSession(EditSession):
    """A session whose first frames still show what another makes of them.

    Args:
        session: edits all frames.
        begin_before: begins the other session; called when the first frame needs it.
        shares: how much of `session` is in each blended frame, by its number; the others are
            those of `session` alone.
    """

    def __init__(
        self,
        session: EditSession,
        begin_before: Callable[[], EditSession],
        shares: Mapping[int, float],
    ) -> None:
        self._session, self._begin_before, self._shares = session, begin_before, shares
        self._before: EditSession | None = None

    @property
    def batch_size(self) -> int:
        """Frames that are edited together."""
        return self._session.batch_size

    def edit(self, inputs: Sequence[EditInput]) -> Image:
        """Return the edited frames, uint8 (F,H,W,3), in the order of `inputs`."""
        images = self._session.edit(inputs)
        blended = [place for place, one in enumerate(inputs) if one.index in self._shares]
        if not blended:
            return images
        if self._before is None:
            self._before = self._begin_before()
        images = images.copy()
        before = self._before.edit([inputs[place] for place in blended]).astype(np.float32)
        for place, old in zip(blended, before, strict=True):
            share = self._shares[inputs[place].index]
            images[place] = (old + share * (images[place] - old)).round()
        return images

    @property
    def used(self) -> UsedSettings:
        """Those of the session that edits all frames."""
        return self._session.used

    @property
    def timing(self) -> dict[str, float]:
        """Seconds by stage, of both sessions."""
        seconds = Counter(self._session.timing)
        if self._before is not None:
            seconds.update(self._before.timing)
        return dict(seconds)

    def close(self) -> None:
        """Close both sessions."""
        self._session.close()
        if self._before is not None:
            self._before.close()
