"""What of Fairy needs no torch, in one run: help, info, clips, shots, manifests, settings.

Run by `tests/versions/run.py` with each Python and each set of libraries; needs no pytest.

    python tests/versions/smoke.py CLIP ...
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np

from fairy.jobs.manifest import SourceIdentity, clip_files
from fairy.jobs.settings_file import read_settings, save_settings
from fairy.media import VideoWriter, probe, read_frames, write_video
from fairy.media.shots import find_shots
from fairy.settings import EditConfig, MediaConfig

COMMANDS = ("edit", "batch", "info", "eval", "train", "doctor", "track")
SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")


def main() -> None:
    """Check everything; the first thing that is wrong ends it with a traceback."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rendered = render(folder / "rendered.mp4")
        for command in COMMANDS:
            fairy(command, "--help")
        assert "frames    24" in fairy("info", str(rendered))
        clips = [Path(clip) for clip in sys.argv[1:]] or [rendered]
        for clip, suffix in zip(clips, SUFFIXES, strict=False):
            round_trip(clip, folder / f"copy-{clip.stem}{suffix}")
        round_trip(rendered, folder / "copy.gif", same_times=False)
        assert find_shots(rendered, MediaConfig()) == ((0, 12), (12, 24))
        assert SourceIdentity.of(rendered).size_bytes == rendered.stat().st_size
        assert clip_files(rendered)
        config = EditConfig(seed=7, codec="hevc", num_anchors=2)
        save_settings(config, folder / "settings.json")
        assert EditConfig(**read_settings(folder / "settings.json")) == config
    heavy = {"torch", "diffusers", "transformers"} & sys.modules.keys()
    assert not heavy, f"imported without need: {sorted(heavy)}"


def render(path: Path) -> Path:
    """Write 24 frames with a cut in the middle."""
    y, x = np.mgrid[0:96, 0:128]
    frames = []
    for index in range(24):
        shade = (
            np.stack([x + 4 * index, y, 2 * y], -1) if index < 12 else np.stack([y, 255 - x, x], -1)
        )
        frames.append((shade % 256).astype(np.uint8))
    write_video(np.stack(frames), path, fps=Fraction(12))
    return path


def fairy(*words: str) -> str:
    """Run the command and return what it prints."""
    command = [sys.executable, "-m", "fairy", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, f"fairy {' '.join(words)}: {done.stderr}"
    return done.stdout


def round_trip(clip: Path, out: Path, *, same_times: bool = True) -> None:
    """Copy a clip and compare frames and times."""
    info = probe(clip)
    with VideoWriter(out, info=info, height=info.height, width=info.width) as writer:
        for frame in read_frames(clip):
            writer.write(frame.image, frame.pts, frame.time_base, frame.duration)
    copy = probe(out)
    assert (copy.num_frames, copy.height, copy.width) == (info.num_frames, info.height, info.width)
    for before, after in zip(read_frames(clip), read_frames(out), strict=True):
        assert not same_times or abs(before.time_s - after.time_s) <= Fraction(1, 1000)
        error = np.abs(before.image.astype(np.int16) - after.image).mean()
        assert error < 8, f"{clip}: mean error {error:.1f} levels as {out.suffix}"


if __name__ == "__main__":
    main()
