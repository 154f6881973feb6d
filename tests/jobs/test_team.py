"""Any number of processes edit one clip, some of them are killed, and the result is the same."""

from __future__ import annotations

import json
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

import fairy.jobs.plan
from fairy.errors import SettingsError
from fairy.interrupt import Cancel
from fairy.jobs.claims import Claims, Owner
from fairy.jobs.edit import edit_video
from fairy.jobs.plan import Segment
from fairy.jobs.ranks import _leaders, _wait_until_ready
from fairy.jobs.team import Rank, Team, take_some
from fairy.jobs.workspace import Workspace
from fairy.media.read import probe
from fairy.media.write import write_video
from fairy.settings import EditConfig
from tests.cli.lines import without_progress
from tests.jobs.worker import SEGMENT_FRAMES, start
from tests.media.h264_clips import stored
from tests.tiny import make_frames

pytestmark = pytest.mark.forks

NUM_FRAMES = 32
OPTIONS = ["--size", 32, "--steps", 1, "--frame-batch-size", 2, "--seed", 5]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_video(make_frames(NUM_FRAMES, 32, 48), path, fps=10)
    return path


@pytest.fixture(scope="module")
def shots(clip: Path) -> Path:
    path = clip.with_name("shots.txt")
    path.write_text("18")
    return path


@pytest.fixture(scope="module")
def alone(clip: Path, shots: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes."""
    out = tmp_path_factory.mktemp("alone") / "out.mp4"
    (process,) = start_ranks(1, clip, shots, out)
    process.join()
    return out


def start_ranks(
    count: int, clip: Path, shots: Path, out: Path, run: str = "a", *more: object
) -> list[BaseProcess]:
    """Start what `torchrun --nproc-per-node COUNT -m fairy edit` does."""
    return [start_rank(rank, count, clip, shots, out, run, *more) for rank in range(count)]


def start_rank(
    rank: int, count: int, clip: Path, shots: Path, out: Path, run: str = "a", *more: object
) -> BaseProcess:
    """Start one of the ranks."""
    command = ["edit", clip, "make it snow", "-o", out, *OPTIONS, "--shots", shots, *more]
    environment = {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "TORCHELASTIC_RUN_ID": run,
        "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count),
    }  # fmt: skip
    printed = out.with_name(f"{out.name}-{run}-{rank}.txt")
    return start(command, printed, environment=environment)


def finish(ranks: list[BaseProcess]) -> list[int | None]:
    for rank in ranks:
        rank.join()
    return [rank.exitcode for rank in ranks]


def assert_same(one: Path, other: Path) -> None:
    """Check that two outputs, files or folders, have the same bytes."""
    files = [sorted(path.glob("*.png")) if path.is_dir() else [path] for path in (one, other)]
    contents = [[file.read_bytes() for file in some] for some in files]
    assert contents[0] == contents[1]


def left_beside(out: Path) -> list[str]:
    return [path.name for path in out.parent.iterdir() if path.suffix != ".txt" and path != out]


def wait_for_work(out: Path) -> None:
    """Wait until some frames are edited."""
    until = time.monotonic() + 60
    while not any(out.parent.glob("*.fairy/frames-*")):
        assert time.monotonic() < until, "nothing was edited"
        time.sleep(0.01)


@pytest.mark.parametrize("count", [2, 3])
def test_the_file_is_the_one_that_a_single_process_makes(
    clip: Path, shots: Path, alone: Path, tmp_path: Path, count: int
):
    out = tmp_path / "out.mp4"
    assert finish(start_ranks(count, clip, shots, out)) == [0] * count
    assert_same(out, alone)
    assert left_beside(out) == []


def test_all_of_them_edit(clip: Path, shots: Path, tmp_path: Path):
    out = tmp_path / "out.mp4"
    ranks = start_ranks(2, clip, shots, out)
    owners: set[int] = set()
    while ranks[0].is_alive():
        segments = [
            attempt
            for name, attempt in Claims(tmp_path / "out.mp4.fairy" / "claims").all().items()
            if name[0].isdecimal() and attempt.owner is not None
        ]
        owners |= {attempt.owner.pid for attempt in segments if attempt.owner is not None}
    finish(ranks)
    assert owners == {rank.pid for rank in ranks}


def test_a_rank_that_is_killed_is_replaced_by_the_others(
    clip: Path, shots: Path, alone: Path, tmp_path: Path
):
    out = tmp_path / "out.mp4"
    ranks = start_ranks(3, clip, shots, out)
    wait_for_work(out)
    ranks[2].kill()
    assert finish(ranks) == [0, 0, -9]
    assert_same(out, alone)


def test_the_same_command_goes_on_after_all_were_killed(
    clip: Path, shots: Path, alone: Path, tmp_path: Path
):
    out = tmp_path / "out.mp4"
    ranks = start_ranks(2, clip, shots, out)
    wait_for_work(out)
    for rank in ranks:
        rank.kill()
    finish(ranks)
    assert finish(start_ranks(2, clip, shots, out, "b")) == [0, 0]
    assert_same(out, alone)
    assert left_beside(out) == []


def test_a_second_start_helps_the_ranks_that_the_first_left_behind(
    clip: Path, shots: Path, alone: Path, tmp_path: Path
):
    out = tmp_path / "out.mp4"
    first = start_ranks(2, clip, shots, out)
    wait_for_work(out)
    second = start_ranks(2, clip, shots, out, "b")
    assert finish(first) == [0, 0]
    assert finish(second) == [0, 0]
    assert_same(out, alone)


def test_pictures_are_written_by_the_leader(clip: Path, shots: Path, tmp_path: Path):
    one, two = tmp_path / "one", tmp_path / "two"
    assert finish(start_ranks(1, clip, shots, one)) == [0]
    assert finish(start_ranks(2, clip, shots, two)) == [0, 0]
    assert_same(one, two)
    assert len(list(two.glob("*.png"))) == NUM_FRAMES


def made_alike(clip: Path, shots: Path, folder: Path, *options: object) -> Path:
    """Return what one process makes, after checking that two make the same."""
    one, two = folder / "one.mp4", folder / "two.mp4"
    ranks = start_ranks(1, clip, shots, one, "a", *options)
    ranks += start_ranks(2, clip, shots, two, "a", *options)
    assert finish(ranks) == [0, 0, 0]
    assert_same(one, two)
    return one


def test_frames_half_way_between_two_are_the_same_too(clip: Path, shots: Path, tmp_path: Path):
    made = made_alike(clip, shots, tmp_path, "--interpolate", 2)
    assert probe(made).num_frames == 2 * NUM_FRAMES


def test_copied_frames_are_the_same_too(clip: Path, shots: Path, tmp_path: Path):
    made = made_alike(clip, shots, tmp_path, "--from", 12)
    (first, *_), (copy, *_) = stored(clip), stored(made)
    assert first == copy


def test_ranks_with_other_settings_are_refused(clip: Path, shots: Path, tmp_path: Path):
    out = tmp_path / "out.mp4"
    leader = start_rank(0, 2, clip, shots, out)
    other = start_rank(1, 2, clip, shots, out, "a", "--seed", 6)
    assert finish([leader, other]) == [0, 2]
    assert "with other settings (seed was 5, is 6)" in (tmp_path / "out.mp4-a-1.txt").read_text()


def test_workers_are_started_and_make_the_same_file(clip: Path, shots: Path, tmp_path: Path):
    made = [tmp_path / "one.mp4", tmp_path / "two.mp4"]
    for count, out in enumerate(made, start=1):
        printed = out.with_suffix(".txt")
        command = ["edit", clip, "make it snow", "-o", out, *OPTIONS, "--shots", shots]
        command += ["--upscale", "2x"]
        # The workers are new processes, whose segments have the usual length
        whole = {"SEGMENT_FRAMES": str(fairy.jobs.plan.SEGMENT_FRAMES)}
        process = start([*command, "--workers", count], printed, environment=whole)
        assert finish([process]) == [0], printed.read_text()
        assert without_progress(printed.read_text()) == ""
        assert not out.with_name(f"{out.name}.fairy").exists()
    assert_same(*made)
    assert probe(made[0]).width == 2 * probe(clip).width


def test_what_is_done_can_be_kept_elsewhere(clip: Path, shots: Path, alone: Path, tmp_path: Path):
    work, out = tmp_path / "work", tmp_path / "out.mp4"
    work.mkdir()
    ranks = start_ranks(2, clip, shots, out, "a", "--work-dir", work)
    while not any(work.glob("out.mp4.fairy/frames-*")):
        assert ranks[0].is_alive()
    assert not out.with_name("out.mp4.fairy").exists()
    assert finish(ranks) == [0, 0]
    assert_same(out, alone)
    assert list(work.iterdir()) == []


def test_a_loaded_model_cannot_be_shared(clip: Path, tmp_path: Path):
    with pytest.raises(SettingsError, match="leave out `pipeline`"):
        edit_video(clip, "snow", tmp_path / "out.mp4", EditConfig(), pipeline=object(), workers=2)  # type: ignore[arg-type]


def test_the_last_report_counts_every_frame():
    class Done:
        num_done = NUM_FRAMES

    reports: list[tuple[int, int]] = []
    team = Team(Rank(0, 2, 0, 2, "a"))
    report = team.progress(Done(), lambda *counts: reports.append(counts))  # type: ignore[arg-type]
    report(0, NUM_FRAMES)
    report(1, NUM_FRAMES)
    assert len(reports) == 1
    team.report_at_once()
    report(1, NUM_FRAMES)
    assert reports[1:] == [(NUM_FRAMES, NUM_FRAMES)]


def segments(count: int) -> list[Segment]:
    size, end = SEGMENT_FRAMES, SEGMENT_FRAMES * count
    return [Segment(first, first + size, (0, end), (0,)) for first in range(0, end, size)]


def test_each_rank_begins_in_a_part_of_its_own(tmp_path: Path):
    clip = segments(12)
    with Claims(tmp_path) as claims:
        taken = [take_some(claims, Rank(n, 3, n, 3, "a"), clip, clip) for n in range(3)]
    assert [one[0].first for one in taken] == [0, 4 * SEGMENT_FRAMES, 8 * SEGMENT_FRAMES]


def test_shares_shrink_so_that_all_end_together(tmp_path: Path):
    clip, sizes = segments(16), []
    with Claims(tmp_path) as claims:
        while taken := take_some(claims, Rank(0, 2, 0, 2, "a"), clip, clip):
            sizes.append(len(taken))
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[0], sizes[-1], sum(sizes)) == (4, 1, 16)


def put(claims: Path, name: str) -> None:
    """Write a claim of a process on another machine."""
    claims.mkdir(parents=True, exist_ok=True)
    record = {"host": "elsewhere", "pid": 1, "started": 0.0, "given_back": False}
    (claims / f"{name}.0").write_text(json.dumps(record))


def test_a_leader_is_seen_beside_the_claim_of_one_that_was_lost_elsewhere(tmp_path: Path):
    workspace, rank = Workspace(tmp_path / "out.mp4"), Rank.of_open_team(0)
    for name in ("leader-batch", "leader-batch-0a1b2c3d-1-0"):
        put(workspace.claims, name)
    with Team(rank, is_open=True).announced(workspace):
        claims = Claims(workspace.claims)
        attempts = [claims.all()[name] for name in _leaders(claims, rank)]
        assert Owner.me() in [attempt.owner for attempt in attempts]


def test_a_leader_is_not_ready_because_a_lost_one_was(tmp_path: Path):
    put(tmp_path, "ready-batch-0a1b2c3d-1-0")
    with Claims(tmp_path) as leader:
        leader.take("leader-batch-0a1b2c3d-2-0")
        looks: list[int] = []

        class GetReady(Cancel):
            def check(self) -> None:
                looks.append(1)
                leader.take("ready-batch-0a1b2c3d-2-0")

        assert _wait_until_ready(Claims(tmp_path), GetReady())
        assert looks == [1]
