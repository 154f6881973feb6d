"""Every option of where, when and like what, typed wrongly: one line, exit code 2, no file.

A table, run in this process; nothing may be in the folder afterwards that was not there before.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from examples.tiny_editor import make_tiny_editor
from fairy.media.write import write_video
from tests.test_bad_input import assert_one_line, run
from tests.tiny import make_frames, save_tiny_pipeline

__all__ = ["run"]

HEIGHT, WIDTH, NUM_FRAMES = 48, 64, 5
SCHEDULES = {
    "twice": {"0.2s": "make it snow", "2": "make it night"},
    "late": {"101%": "make it snow"},
    "past": {"6": "make it snow"},
    "end": {"5": "make it snow"},
    "when": {"soon": "make it snow"},
    "number": {"1": 7},
    "much": {"1": {"text": "make it snow", "strength": 2}},
    "other": {"1": {"text": "make it snow", "speed": 2}},
    "nothing": {"0": ""},
    "two": {"2": "make it snow"},
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip, models, masks, key frames, schedules, and what is none of them."""
    folder = tmp_path_factory.mktemp("desk")
    write_video(make_frames(NUM_FRAMES, HEIGHT, WIDTH), folder / "clip.mp4", fps=10)
    write_video(make_frames(1, HEIGHT, WIDTH), folder / "one.png")
    white = np.full((NUM_FRAMES, HEIGHT, WIDTH, 3), 255, np.uint8)
    dot = np.zeros((1, HEIGHT, WIDTH, 3), np.uint8)
    dot[:, 20:30, 20:30] = 255
    for name, masks in {
        "dot.png": dot,
        "white.png": white[:1],
        "black.png": 0 * white[:1],
        "wide.png": white[:1, :20],
        "masks": white,
        "three": white[:3],
        "short.mkv": white[:2],
    }.items():
        write_video(masks, folder / name, fps=10)
    for name, entries in SCHEDULES.items():
        (folder / f"{name}.json").write_text(json.dumps(entries))
    (folder / "list.json").write_text("[1]")
    for name in ("text.png", "text.json", "text.mp4", "junk.safetensors"):
        (folder / name).write_text("dear diary")
    (folder / "empty").mkdir()
    save_tiny_pipeline(folder / "model", size=32, num_inference_steps=1)
    make_tiny_editor("kontext").save_pretrained(folder / "kontext")
    (folder / "kontext" / "fairy.json").write_text('{"size": 64, "num_inference_steps": 1}')
    return folder


@pytest.mark.parametrize(
    ("options", "words"),
    [
        # Masks
        ("--mask gone.png", "mask gone.png: no such file"),
        ("--mask gone/", "no such file or folder"),
        ("--mask text.png", "not an image that can be read"),
        ("--mask text.mp4", "not a video"),
        ("--mask empty", "a folder is read as a clip when it holds"),
        ("--mask wide.png", "64x20 is not of the clip's shape, 64x48"),
        ("--mask three", "3 masks for 5 frames"),
        ("--mask short.mkv", "2 masks (0.2 s) for 5 frames"),
        ("--mask black.png", "--mask-invert swaps the two"),
        ("--mask white.png --mask-invert", "black in every frame"),
        ("--mask dot.png --mask-grow -9", "black in every frame"),
        ("--mask 'red car'", "no such file, and to find it by words"),
        ("--mask clip.mp4/mask.png", "no such file"),
        ("--mask-invert", "there is none: give --mask or --region"),
        ("--mask-grow 3", "there is none: give --mask or --region"),
        ("--mask-feather 3", "there is none: give --mask or --region"),
        ("--mask white.png --mask-grow 1.5", "give a whole number"),
        ("--mask white.png --mask-grow 99999", "at most 8192"),
        ("--mask white.png --mask-feather -1", "at least 0"),
        ("--mask white.png --mask-strength 2", "from 0 to 1"),
        ("--mask white.png --mask-strength nan", "from 0 to 1"),
        ("--save-masks kept", "there is no mask: give --mask or --region"),
        ("--mask white.png --save-masks clip.mp4", "give it another name"),
        ("--mask white.png --save-masks kept.png", "use a name without a ."),
        ("--mask white.png --save-masks masks", "masks"),
        # Regions
        ("--region 0,0,65,48", "leaves the frame, which is 64x48"),
        ("--region 0,0,0,5", "it has no area"),
        ("--region 1,2,3", "as in 100,50,320,240"),
        ("--region a,b,c,d", "as in 100,50,320,240"),
        ("--region=-1,0,5,5", "at least 0"),
        # Times
        ("--from 6", "--from 6 is past the end of the clip, which has 5 frames"),
        ("--to 101%", "--to 101% is past the end of the clip"),
        ("--to 9s", "--to 9s is past the end of the clip"),
        ("--from soon", "give a frame (100), seconds (4.5s)"),
        ("--from=-1", "give a frame (100), seconds (4.5s)"),
        ("--from 3 --to 2", "the first must be before the last"),
        ("--to 0", "the first must be before the last"),
        ("--fade 2", "give --from or --to"),
        ("--from 1 --fade soon", "give frames (12) or seconds (0.5s)"),
        ("--from 1 --fade 50%", "give frames (12) or seconds (0.5s)"),
        ("--from 1 --fade 5", "use a shorter one"),
        # Schedules
        ("--schedule gone.json", "cannot be read"),
        ("--schedule empty", "cannot be read"),
        ("--schedule text.json", "is not JSON"),
        ("--schedule list.json", "is no schedule"),
        ("--schedule twice.json", "are both frame 2: give one of them"),
        ("--schedule late.json", "101% is past the end"),
        ("--schedule past.json", "6 is past the end"),
        ("--schedule end.json", "is the end of the clip; leave it out"),
        ("--schedule when.json", "give a frame (100), seconds (4.5s)"),
        ("--schedule number.json", "give a text, or"),
        ("--schedule much.json", "much.json"),
        ("--schedule other.json", "other.json"),
        ("--schedule nothing.json", "nothing would change"),
        ("--blend 2", "give more with --schedule"),
        ("--schedule two.json --blend 9", "use a shorter one"),
        ("--schedule two.json --blend soon", "give frames (12) or seconds (0.5s)"),
        ("--strength 1.5", "from 0 to 1"),
        ("--strength all", "give a number"),
        # Key frames
        ("--keyframes gone", "cannot be read"),
        ("--keyframes masks", "give a folder of `fairy anchors`"),
        ("--keyframe 9=one.png", "the clip has frames 0 to 4"),
        ("--keyframe 1=gone.png", "no such file"),
        ("--keyframe 1=text.png", "not an image that can be read"),
        ("--keyframe 1=clip.mp4", "not a picture"),
        ("--keyframe one.png", "as in 40=a.png"),
        ("--keyframe=-1=one.png", "as in 40=a.png"),
        ("--keyframe 1=one.png --keyframe 1=white.png", "given twice"),
        # References and adapters
        ("--ref gone.png", "ref gone.png: no such file"),
        ("--ref clip.mp4", "has 5 frames; give one picture"),
        ("--ref text.png", "not an image that can be read"),
        ("--ref one.png", "give --ip-adapter, or use a --model that takes several"),
        ("--ip-adapter junk.bin", "only .safetensors files are loaded"),
        ("--ip-adapter gone.safetensors", "no such file"),
        ("--ip-adapter junk.safetensors", "cannot be loaded"),
        ("--ip-adapter junk.safetensors:x", "junk.safetensors:x"),
        ("--ip-adapter no-one/nothing/a.safetensors", "not in the cache; hf download"),
        # ControlNets
        ("--control lines", "use ip2p, canny, depth, pose, lineart"),
        ("--control canny:-1", "the factor must be at least 0"),
        ("--control canny,canny", "given twice"),
        ("--control canny", "edits by itself (InstructPix2Pix) and takes no ControlNet"),
        ("--control canny --quantize nf4", "not with --control"),
        ("--control canny --fp8", "--fp8"),
        ("--control canny --ip-adapter junk.safetensors", "leave --ip-adapter out"),
        # What a stock pipeline cannot do
        ("--model kontext --mask white.png", "use --mask-strength 0"),
        ("--model kontext --keyframe 1=one.png", "edits its anchors itself; leave them out"),
        ("--model kontext --strength 0.5", "makes whole edits only; leave it out"),
        ("--model kontext --ref one.png", "leave --ref out, or use another --model"),
        ("--model kontext --ip-adapter junk.safetensors", "leave --ip-adapter out"),
        ("--model kontext --control canny", "needs a checkpoint of Stable Diffusion 1.5"),
    ],
)
def test_options_of_edit(
    run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, words: str
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model = () if "--model" in options else ("--model", "model")
    line = ("edit", "clip.mp4", "make it snow", "-o", "out.mp4", *model, "--device", "cpu")
    assert_one_line(run(*line, *shlex.split(options)), words)
    assert not list(tmp_path.iterdir())
