"""Reads and writes the clips it is given, without torch; test_compat.py runs it with any Python.

It writes a JSON line for each clip, which must not depend on the versions of Python and PyAV.
"""

from __future__ import annotations

import json
import sys
import tempfile
from itertools import islice
from pathlib import Path

NUM_FRAMES = 20


def round_trip(source: Path) -> dict[str, object]:
    import numpy as np

    from fairy.media import VideoWriter, probe, read_frame_at, read_frames
    from fairy.media.shots import find_shots
    from fairy.settings import MediaConfig

    info = probe(source)
    frames = list(islice(read_frames(source), NUM_FRAMES))
    middle = len(frames) // 2
    assert (read_frame_at(source, [middle])[0].image == frames[middle].image).all()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out.mp4")
        with VideoWriter(out, info=info, height=info.height, width=info.width) as writer:
            for frame in frames:
                writer.write(frame.image, frame.pts, frame.time_base, frame.duration)
        again = list(read_frames(out))
        copied = probe(out)
    errors = [np.abs(a.image.astype(int) - b.image[: info.height, : info.width]).mean()
              for a, b in zip(frames, again, strict=True)]  # fmt: skip
    return {
        "name": source.name,
        "num_frames": info.num_frames,
        "colours": (copied.colorspace, copied.color_primaries, copied.color_trc),
        "shots": find_shots(source, MediaConfig()),
        "sound": [(audio.codec, audio.sample_rate) for audio in copied.audio],
        "times": [str(frame.time_s) for frame in again],
        # PyAV 16 takes chroma to be centred: colours differ at edges, not on average
        "levels": [[float(level) for level in f.image.mean(axis=(0, 1))] for f in frames],
        "is_close": bool(np.mean(errors) < 2),
    }


if __name__ == "__main__":
    # Any import of torch fails from here on
    sys.modules["torch"] = None  # type: ignore[assignment]
    for name in sys.argv[1:]:
        sys.stdout.write(json.dumps(round_trip(Path(name))) + "\n")
