"""Wrong input: each case ends in one line that says what to do, exit code 2, and no file.

A table, run in this process with a tiny model. Which line belongs to which mistake of the library
is tested beside the modules; here it is what the whole command does.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fairy.cli.app import app
from fairy.media.write import write_video
from tests.tiny import make_frames, save_tiny_pipeline

CLIP = ("clip.mp4", "make it snow", "-o", "out.mp4")
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip, a model, and all sorts of things that are neither."""
    folder = tmp_path_factory.mktemp("desk")
    write_video(make_frames(5, 48, 64), folder / "clip.mp4", fps=10)
    write_video(make_frames(1, 48, 64), folder / "one.png")
    texts = {
        "text.mp4": "dear diary\n" * 100, "text.png": "no picture", "thesis.doc": "years of work",
        "words.txt": "0\ntwelve\n", "far.txt": "0\n99\n", "half.txt": "2.5\n",
        "no.csv": "", "other.csv": "a,b\n1,2\n", "no.jsonl": "not json\n", "list.jsonl": "[1]\n",
        "more.csv": "input,instruction,output\nclip.mp4,snow,a.mp4,1,2\n",
    }  # fmt: skip
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "empty.mp4").touch()
    os.mkfifo(folder / "pipe")
    (folder / "circle").symlink_to("circle")
    (folder / "bytes.txt").write_bytes(bytes(range(256)))
    for name in ("empty", "papers", "pictures"):
        (folder / name).mkdir()
    (folder / "papers" / "thesis.txt").write_text("years of work")
    shutil.copy(folder / "one.png", folder / "pictures" / "a.png")
    (folder / "pictures" / "b.png").write_text("broken")
    _make_models(folder)
    return folder


def _make_models(folder: Path) -> None:
    model = save_tiny_pipeline(
        folder / "model", size=32, num_inference_steps=1, words=["make", "it", "snow"]
    )
    for name in ("model-cut", "model-without-weights", "model-bad-index", "model-bad-defaults"):
        shutil.copytree(model, folder / name)
    weights = "unet/diffusion_pytorch_model.safetensors"
    (folder / "model-cut" / weights).write_bytes((model / weights).read_bytes()[:100])
    (folder / "model-without-weights" / weights).unlink()
    (folder / "model-bad-index" / "model_index.json").write_text("{")
    (folder / "model-bad-defaults" / "fairy.json").write_text('{"size": "big"}')
    for name in ("junk.safetensors", "junk.ckpt"):
        (folder / name).write_bytes(b"junk" * 100)


@pytest.fixture
def run(desk: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Call `fairy` in the folder; nothing may be there afterwards that was not there before."""
    monkeypatch.chdir(desk)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    before = sorted(desk.rglob("*"))
    yield lambda *words: CliRunner().invoke(app, [str(word) for word in words], input="")
    assert sorted(desk.rglob("*")) == before


def assert_one_line(result: Result, words: str) -> None:
    assert result.exit_code == 2, (result.output, result.exception)
    assert result.stderr.startswith("fairy: ") and result.stderr.count("\n") == 1, result.stderr
    assert words in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("gone.mp4", "no such file: check the name"),
        ("http://example.org/clip.mp4", "an address, not a file: download it first"),
        ("file:///home/me/my%20clip.mp4", "an address: give the path, /home/me/my clip.mp4"),
        ("text.mp4", "not a video"),
        ("text.png", "not an image that can be read"),
        ("empty.mp4", "copy or download it again"),
        ("/dev/null", "use - and pipe the clip in"),
        ("pipe", "use - and pipe the clip in"),
        ("thesis.doc", "give a clip, such as .mp4"),
        ("empty", "a folder is read as a clip when it holds .png"),
        ("papers", "a folder is read as a clip when it holds .png"),
        ("-", "pipe a clip into the command"),
        ("x" * 300, "File name too long"),
        ("circle", "a link that leads nowhere"),
    ],
)
@pytest.mark.parametrize("command", ["edit", "info"])
def test_inputs(run: Run, command: str, source: str, words: str):
    given = (source,) if command == "info" else (source, *CLIP[1:])
    assert_one_line(run(command, *given), words)


def test_a_folder_with_a_broken_picture(run: Run):
    assert_one_line(run("edit", "pictures", *CLIP[1:]), "b.png: not an image that can be read")


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("clip.mp4", "would replace the clip to edit; give it another name"),
        ("text.mp4/out.mp4", "text.mp4 is a file, not a folder: use another name"),
        ("out.avi", "unknown container .avi: use .mp4"),
        ("out.png", "one picture, but the clip has 5 frames: use .mp4"),
        ("text.mp4", "already there: use --overwrite or another name"),
        ("pictures", "holds files that Fairy did not write, such as"),
        ("papers", "never overwritten: use a new name"),
        ("", "needs a name of its own, as in out"),
        (".", "needs a name of its own, as in out"),
        ("..", "needs a name of its own"),
        ("-", "cannot go to standard output: name a file"),
        ("/dev/null", "a name without suffix is a folder of PNGs"),
        ("a\0b.mp4", "embedded null byte"),
        ("x" * 300 + ".mp4", "File name too long"),
        ("x" * 252 + ".mp4", "File name too long"),
    ],
)
def test_outputs(run: Run, out: str, words: str):
    result = run("edit", "clip.mp4", "make it snow", "-o", out, "--model", "model")
    assert_one_line(result, words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--steps 0", "at least 1"),
        ("--steps 1001", "at most 1000"),
        ("--steps many", "give a whole number"),
        ("--guidance-scale -1", "use 0 or more"),
        ("--guidance-scale nan", "use 0 or more"),
        ("--image-guidance-scale inf", "use 0 or more"),
        ("--num-anchors 0", "at least 1"),
        ("--anchors 0;1", "as in 0,40,80"),
        ("--anchors 0,5", "5 is not in the clip: use 0 to 4"),
        ("--anchors -1", "-1 is not in the clip: use 0 to 4"),
        ("--anchor-strength -1", "use 0 or more"),
        ("--shots on", "use auto, off, or a file"),
        ("--shots words.txt", "give one per line, as in 120"),
        ("--shots half.txt", "give one per line, as in 120"),
        ("--shots bytes.txt", "give one per line, as in 120"),
        ("--shots far.txt", "frame 99 is not in the clip: use 0 to 4"),
        ("--shots papers", "use auto, off, or a file"),
        ("--seed 1.5", "give a whole number"),
        ("--seed 99999999999999999999", "at most 19 digits"),
        ("--size 15", "at least 16 pixels"),
        ("--size 51200", "at most 8192"),
        ("--device gpu", "use auto, cpu, cuda or mps"),
        ("--device meta", "use auto, cpu, cuda or mps"),
        ("--device cuda:99", "use auto or cpu"),
        ("--anchor-cache-device cuda:99", "use auto or cpu"),
        ("--dtype fp16", "use auto, float32, float16, bfloat16"),
        ("--backend cuda", "use auto, triton, sdpa, reference"),
        ("--frame-batch-size 0", "at least 1"),
        ("--codec x264", "use h264, hevc"),
        ("--codec prores", "use h264 or hevc or vp9 or av1, or a name that ends in .mov or .mkv"),
        ("--crf -1", "between 0 and 63"),
        ("--crf 52", "use 0 to 51"),
        ("--pix-fmt rgb", "use yuv420p"),
        ("--video-stream 1", "use 0"),
        ("--video-stream -1", "streams count from 0"),
        ("--compare out.mp4", "give it another name"),
        ("--compare side.png", "one picture, but the clip has 5 frames"),
        ("--compare thesis.doc/side.mp4", "is a file, not a folder"),
        ("--report clip.mp4", "give it another name"),
        ("--report empty", "name a file, as in empty/report.json"),
        ("--report thesis.doc", "use --overwrite or another name"),
        ("--preview 0", "give the number of frames to edit, as in 8"),
        ("--model gone", "use mini, a folder"),
        ("--model empty", "use mini, a folder"),
        ("--model model-cut", "model-cut: cannot be loaded"),
        ("--model model-without-weights", "model-without-weights: cannot be loaded"),
        ("--model model-bad-index", "model-bad-index: cannot be loaded"),
        ("--model model-bad-defaults", "fairy.json: size is 'big'"),
        ("--model junk.safetensors", "junk.safetensors: cannot be loaded"),
        ("--model junk.ckpt", "only .safetensors files are loaded; convert it first"),
        ("--model no-one/nothing", "check the id, then hf download"),
        ("--stepz 3", "No such option: --stepz"),
    ],
)
def test_options_of_edit(run: Run, options: str, words: str):
    model = () if "--model" in options else ("--model", "model")
    assert_one_line(run("edit", *CLIP, *model, "--device", "cpu", *options.split()), words)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("edit", "Missing argument 'IN': see fairy edit --help"),
        ("edit clip.mp4", "Missing argument 'INSTRUCTION': see fairy edit --help"),
        ("edit clip.mp4 make it snow -o out.mp4", "(it snow): put words that belong together in"),
        ("edti clip.mp4", "Did you mean 'edit'"),
        ("--verbose", "see fairy --help"),
        ("info", "see fairy info --help"),
        ("doctor now", "see fairy doctor --help"),
        ("batch gone.csv", "gone.csv: cannot be read"),
        ("batch pictures", "pictures: cannot be read"),
        ("batch no.csv", "give a .csv with the columns input, instruction, output"),
        ("batch other.csv", "no column input"),
        ("batch more.csv", "line 2 has more fields"),
        ("batch bytes.txt", "give a .csv with the columns"),
        ("batch no.jsonl", "or a .jsonl with such objects"),
        ("batch list.jsonl", "line 1 is not a JSON object"),
        ("track", "Missing option '--out'"),
        ("track clip.mp4 --point 1 -o a.png", "as in 120,80"),
        ("track clip.mp4 --point nan,1 -o a.png", "it must be a finite number"),
        ("track clip.mp4 --point 64,1 -o a.png", "is outside the picture of 64 x 48"),
        ("track gone.mp4 --point 1,1 -o a.png", "no such file"),
        ("track one.png --point 1,1 -o a.png", "use more frames, or fewer anchors"),
        ("track --tapvid gone.pkl -o a.png", "cannot be read"),
        ("track --clips 0 -o a.png", "measure on at least 1"),
        ("track --frames 1 -o a.png", "use more frames, or fewer anchors"),
    ],
)
def test_other_commands(run: Run, line: str, words: str):
    assert_one_line(run(*line.split()), words)


@pytest.mark.parametrize("instruction", ["", "  ", "purple elephants", "to the", "❄️", "雪"])
def test_instructions_that_say_nothing(run: Run, instruction: str):
    result = run("edit", "clip.mp4", instruction, "-o", "out.mp4", "--model", "model")
    assert_one_line(result, "instruction is empty" if not instruction.strip() else "it knows: it")
