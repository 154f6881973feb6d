"""`fairy info`: describe a clip. Tests: tests/cli/test_info.py."""

from __future__ import annotations

import typer

from fairy.cli.console import Clip, say, terminal


def info(context: typer.Context, clip: Clip) -> None:
    """Print a clip's frames, timestamps, size, colours and audio."""
    from fairy.jobs.info import describe_clip
    from fairy.media.decoding.stdin import clip_from

    console = terminal()
    for name, value in describe_clip(context.with_resource(clip_from(clip))):
        say(console, f"{name:<10}{value}")
