"""The anchors of a clip as pictures for people to edit: what `fairy anchors` does.

Tests: tests/jobs/test_keyframes.py, tests/control/test_keyframes.py.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from PIL import Image as PilImage

from fairy.anchors.selection import select_shot_anchors
from fairy.control.changes import Changes
from fairy.control.keyframes import LIST, digest, picture_name
from fairy.errors import OutputExistsError
from fairy.jobs.apart import check_apart
from fairy.jobs.shots import choose_shots
from fairy.jobs.word_masks import mask_file
from fairy.media.names import make_folder_of
from fairy.media.read import frames_at, probe
from fairy.media.write import check_new_file
from fairy.options import named_files
from fairy.settings import EditConfig


def export_anchors(
    source: Path | str, out: Path | str, config: EditConfig | None = None
) -> dict[int, Path]:
    """Write the anchors of a clip to the folder `out`, at full size, and a list of them.

    Args:
        source: a clip.
        out: a new or empty folder.
        config: settings; those of anchors, shots, masks and times matter.

    Returns:
        The pictures by the number of their frame.

    Raises:
        FairyError: the clip cannot be read, or the folder holds something.
    """
    source, out, config = Path(source), Path(out), config or EditConfig()
    inputs = {"the clip": source, **named_files(EditConfig, config, "read")}
    check_apart(inputs, {"the anchors": out})
    check_new_file(out, overwrite=True)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise OutputExistsError(f"{out}: already there: use a new or empty folder")
    info = probe(source, config)
    changes = Changes(config, info, mask=mask_file(config, info))
    shots = choose_shots(info, config)
    anchors = select_shot_anchors(shots, config.num_anchors, config.anchor_indices, changes.changed)
    numbers = [number for of_shot in anchors for number in of_shot]
    make_folder_of(out)
    with tempfile.TemporaryDirectory(prefix=".fairy-", dir=out.parent) as folder:
        part = Path(folder, "anchors")
        part.mkdir()
        listed = {}
        for number, frame in zip(numbers, frames_at(source, numbers, config), strict=True):
            path = part / picture_name(number)
            PilImage.fromarray(frame.image).save(path)
            listed[str(number)] = digest(path)
        document = {"clip": source.name, "num_frames": info.num_frames, "anchors": listed}
        (part / LIST).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        part.replace(out)
    return {number: out / picture_name(number) for number in numbers}
