"""Serve the page. Tests: tests/app/test_api.py, tests/cli/test_web_page.py."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

# Before the import: no request leaves this machine
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr

from fairy.app.layout import HERE
from fairy.app.library import clean
from fairy.app.page import Page
from fairy.app.studio import Studio
from fairy.errors import SettingsError
from fairy.settings import Compute, PageOptions

CLEAN_EVERY_S = 3600


def serve(
    options: PageOptions,
    compute: Compute | None = None,
    *,
    say: Callable[[str], None] = print,
    block: bool = True,
) -> tuple[Page, str]:
    """Serve the page until interrupted, or in the background with `block` off.

    Args:
        options: address, users, limits and folder.
        compute: the model and where it runs.
        say: prints the address.
        block: wait until the process is interrupted.

    Returns:
        The page and its address.

    Raises:
        SettingsError: the address cannot be used.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    studio = Studio(options, compute or Compute())
    page = Page(studio)
    page.blocks.queue(max_size=options.max_waiting)
    try:
        _, url, _ = page.blocks.launch(
            server_name=options.host,
            server_port=options.port,
            auth=[tuple(entry.split(":", 1)) for entry in options.auth] or None,
            share=False,
            allowed_paths=[str(studio.root)],
            max_file_size=f"{options.max_mb}mb",
            theme=_theme(),
            css_paths=HERE / "page.css",
            footer_links=[],
            run_history=False,
            quiet=True,
            prevent_thread_lock=True,
            inbrowser=options.open,
            show_error=True,
        )
    except OSError as error:
        raise SettingsError(
            f"{options.host}:{options.port or 7860}: {error.strerror or error}: choose another "
            "--port, or leave it out"
        ) from error
    say(f"Fairy is at {url}")
    _clean_again_and_again(studio)
    if block:
        page.blocks.block_thread()
    return page, url


def _clean_again_and_again(studio: Studio) -> None:
    clean(studio.root, studio.options.keep_days)
    again = threading.Timer(CLEAN_EVERY_S, _clean_again_and_again, (studio,))
    again.daemon = True
    again.start()


def _theme() -> gr.themes.Base:
    """Return a quiet theme with the system's fonts, which need no request to another host."""
    sans, mono = ["system-ui", "sans-serif"], ["ui-monospace", "monospace"]
    return gr.themes.Base(
        primary_hue="indigo", neutral_hue="zinc", radius_size="lg", font=sans, font_mono=mono
    )
