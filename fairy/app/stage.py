"""What the page shows as HTML: messages, what a clip holds, a running job, the player.

Scripts and looks: player.js, page.css. Tests: tests/app/test_page.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from html import escape
from pathlib import Path
from urllib.parse import quote

from fairy.app.studio import Running, data_url
from fairy.media.info import VideoInfo

HINT = '<div class="hint">Choose a clip, say what to change, and the result appears here.</div>'


def told(what: str, text: str = "", notes: Sequence[str] = ()) -> str:
    """Return a message: what came of it, what that means, and what else is to be known."""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    listed = f"<ul>{items}</ul>" if items else ""
    return f'<p role="status"><strong>{escape(what)}</strong> {escape(text)}</p>{listed}'


def refused(text: str) -> str:
    """Return an error as a message."""
    return f'<p role="alert">{escape(text)}</p>'


def clip_facts(name: str, info: VideoInfo, notes: Sequence[str]) -> str:
    """Return what a clip holds, in a line, and a line for each note."""
    sound = ", ".join(stream.codec for stream in info.audio) or "no sound"
    held = [
        f"{info.num_frames} frames",
        f"{info.duration_s:.1f} s",
        f"{info.width}×{info.height}",
        f"{float(info.fps):.4g} frames/s",
        info.codec,
        sound,
    ]
    line = " · ".join([f"<strong>{escape(name)}</strong>", *map(escape, held)])
    return f"<p>{line}</p>" + "".join(f"<p>{escape(note)}</p>" for note in notes)


def file_url(path: Path) -> str:
    """Return the address of a served file, relative to the page."""
    return "gradio_api/file=" + quote(str(path))


def player(source: Path, edit: Path | None = None) -> str:
    """Return a player of the source alone, or of the edit with a wipe to the source."""
    # The edit has the sound; the source follows it
    videos = _video(edit or source, "edit")
    wipe = ""
    if edit is not None:
        videos += _video(source, "source over", "muted")
        videos += '<div class="edge"></div>'
        videos += '<span class="tag left">Source</span><span class="tag right">Edit</span>'
        wipe = (
            '<label>Source <input class="wipe" type="range" min="0" max="100" value="50" '
            'aria-label="Share of the picture that shows the source"> Edit</label>'
        )
    return (
        f'<div class="player" style="--wipe: 50%"><div class="screen">{videos}</div>'
        '<div class="controls"><button class="play" type="button">Play</button>'
        '<input class="seek" type="range" min="0" max="1000" value="0" aria-label="Time">'
        f'<span class="time">0:00</span>{wipe}'
        '<button class="full" type="button">Full screen</button></div></div>'
    )


def _video(path: Path, kind: str, attributes: str = "") -> str:
    return (
        f'<video class="{kind}" src="{escape(file_url(path))}" preload="auto" playsinline '
        f"{attributes}></video>"
    )


def running(now: Running, what: str) -> str:
    """Return how far a job is, with its newest frame."""
    picture = ""
    if now.picture is not None:
        picture = f'<img src="{data_url(now.picture)}" alt="The newest edited frame">'
    value = f' value="{now.done}" max="{now.total}"' if now.total else ""
    return (
        f'<div class="running">{picture}<div class="state">'
        f'<progress{value} aria-label="Progress"></progress>'
        f'<p role="status">{escape(running_text(now, what))}</p></div></div>'
    )


def running_text(now: Running, what: str) -> str:
    """Return how far a job is in words.

    >>> running_text(Running(done=30, total=75, fps=5.0, left_s=9.0), "Editing")
    'Editing: 30 of 75 frames, 5.0 frames/s, 0:00:09 left'
    """
    if not now.total:
        return f"{what}…"
    text = f"{what}: {now.done} of {now.total} frames"
    if now.left_s is None:
        return text
    return f"{text}, {now.fps:.1f} frames/s, {timedelta(seconds=round(now.left_s))} left"
