"""Several edits of one clip, one after the other: each takes what the one before made.

For instructions of two edits in one ("make it night and snowy") and a model that knows each alone.
Tests: tests/editors/test_chain.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fairy.editors.base import Anchor, EditInput, Editor, EditSession, UsedSettings
from fairy.media.colours import Image
from fairy.settings import EditConfig


def begin_all(
    editor: Editor,
    prompts: Sequence[str],
    anchors: Sequence[Anchor],
    settings: EditConfig,
    *,
    size: tuple[int, int],
    anchor_store: Path | None = None,
) -> EditSession:
    """Begin the edits `prompts`, at least one, as one session.

    The other arguments are those of `Editor.begin`. The anchors of several edits are not stored.
    """
    if len(prompts) == 1:
        return editor.begin(prompts[0], anchors, settings, size=size, anchor_store=anchor_store)
    sessions: list[EditSession] = []
    try:
        for prompt in prompts:
            # A person's picture is the result of all edits, so it is that of the last
            given = [one if prompt == prompts[-1] else replace(one, edited=None) for one in anchors]
            sessions.append(editor.begin(prompt, given, settings, size=size))
            inputs = [EditInput(one.index, one.source, one.mask) for one in anchors]
            edited = sessions[-1].edit(inputs)
            anchors = [
                replace(one, source=image) for one, image in zip(anchors, edited, strict=True)
            ]
    except BaseException:
        for session in sessions:
            session.close()
        raise
    return ChainedSession(sessions)


class ChainedSession(EditSession):
    """Sessions of which each edits what the one before it returns.

    Args:
        sessions: in their order, at least one.
    """

    def __init__(self, sessions: Sequence[EditSession]) -> None:
        self._sessions = tuple(sessions)

    @property
    def batch_size(self) -> int:
        """Frames that every session can edit together."""
        return min(session.batch_size for session in self._sessions)

    def edit(self, inputs: Sequence[EditInput]) -> Image:
        """Return the edited frames, uint8 (F,H,W,3), in the order of `inputs`."""
        for session in self._sessions:
            images = session.edit(inputs)
            inputs = [replace(one, source=image) for one, image in zip(inputs, images, strict=True)]
        return images

    @property
    def used(self) -> UsedSettings:
        """Those of the last edit, with the steps of all and the smallest batch."""
        used = [session.used for session in self._sessions]
        return replace(
            used[-1],
            num_inference_steps=sum(one.num_inference_steps for one in used),
            frame_batch_size=self.batch_size,
        )

    @property
    def timing(self) -> dict[str, float]:
        """Seconds by stage, of all edits together."""
        seconds: Counter[str] = Counter()
        for session in self._sessions:
            seconds.update(session.timing)
        return dict(seconds)

    def close(self) -> None:
        """Close every session."""
        for session in self._sessions:
            session.close()
