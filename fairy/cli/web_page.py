"""`fairy app`: the web page. Tests: tests/cli/test_web_page.py."""

from __future__ import annotations

from fairy.cli.console import needs_extra, say, terminal
from fairy.cli.options import with_options
from fairy.settings import Compute, PageOptions


@with_options(PageOptions, "options")
@with_options(Compute, "compute")
def web_page(options: PageOptions, compute: Compute) -> None:
    """Open a page in the browser to edit clips.

    It shows the anchors first, then edits the whole clip.

    It is on this machine alone unless --host says otherwise. Ctrl-C ends it.
    """
    with needs_extra("fairy app", "app"):
        from fairy.app.server import serve

    console = terminal()
    serve(options, compute, say=lambda text: say(console, text))
