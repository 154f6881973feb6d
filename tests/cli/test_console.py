"""Progress and errors as they are shown."""

from __future__ import annotations

import io
import re
import time

from rich.console import Console

from fairy.cli.console import frame_progress


def test_a_batch_handed_on_at_once_is_no_burst_of_speed():
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100)
    with frame_progress(console, "clip.mp4: make\nit [red]") as advance:
        advance(92, 200)
        time.sleep(0.1)
        for done in range(93, 101):
            advance(done, 200)
    last = shown.getvalue().rsplit("clip.mp4: make it [red]", 1)[1]
    assert "100/200" in last
    # At most 8 frames in the 0.1 s since the first call, and 100 to do
    assert 0 < float(re.search(r"([\d.]+) frames/s", last)[1]) <= 80
    assert "0:00:00" not in last
