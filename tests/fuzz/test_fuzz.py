"""Damaged clips and random options end as success or as one clear line, never otherwise.

Slim in `make test`; `make fuzz` runs it whole (`FUZZ_EXAMPLES` files). What once failed stays in
`tests/fuzz/cases.py`, made in code; the file of a new failure is put into `out/fuzz`.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from fairy.media import probe, write_video
from tests.fuzz.cases import ONCE_FAILED, make_cases
from tests.fuzz.mutations import KINDS, UNITS, Mutation, damaged, find_boxes
from tests.fuzz.worker import Outcome, Worker
from tests.tiny import make_frames

CLIPS = Path(__file__).parents[2].parent / "shared" / "clips" / "stress"
FAILED = Path(__file__).parents[2] / "out" / "fuzz"
NUM_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "16"))
MAX_BYTES = 2_000_000_000
# Of all frames together: what is slow to encode looks like a hang on a busy machine, so of larger
# clips the result is made smaller.
MAX_PIXELS = 320 * 240 * 90

WHOLE = settings(
    max_examples=NUM_EXAMPLES,
    deadline=None,
    database=None,
    derandomize=NUM_EXAMPLES < 100,
    suppress_health_check=list(HealthCheck),
    # A hang costs its whole limit each time: no search for the smallest file that does it.
    phases=[Phase.explicit, Phase.generate],
)


FEWER = settings(WHOLE, max_examples=max(NUM_EXAMPLES // 3, 8))


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Small whole clips of every kind we write, and those of the stress folder."""
    folder = tmp_path_factory.mktemp("seeds")
    for suffix in (".mp4", ".mov", ".mkv", ".webm", ".gif"):
        write_video(make_frames(4, 32, 48), folder / f"made{suffix}", fps=10)
    write_video(make_frames(1, 32, 48), folder / "made.png")
    write_video(make_frames(1, 32, 48), folder / "made.jpg")
    for path in sorted(CLIPS.iterdir()) if CLIPS.is_dir() else ():
        shutil.copy(path, folder)
    return sorted(folder.iterdir())


@functools.cache
def is_large(path: Path) -> bool:
    """Return whether a whole clip has more than MAX_PIXELS."""
    if path.name == "audio_only.mp4":
        return False
    info = probe(path)
    return info.num_frames * info.height * info.width > MAX_PIXELS


def assert_ends_well(outcome: Outcome, out: Path, *, writes: bool) -> None:
    """Success, with a whole file if it `writes`, or one line, exit code 2 and nothing at `out`."""
    assert outcome.exit_code in (0, 2), outcome.said
    assert "Traceback" not in outcome.said
    assert outcome.peak_bytes < MAX_BYTES
    if outcome.exit_code == 2:
        last = outcome.said.strip().splitlines()[-1]
        assert last.startswith("fairy: "), outcome.said
        assert not out.exists()
    elif writes:
        assert probe(out).num_frames > 0
    assert not any(path.name.endswith(".part") for path in out.parent.iterdir())


MUTATIONS = st.lists(
    st.builds(
        Mutation,
        kind=st.sampled_from(KINDS),
        place=st.floats(0, 1, exclude_max=True),
        length=st.sampled_from([1, 2, 4, 8, 40, 400, 4000]),
        value=st.sampled_from([0, 1, 0x7F, 0xFF, 0x7FFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF])
        | st.integers(0, 0xFFFFFFFF),
        unit=st.sampled_from(UNITS),
    ),
    max_size=4,
)
COMMANDS = st.sampled_from(["info", "copy", "copy", "copy", "edit"])
SUFFIXES = st.sampled_from([".mp4", ".mov", ".mkv", ".webm", ".gif", "", ".png", ".xyz"])
OPTIONS = st.lists(
    st.sampled_from(
        [
            ["--codec", "hevc"], ["--codec", "ffv1"], ["--codec", "h265"], ["--crf", "0"],
            ["--crf", "-3"], ["--crf", "99"], ["--crf", "good"], ["--pix-fmt", "yuv444p"],
            ["--pix-fmt", "rgb"], ["--video-stream", "0"], ["--video-stream", "7"], ["--strict"],
            ["--no-provenance"], ["--num-anchors", "99"], ["--anchors", "0,1"], ["--anchors", ","],
            ["--size", "16"], ["--no-keep-size"], ["--seed", "-1"], ["--steps", "0"],
            ["--frame-batch-size", "1"], ["--backend", "none"], ["--guidance-scale", "nan"],
            ["--codec", "prores"], ["--codec", "av1"], ["--shots", "auto"], ["--shots", "no.txt"],
            ["--preview", "2"], ["--preview", "0"], ["--restart"], ["--reuse", "7.5"],
            ["--quality", "fast"], ["--quality", "best"], ["--fp8"],
            ["--reuse", "2"], ["--reuse", "0"], ["--guidance-interval", "0.9,0.1"],
            ["--dtype", "float16"], ["--dtype", "int8"], ["--anchor-strength", "-1"],
            ["--frame-batch-size", "0"], ["--num-anchors", "0"], ["--decoder", "no.pt"],
        ]
    ),
    max_size=3,
)  # fmt: skip


@WHOLE
@given(data=st.data(), mutations=MUTATIONS, command=COMMANDS, suffix=SUFFIXES, options=OPTIONS)
def test_any_damage_ends_well(worker, seeds, data, mutations, command, suffix, options):
    seed = data.draw(st.sampled_from(seeds), label="seed")
    with tempfile.TemporaryDirectory() as folder:
        clip, out = Path(folder, seed.name), Path(folder, "out", f"out{suffix}")
        out.parent.mkdir()
        clip.write_bytes(damaged(seed.read_bytes(), mutations))
        arguments = _arguments(command, clip, out, options, is_large(seed))
        try:
            writes = command != "info" and "--preview" not in arguments
            assert_ends_well(worker.run(*arguments), out, writes=writes)
        except AssertionError:
            FAILED.mkdir(parents=True, exist_ok=True)
            kept = shutil.copy(clip, FAILED / f"{zlib.crc32(clip.read_bytes()):08x}{clip.suffix}")
            note(f"fairy {' '.join(map(str, arguments))} with {kept}")
            raise


def _arguments(
    command: str, clip: Path, out: Path, options: list[list[str]], large: bool = False
) -> list[object]:
    if command == "info":
        return ["info", clip]
    if command == "copy":
        return ["copy", clip, out, "--every", 8 if large else 1]
    small = ["--size", "16", *(["--no-keep-size"] if large else [])]
    words = [word for option in options for word in option]
    return ["edit", clip, "snow", "--out", out, "--steps", "1", "--device", "cpu", *small, *words]


@FEWER
@given(data=st.data(), mutations=MUTATIONS, command=st.sampled_from(["info", "edit"]))
def test_any_damage_on_standard_input_ends_well(worker, seeds, data, mutations, command):
    seed = data.draw(st.sampled_from([seed for seed in seeds if not is_large(seed)]), label="seed")
    with tempfile.TemporaryDirectory() as folder:
        clip, out = Path(folder, "piped"), Path(folder, "out", "out.mp4")
        out.parent.mkdir()
        clip.write_bytes(damaged(seed.read_bytes(), mutations))
        outcome = worker.run(*_arguments(command, Path("-"), out, []), stdin=clip)
        assert_ends_well(outcome, out, writes=command != "info")


NAMES = st.sampled_from(
    ["1.png", "2.png", "10.jpg", "①.png", "a.webp", ".DS_Store", "._1.png", "Thumbs.db", "b.PNG",
     "no.txt", "c.heic", "x" * 250 + ".png", "\udcff.png", " .png"]
)  # fmt: skip


@FEWER
@given(
    files=st.dictionaries(NAMES, st.tuples(st.booleans(), MUTATIONS), max_size=4),
    command=st.sampled_from(["info", "edit"]),
)
def test_any_folder_of_pictures_ends_well(worker, seeds, files, command):
    pictures = [seed.read_bytes() for seed in seeds if seed.name in ("made.png", "made.jpg")]
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name, "pictures"), Path(name, "out", "out.mp4")
        folder.mkdir()
        out.parent.mkdir()
        for picture, (which, mutations) in files.items():
            (folder / picture).write_bytes(damaged(pictures[which], mutations))
        before = sorted(folder.iterdir())
        outcome = worker.run(*_arguments(command, folder, out, []))
        assert_ends_well(outcome, out, writes=command != "info")
        assert sorted(folder.iterdir()) == before


CELLS = st.sampled_from(
    ["", " ", "made.gif", "gone.mp4", "-", ".", "..", "out.mp4", "out", "x" * 300, "a\0b", "snow",
     "7", "7.0", "7.5", "-1", "nan", "true", "maybe", "[1]", "\ufeff", "file:///a.gif", "made.png"]
)  # fmt: skip
PATHS = {"input", "output", "compare", "report"}
COLUMNS = st.sampled_from(
    ["input", " Input", "instruction", "output", "OUTPUT ", "seed", "--steps", "size", "compare",
     "report", "overwrite", "shots", "nonsense", ""]
)  # fmt: skip


@FEWER
@given(
    columns=st.lists(COLUMNS, max_size=4),
    rows=st.lists(st.lists(CELLS, max_size=7), max_size=4),
    delimiter=st.sampled_from([",", ";", "\t"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    mutations=MUTATIONS,
)
def test_any_list_of_jobs_ends_well(worker, seeds, columns, rows, delimiter, encoding, mutations):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in seeds:
            if seed.name in ("made.gif", "made.png"):
                shutil.copy(seed, folder)
        head = ["input", "instruction", "output", *columns]
        # Within the folder, whatever a name means
        cells = [
            [
                str(folder / cell) if name.strip().lower() in PATHS else cell
                for name, cell in zip(head, row, strict=False)
            ]
            for row in rows
        ]
        text = "\n".join(delimiter.join(line) for line in [head, *cells])
        (folder / "jobs.csv").write_bytes(damaged(text.encode(encoding), mutations))
        kept = (folder / "made.gif").read_bytes()
        outcome = worker.run("batch", folder / "jobs.csv", "--steps", 1, "--size", 16)
        # 3: some jobs failed
        assert outcome.exit_code in (0, 2, 3), outcome.said
        assert "Traceback" not in outcome.said
        lines = outcome.said.strip().splitlines()
        assert outcome.exit_code == 0 or any(line.startswith("fairy: ") for line in lines)
        assert (folder / "made.gif").read_bytes() == kept


@pytest.mark.parametrize("command", ["info", "copy", "edit"])
def test_what_once_failed_ends_well(worker, tmp_path, command):
    (tmp_path / "cases").mkdir()
    for name, clip in make_cases(tmp_path / "cases").items():
        out = tmp_path / name / "out.mp4"
        out.parent.mkdir()
        outcome = worker.run(*_arguments(command, clip, out, []))
        assert_ends_well(outcome, out, writes=command != "info")
        assert outcome.exit_code == 2 or command == "info" or name not in ONCE_FAILED


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_mutation_changes_the_file(kind, unit):
    numbers = np.random.default_rng(0).integers(1, 255, 1000).astype(np.uint8).tobytes()
    data = bytes([0, 0, 1, 0]) + b"stts" + numbers
    assert damaged(data, [Mutation(kind, 0.5, 40, 3, unit)]) != data


@pytest.mark.parametrize(("name", "least"), [("made.mp4", 25), ("made.webm", 6), ("made.gif", 0)])
def test_boxes_are_found_in_order(seeds, name, least):
    data = next(seed for seed in seeds if seed.name == name).read_bytes()
    boxes = find_boxes(data)
    assert len(boxes) >= least
    assert boxes == sorted(boxes)
    assert not boxes or max(end for _, end in boxes) == len(data)
