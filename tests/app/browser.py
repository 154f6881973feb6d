"""A real browser on the page: FAIRY_CHROMIUM names it, tests/app/get_browser.sh gets one."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import playwright.sync_api as playwright
import pytest

from fairy.app.library import slug

CHROMIUM = os.environ.get("FAIRY_CHROMIUM") or shutil.which("chromium")
AXE = os.environ.get("FAIRY_AXE")
FLAGS = [
    "--no-sandbox", "--no-zygote", "--in-process-gpu", "--use-gl=angle",
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip
WAIT_MS = 30_000

needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium: bash tests/app/get_browser.sh"
)


class Window:
    """A browser's window on the page, and the requests that it made to other hosts."""

    def __init__(self, browser: playwright.Browser, url: str, **options: object) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.strangers: list[str] = []
        self.page.on("request", self._note)
        self.page.goto(url)

    def _note(self, request: playwright.Request) -> None:
        if not re.match(r"(https?://(127\.0\.0\.1|localhost)[:/])|data:|blob:", request.url):
            self.strangers.append(request.url)

    def opened(self) -> Window:
        """Wait until the page is there."""
        self.page.wait_for_selector("#edit")
        return self

    def log_in(self, name: str, password: str) -> Window:
        """Pass the page's login."""
        self.page.get_by_label("username").fill(name)
        self.page.get_by_label("password").fill(password)
        self.page.get_by_role("button", name="Login").click()
        return self.opened()

    def upload(self, clip: Path) -> None:
        """Give the page a clip, and wait until it says what the clip holds."""
        self.page.set_input_files("#clip input[type=file]", clip)
        self.page.wait_for_selector(f"#clip-info strong:text-is('{clip.name}')")

    def ask(self, instruction: str) -> None:
        """Type an instruction."""
        self.page.get_by_label("What to change").fill(instruction)

    def edit(self, instruction: str) -> None:
        """Edit the clip, and wait for the result."""
        self.ask(instruction)
        self.page.click("#edit")
        self.page.wait_for_selector(f"#stage video.edit[src*='-{slug(instruction)}.']")

    def download(self, button: str, path: Path) -> Path:
        """Download what a button gives to `path`."""
        with self.page.expect_download() as download:
            self.page.click(button)
        download.value.save_as(path)
        return path

    def choose(self, button: str, path: Path) -> None:
        """Click a button that asks for a file, and give it one."""
        with self.page.expect_file_chooser() as chooser:
            self.page.click(button)
        chooser.value.set_files(path)

    def expand(self, name: str) -> None:
        """Open an accordion."""
        self.page.click(f"button.label-wrap:has(span:text-is('{name}'))")

    def message(self, words: str) -> str:
        """Wait until the page's message has these words, and return it."""
        message = self.page.wait_for_selector(f"#message .prose:has-text('{words}')")
        return message.inner_text()

    def refusal(self) -> str:
        """Return what the page refuses in a corner."""
        return self.page.wait_for_selector(".toast-body.error").inner_text()

    def times(self) -> tuple[float, float]:
        """Return the times that edit and source show, read in one go."""
        return self.page.evaluate(
            "() => ['edit', 'source'].map((name) => "
            "document.querySelector(`video.${name}`).currentTime)"
        )
