"""The sheets of docs/control.md: five frames of a rendered clip, source and result.

    python benchmarks/quality/control_sheets.py [--out docs/sheets] [--only mask]
    python benchmarks/quality/control_sheets.py --seen-of CLIP

The second draws what ControlNets see of a clip of yours: its edges and its lines, without a model.
Key frames have a sheet of their own (`keyframes.py`).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PIL import Image

from fairy import FairyPipeline, edit_video, probe, read_video, write_video
from fairy.editors.stock.control_images import edges, lines
from fairy.media.contact_sheet import contact_sheet
from fairy.media.frames import fit_size, resize, to_images
from fairy.media.read import read_frame_at
from fairy.settings import EditConfig, MediaConfig
from fairy.synthetic.moving_scenes import sample_clip
from fairy.synthetic.samplers import ClearSceneSampler

NUM_FRAMES, SIZE = 9, (192, 256)
SHOWN = (0, 2, 4, 6, 8)
# Both instructions, and the frames in which they change
SHOWN_OF = {"schedule": (1, 3, 4, 6, 7)}
SEEN_PX = 512
LOSSLESS = {"codec": "ffv1", "pix_fmt": "bgr0"}


def write_clip(folder: Path) -> Path:
    """Write a clip, and the masks of one of its objects to `masks`; return the clip."""
    generator = torch.Generator().manual_seed(0)
    clip = sample_clip(ClearSceneSampler(), NUM_FRAMES, SIZE, generator)
    write_video(
        to_images(clip.frames * 2 - 1), folder / "clip.mkv", fps=10, media=MediaConfig(**LOSSLESS)
    )
    largest = 1 + int(torch.bincount(clip.labels.flatten(), minlength=4)[1:].argmax())
    mask = (clip.labels == largest).numpy().astype(np.uint8) * 255
    write_video(np.repeat(mask[..., None], 3, axis=-1), folder / "masks")
    return folder / "clip.mkv"


def sheets(folder: Path) -> dict[str, dict[str, tuple[str, dict[str, object]]]]:
    """Return, for each sheet, an instruction and settings by the row's label."""
    night = "make it night"
    schedule = folder / "schedule.json"
    schedule.write_text('{"3": "make it sepia", "6": ""}')
    return {
        "mask": {
            "--mask": (night, {"mask": str(folder / "masks")}),
            "--mask --mask-grow 6 --mask-feather 12": (
                night,
                {"mask": str(folder / "masks"), "mask_grow": 6, "mask_feather": 12},
            ),
            "--mask --mask-invert": (night, {"mask": str(folder / "masks"), "mask_invert": True}),
        },
        "region": {"--region 60,40,90,80": ("make it sepia", {"region": (60, 40, 90, 80)})},
        "part": {
            "--from 2 --to 8 --fade 2": (night, {"edit_from": "2", "edit_to": "8", "fade": "2"})
        },
        "schedule": {
            f"--schedule {schedule.read_text()}{label}": (
                night,
                {"schedule": schedule, "blend": blend},
            )
            for label, blend in (("", None), (" --blend 2", "2"))
        },
        "strength": {
            f"--strength {strength}": (night, {"strength": strength})
            for strength in (0.3, 0.6, 1.0)
        },
    }


def draw_seen(clip: Path, out: Path) -> None:
    """Draw five frames of a clip as `--control canny` and `--control lineart` see them."""
    last = probe(clip).num_frames - 1
    shown = [round(last * number / (len(SHOWN) - 1)) for number in range(len(SHOWN))]
    whole = [frame.image for frame in read_frame_at(clip, shown)]
    # At the size at which an edit sees them
    size = fit_size(*whole[0].shape[:2], size=SEEN_PX, multiple=8)
    frames = [resize(frame, size) for frame in whole]
    rows = [frames, [edges(frame) for frame in frames], [lines(frame) for frame in frames]]
    labels = ["source", "what --control canny sees", "what --control lineart sees"]
    drawn = contact_sheet(rows, labels, cell_height=128)
    Image.fromarray(drawn).save(out / "control_seen.png", optimize=True)


def main() -> None:
    """Edit and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/sheets"))
    parser.add_argument("--only", help="the name of one sheet, as in mask")
    parser.add_argument("--seen-of", type=Path, metavar="CLIP", help="draw what ControlNets see")
    arguments = parser.parse_args()
    if arguments.seen_of is not None:
        draw_seen(arguments.seen_of, arguments.out)
        return
    pipe = FairyPipeline.from_pretrained("mini")
    with tempfile.TemporaryDirectory() as name:
        clip = write_clip(Path(name))
        for sheet, edits in sheets(Path(name)).items():
            if arguments.only not in (None, sheet):
                continue
            shown = list(SHOWN_OF.get(sheet, SHOWN))
            rows, labels = [read_video(clip)[shown]], ["source"]
            for number, (label, (instruction, settings)) in enumerate(edits.items()):
                out = Path(name, f"{sheet}{number}.mkv")
                config = EditConfig(shots="off", **LOSSLESS, **settings)  # type: ignore[arg-type]
                edit_video(clip, instruction, out, config, pipeline=pipe)
                rows.append(read_video(out)[shown])
                labels.append(f"“{instruction}” {label}")
            drawn = contact_sheet([list(row) for row in rows], labels, cell_height=128)
            Image.fromarray(drawn).save(arguments.out / f"control_{sheet}.png", optimize=True)


if __name__ == "__main__":
    main()
