"""Edit frames while something looks at, or changes, how they attend to the anchors: any editor.

Tests: tests/analysis/test_watching.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

from fairy.anchors.attention_hooks import Change, observed
from fairy.anchors.backends import Backend, choose_backend
from fairy.editors.base import Anchor
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.editors.ip2p.session import CallOptions, Ip2pSession
from fairy.editors.loading import LoadedEditor
from fairy.editors.stock.editor import StockEditor
from fairy.editors.stock.session import StockSession
from fairy.settings import EditConfig


@contextmanager
def watched(
    editor: LoadedEditor,
    prompt: str,
    anchors: Sequence[Anchor],
    settings: EditConfig,
    change: Change,
    *,
    size: tuple[int, int],
    backend: str | Backend = "auto",
    decode: bool = True,
) -> Iterator[Ip2pSession | StockSession]:
    """Yield an edit of frames whose attention to the anchors passes through `change`.

    Args:
        editor: the model.
        prompt: the instruction.
        anchors: sorted by index; they are edited unchanged.
        settings: of the edit.
        change: what is attended to instead; returning its argument only looks.
        size: (height, width) at which the model works.
        backend: how attention is computed; an object for InstructPix2Pix models only.
        decode: whether results are needed; a stock pipeline decodes them anyway.
    """
    if isinstance(editor, FairyPipeline):
        inner = choose_backend(backend, editor._execution_device)
        with observed(editor.unet, inner, change) as changed:
            options = CallOptions(backend=changed, decode=decode)
            with editor.begin(prompt, anchors, settings, size=size, options=options) as session:
                yield session
        return
    stock = cast("StockEditor", editor)
    with stock.begin(prompt, anchors, settings, size=size) as stock_session:
        stock_session.watch(change)
        yield stock_session
