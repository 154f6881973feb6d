"""Clips and results at addresses: fetched, uploaded, and told apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import fairy.batch.runner
import fairy.jobs.retries
from fairy.batch.addresses import Listing, fetched, is_address, temporary_folder, upload
from fairy.batch.clip_worker import ClipWorker
from fairy.batch.joblist import Job, make_job
from fairy.batch.ledger import clip_state, job_id
from fairy.batch.shared import run_shared_batch
from fairy.batch.shared_list import SharedBatch
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import FairyError, MediaError, SettingsError
from fairy.jobs.retries import TRIES, with_retries
from fairy.media.read import probe
from fairy.media.write import write_video
from fairy.settings import BatchOptions, EditConfig
from tests.tiny import make_frames

CONFIG = EditConfig(size=32, num_inference_steps=1, frame_batch_size=2, shots="off")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairy.jobs.retries, "FIRST_WAIT_S", 0.0)


@pytest.fixture
def root() -> Iterator[str]:
    """A folder at an address, gone afterwards."""
    root = f"memory://addresses-{uuid4().hex}"
    yield root
    fsspec.filesystem("memory").store.clear()


def put(name: str, content: bytes) -> str:
    fs, path = fsspec.core.url_to_fs(name)
    fs.pipe_file(path, content)
    return name


def make(source: str, out: Path | str, line: int = 1) -> Job:
    entries = {"input": source, "instruction": "make it snow", "output": str(out)}
    return make_job(line, entries, CONFIG)


def identity(job: Job) -> str:
    return job_id(job, clip_state(job, Listing()))


def test_addresses_and_folders():
    assert is_address("s3://bucket/run")
    assert not is_address("out/run")


def test_a_clip_at_an_address_makes_the_same_file(
    root: str, clip: Path, worker: ClipWorker, tmp_path: Path
):
    address = put(f"{root}/clip.mp4", clip.read_bytes())
    here, there = tmp_path / "here.mp4", tmp_path / "there.mp4"
    assert worker.edit(make(str(clip), here)).state == "done"
    result = worker.edit(make(address, there))
    assert (result.state, result.input, result.output) == ("done", address, str(there))
    assert there.read_bytes() == here.read_bytes()


def test_from_one_address_to_another(root: str, clip: Path, worker: ClipWorker, tmp_path: Path):
    address = put(f"{root}/clip.mp4", clip.read_bytes())
    assert worker.edit(make(address, f"{root}/out/a.mp4")).state == "done"
    with fetched(f"{root}/out/a.mp4") as local:
        assert probe(local, CONFIG).num_frames == 4


def test_a_report_names_the_addresses(root: str, clip: Path, worker: ClipWorker, tmp_path: Path):
    address = put(f"{root}/clip.mp4", clip.read_bytes())
    job = make(address, f"{root}/out/a.mp4")
    job = replace(job, run=replace(job.run, report=tmp_path / "report.json"))
    assert worker.edit(job).state == "done"
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["source"], report["out"]) == (address, f"{root}/out/a.mp4")


def test_pictures_in_a_folder_at_an_address(root: str, worker: ClipWorker, tmp_path: Path):
    write_video(make_frames(3, 32, 48), tmp_path / "pictures", fps=10)
    for file in (tmp_path / "pictures").iterdir():
        put(f"{root}/pictures/{file.name}", file.read_bytes())
    assert worker.edit(make(f"{root}/pictures", tmp_path / "a.mp4")).num_frames == 3


def test_a_copy_is_deleted_afterwards(root: str):
    with fetched(put(f"{root}/clip.mp4", b"abc")) as local:
        assert local.read_bytes() == b"abc"
        assert local.name == "clip.mp4"
    assert not local.parent.exists()


@pytest.mark.parametrize(
    ("name", "local_name"),
    [
        ("..%2Fevil.mp4", "evil.mp4"),
        ("%2e%2e%2f%2e%2e%2fevil.mp4", "evil.mp4"),
        ("clips/%2e%2e", "clip"),
        ("a%00b.mp4", "ab.mp4"),
        ("a.mp4?token=b.png", "a.mp4"),
        ("a#1.mp4", "a#1.mp4"),
        ("why?.mp4", "why?.mp4"),
        (f"{'é' * 120}.mp4", f"{'é' * 48}.mp4"),
    ],
)
def test_a_copy_is_in_the_temporary_folder_under_a_legal_name(
    root: str, name: str, local_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with fetched(put(f"{root}/{name}", b"abc")) as local:
        assert local.read_bytes() == b"abc"
        assert local.name == local_name
        assert local.parent.parent == tmp_path
        assert [file for file in tmp_path.rglob("*") if file.is_file()] == [local]


FETCHES = """
import sys
from fairy.batch.addresses import fetched, temporary_folder
with fetched(sys.argv[1]), temporary_folder() as out:
    (out / "a.mp4").write_bytes(b"half")
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_worker_leaves_is_deleted_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "clip.mp4").write_bytes(b"abc")
    folder = tmp_path / "tmp"
    folder.mkdir()
    # Another machine's, and what others name like it
    others = [folder / name for name in ("fairy-00000000-1-1-abc", "fairy-abc", "fairy-1-2-3-d")]
    for other in others:
        other.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    command = [sys.executable, "-c", FETCHES, f"file://{tmp_path}/clip.mp4"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"TMPDIR": str(folder)},
    ) as worker:  # fmt: skip
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
        left = set(folder.iterdir()) - {*others}
        assert len(left) == 2
        with temporary_folder() as mine:
            # While it runs, what it has stays
            assert set(folder.iterdir()) == {*others, *left, mine}
            worker.kill()
            worker.wait()
            with temporary_folder() as next_one:
                assert set(folder.iterdir()) == {*others, mine, next_one}


def test_pictures_with_long_names_keep_their_order(root: str):
    for number in range(3):
        put(f"{root}/pictures/{'x' * 300}{number}.png", bytes([number]))
    with fetched(f"{root}/pictures") as local:
        assert [file.read_bytes()[0] for file in sorted(local.iterdir())] == [0, 1, 2]


@pytest.mark.parametrize("name", ["a.mp4?uploads=1", f"{'x' * 300}.mp4"])
def test_a_result_with_a_name_that_is_not_legal_here(
    root: str, clip: Path, worker: ClipWorker, name: str
):
    assert worker.edit(make(str(clip), f"{root}/{name}")).state == "done"
    with fetched(f"{root}/{name}") as local:
        assert probe(local, CONFIG).num_frames == 4


def test_a_local_clip_is_not_copied(clip: Path):
    with fetched(str(clip)) as local:
        assert local == clip


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.mp4", "none.mp4: cannot be fetched: no such file"), ("damaged.mp4", "damaged.mp4: ")],
)
def test_a_job_that_cannot_be_done_names_the_address(
    root: str, worker: ClipWorker, tmp_path: Path, name: str, message: str
):
    put(f"{root}/damaged.mp4", b"no video" * 99)
    result = worker.edit(make(f"{root}/{name}", tmp_path / "a.mp4"))
    assert (result.state, result.kind) == ("failed", "input")
    assert result.error is not None
    assert result.error.startswith(f"{root}/{message}")


def test_an_address_that_nothing_here_reads(worker: ClipWorker, tmp_path: Path):
    result = worker.edit(make("nowhere://bucket/clip.mp4", tmp_path / "a.mp4"))
    assert (result.state, result.kind) == ("failed", "input")
    assert "nowhere" in str(result.error)


def test_a_result_for_an_address_that_nothing_here_writes(clip: Path, worker: ClipWorker):
    result = worker.edit(make(str(clip), "nowhere://bucket/a.mp4"))
    assert (result.state, result.kind) == ("failed", "input")


def test_a_busy_server_is_asked_again(
    root: str, clip: Path, worker: ClipWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    get, calls = MemoryFileSystem.get_file, []

    def flaky(*args: object, **options: object) -> None:
        calls.append(args)
        if len(calls) < 3:
            raise OSError("503 Slow Down")
        get(*args, **options)

    monkeypatch.setattr(MemoryFileSystem, "get_file", flaky)
    address = put(f"{root}/clip.mp4", clip.read_bytes())
    assert worker.edit(make(address, tmp_path / "a.mp4")).state == "done"


def half_first(monkeypatch: pytest.MonkeyPatch, times: int) -> list[str]:
    """Let so many downloads from memory stop half-way; return the names, as they are asked for."""
    get, calls = MemoryFileSystem.get_file, []

    def short(fs: MemoryFileSystem, path: str, local: str) -> None:
        calls.append(path)
        get(fs, path, local)
        if len(calls) <= times:
            os.truncate(local, os.path.getsize(local) // 2)

    monkeypatch.setattr(MemoryFileSystem, "get_file", short)
    return calls


def test_a_clip_of_which_half_came_is_fetched_again(root: str, monkeypatch: pytest.MonkeyPatch):
    calls = half_first(monkeypatch, 2)
    with fetched(put(f"{root}/clip.mp4", b"abcd")) as local:
        assert local.read_bytes() == b"abcd"
    assert len(calls) == 3


def test_a_picture_of_which_half_came_is_fetched_again(root: str, monkeypatch: pytest.MonkeyPatch):
    half_first(monkeypatch, 1)
    put(f"{root}/pictures/0.png", b"abcd")
    with fetched(f"{root}/pictures") as local:
        assert (local / "0.png").read_bytes() == b"abcd"


def test_half_a_clip_is_not_edited(
    root: str, clip: Path, worker: ClipWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    half_first(monkeypatch, TRIES)
    size = clip.stat().st_size
    result = worker.edit(make(put(f"{root}/clip.mp4", clip.read_bytes()), tmp_path / "a.mp4"))
    assert (result.state, result.kind) == ("failed", "storage")
    assert f"{size // 2} of {size} bytes came" in str(result.error)


class Halves(BaseHTTPRequestHandler):
    """Serves CONTENT at /clip.mp4; the first `num_halves` answers to GET end in the middle."""

    content = b"0123456789" * 1000
    num_halves, with_length, is_busy = 0, True, False
    asked: ClassVar[list[str]] = []

    def log_message(self, format: str, *words: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(is_whole=True, with_length=True)

    def do_GET(self) -> None:
        kind = type(self)
        is_whole = kind.num_halves == 0
        kind.num_halves -= not is_whole
        self._answer(is_whole, self.with_length)

    def _answer(self, is_whole: bool, with_length: bool) -> None:
        self.asked.append(self.path)
        status = 503 if self.is_busy else 200 if self.path == "/clip.mp4" else 404
        self.send_response(status)
        if with_length:
            self.send_header("Content-Length", str(len(self.content)))
        self.send_header("Last-Modified", "Sat, 01 Jan 2000 00:00:00 GMT")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(self.content if is_whole else self.content[: len(self.content) // 2])


@pytest.fixture
def server() -> Iterator[tuple[str, type[Halves]]]:
    """The address of an HTTP server, and how it answers."""
    pytest.importorskip("aiohttp")
    handler = type("Handler", (Halves,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", handler
        http.shutdown()
        thread.join()


@pytest.mark.parametrize("with_length", [True, False])
def test_a_connection_that_ends_in_the_middle_of_a_clip(
    server: tuple[str, type[Halves]], with_length: bool
):
    address, handler = server
    handler.num_halves, handler.with_length = 2, with_length
    with fetched(f"{address}/clip.mp4") as local:
        assert local.read_bytes() == handler.content
    assert handler.num_halves == 0


def test_a_clip_of_an_http_server_is_looked_up_alone(server: tuple[str, type[Halves]]):
    address, handler = server
    ((name, size, version),) = Listing().files(f"{address}/clip.mp4")
    assert (name, size) == (f"{address}/clip.mp4", len(handler.content))
    assert version == "Sat, 01 Jan 2000 00:00:00 GMT"
    assert set(handler.asked) == {"/clip.mp4"}


def test_an_http_server_that_is_busy_is_not_one_without_the_clip(
    server: tuple[str, type[Halves]],
):
    address, handler = server
    assert Listing().files(f"{address}/none.mp4") == []
    handler.is_busy = True
    with pytest.raises(ConnectionError, match="503"):
        Listing().files(f"{address}/clip.mp4")
    with pytest.raises(ConnectionError, match="503"), fetched(f"{address}/clip.mp4"):
        pass


def test_a_server_that_stays_silent_is_the_storages_fault(
    root: str, worker: ClipWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*args: object, **options: object) -> None:
        raise OSError("503 Slow Down")

    monkeypatch.setattr(MemoryFileSystem, "get_file", fail)
    result = worker.edit(make(put(f"{root}/clip.mp4", b"abc"), tmp_path / "a.mp4"))
    assert result.kind == "storage"
    assert result.error == f"{root}/clip.mp4: cannot be fetched: 503 Slow Down"


@pytest.mark.parametrize(
    ("error", "count", "raised"),
    [(OSError("503"), TRIES, ConnectionError), (FileNotFoundError("none"), 1, MediaError)],
)
def test_how_often_something_is_tried(error: Exception, count: int, raised: type[Exception]):
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise error

    with pytest.raises(raised):
        with_retries(fail, "s3://bucket/clip.mp4", "cannot be read")
    assert len(calls) == count


def test_a_clip_that_has_changed_is_another_job(root: str, tmp_path: Path):
    job = make(put(f"{root}/clip.mp4", b"abc"), tmp_path / "a.mp4")
    first = identity(job)
    assert identity(job) == first
    put(f"{root}/clip.mp4", b"abcd")
    assert identity(job) != first


def test_pictures_that_have_changed_are_another_job(root: str, tmp_path: Path):
    put(f"{root}/pictures/0.png", b"abc")
    job = make(f"{root}/pictures", tmp_path / "a.mp4")
    first = identity(job)
    put(f"{root}/pictures/1.png", b"abc")
    assert identity(job) != first


def test_a_folder_is_listed_once(root: str, monkeypatch: pytest.MonkeyPatch):
    names = [put(f"{root}/{number}.mp4", b"a" * number) for number in range(1, 9)]
    ls, calls = MemoryFileSystem.ls, []

    def counted(*args: object, **options: object) -> object:
        calls.append(args)
        return ls(*args, **options)

    monkeypatch.setattr(MemoryFileSystem, "ls", counted)
    listing = Listing()
    sizes = [size for name in names for _, size, _ in listing.files(name)]
    assert sizes == [1, 2, 3, 4, 5, 6, 7, 8]
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("error", "count"),
    # Only an error that may pass counts against the server
    [(PermissionError("403"), 8), (OSError("403"), TRIES), (ValueError("a page"), 8)],
)
def test_clips_of_a_server_that_lists_no_folders_are_found(
    root: str, monkeypatch: pytest.MonkeyPatch, error: Exception, count: int
):
    calls = []

    def fail(*args: object, **options: object) -> None:
        calls.append(args)
        raise error

    names = [put(f"{root}/{number}/a.mp4", b"a" * number) for number in range(1, 9)]
    monkeypatch.setattr(MemoryFileSystem, "ls", fail)
    listing = Listing()
    sizes = [size for name in names for _, size, _ in listing.files(name)]
    assert sizes == [1, 2, 3, 4, 5, 6, 7, 8]
    assert len(calls) == count


def files(address: str) -> list[str]:
    fs, path = fsspec.core.url_to_fs(address)
    return sorted(str(name).removeprefix(f"{path}/") for name in fs.find(path))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    write_video(make_frames(3, 32, 48), folder, fps=10)
    return folder


def test_a_folder_of_which_a_file_fails_once_is_uploaded_flat(
    root: str, pictures: Path, monkeypatch: pytest.MonkeyPatch
):
    put, calls = MemoryFileSystem.put_file, []

    def flaky(*args: object, **options: object) -> None:
        calls.append(args)
        if len(calls) == 2:
            raise OSError("503 Slow Down")
        put(*args, **options)

    monkeypatch.setattr(MemoryFileSystem, "put_file", flaky)
    upload(pictures, f"{root}/pics")
    assert files(f"{root}/pics") == sorted(file.name for file in pictures.iterdir())
    # Only the one that failed is sent again
    assert len(calls) == len(list(pictures.iterdir())) + 1


@pytest.mark.parametrize("at", ["memory", "file"])
def test_a_folder_that_is_uploaded_twice_is_there_once(
    root: str, pictures: Path, tmp_path: Path, at: str
):
    address = f"{root}/pics" if at == "memory" else f"file://{tmp_path}/new/pics/"
    upload(pictures, address)
    first = sorted(pictures.iterdir())[0]
    first.write_bytes(b"other")
    upload(pictures, address)
    assert files(address.rstrip("/")) == sorted(file.name for file in pictures.iterdir())
    with fetched(f"{address.rstrip('/')}/{first.name}") as local:
        assert local.read_bytes() == b"other"


def test_a_listing_that_fails_once_is_tried_for_the_next_clip(
    root: str, monkeypatch: pytest.MonkeyPatch
):
    names = [put(f"{root}/{number}.mp4", b"a" * number) for number in range(1, 4)]
    ls, calls = MemoryFileSystem.ls, []

    def flaky(*args: object, **options: object) -> object:
        calls.append(args)
        if len(calls) == 1:
            raise OSError("503 Slow Down")
        return ls(*args, **options)

    monkeypatch.setattr(MemoryFileSystem, "ls", flaky)
    listing = Listing()
    assert [size for name in names for _, size, _ in listing.files(name)] == [1, 2, 3]
    assert len(calls) == 2


def test_a_file_by_its_address_is_known_for_the_file_that_it_is(clip: Path, tmp_path: Path):
    job = make(clip.as_uri(), f"file://{tmp_path}/a b.mp4")
    assert (job.source, job.source_name) == (clip, str(clip))
    assert job.out == tmp_path / "a b.mp4"


def test_a_result_that_would_replace_its_clip_by_another_name_is_refused(
    clip: Path, worker: ClipWorker
):
    before = clip.read_bytes()
    job = make(clip.as_uri(), clip)
    result = worker.edit(replace(job, run=replace(job.run, overwrite=True)))
    assert (result.state, result.kind) == ("failed", "input")
    assert clip.read_bytes() == before


@pytest.mark.parametrize("name", ["report", "mask"])
def test_other_files_are_not_at_addresses(clip: Path, tmp_path: Path, name: str):
    entries = {"input": str(clip), "instruction": "make it snow", "output": str(tmp_path / "a.mp4")}
    with pytest.raises(SettingsError, match=f"{name} s3://b/x: only input and output may be"):
        make_job(1, entries | {name: "s3://b/x"}, CONFIG)


def test_a_second_try_finds_no_report_of_the_first(
    root: str, clip: Path, worker: ClipWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*args: object, **options: object) -> None:
        raise OSError("503 Slow Down")

    job = make(str(clip), f"{root}/a.mp4")
    job = replace(job, run=replace(job.run, report=tmp_path / "report.json"))
    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "put_file", fail)
        assert worker.edit(job).kind == "storage"
    assert worker.edit(job).state == "done"
    assert (tmp_path / "report.json").exists()


@pytest.mark.parametrize("out", ["nowhere://bucket/run", "http://127.0.0.1:9/run"])
def test_an_address_that_cannot_hold_records_is_refused_in_one_line(
    clip: Path, tmp_path: Path, out: str
):
    jobs = tmp_path / "jobs.csv"
    jobs.write_text(f"input,instruction,output\n{clip},make it snow,a.mp4\n")
    options = BatchOptions(cluster="shared", out=out)
    batch = SharedBatch(path=jobs, defaults=CONFIG, options=options)
    with pytest.raises(FairyError, match=out) as raised:
        run_shared_batch(batch, on_result=lambda result: None)
    assert "\n" not in str(raised.value)


def test_what_is_not_there_has_no_files(root: str):
    assert Listing().files(f"{root}/none.mp4") == []
    assert Listing().files("nowhere://bucket/clip.mp4") == []


def test_clips_of_a_server_that_does_not_answer_are_set_aside(
    root: str, clip: Path, pipe: FairyPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    calls = []

    def fail(*args: object, **options: object) -> None:
        calls.append(args)
        raise OSError("503 Slow Down")

    monkeypatch.setattr(fairy.batch.runner, "load_editor", lambda config: pipe)
    monkeypatch.setattr(MemoryFileSystem, "info", fail)
    jobs = tmp_path / "jobs.csv"
    sources = [f"{root}/a.mp4", str(clip), f"{root}/b.mp4"]
    lines = [f"{source},make it snow,{number}.mp4" for number, source in enumerate(sources)]
    jobs.write_text("\n".join(["input,instruction,output", *lines]))
    options = BatchOptions(cluster="shared", out=str(tmp_path / "out"))
    batch = SharedBatch(path=jobs, defaults=CONFIG, options=options)
    results = run_shared_batch(batch, on_result=lambda result: None)
    assert sorted((result.line, result.state, result.kind) for result in results) == [
        (2, "failed", "storage"), (3, "done", None), (4, "failed", "storage"),
    ]  # fmt: skip
    assert results[0].error == f"{root}/a.mp4: cannot be looked up: 503 Slow Down"
    # It is not asked as often again for the second clip
    assert len(calls) == TRIES


def test_jobs_of_one_clip_fetch_it_once(
    root: str, clip: Path, pipe: FairyPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fairy.batch.runner, "load_editor", lambda config: pipe)
    get, calls = MemoryFileSystem.get_file, []

    def counted(*args: object, **options: object) -> None:
        calls.append(args)
        get(*args, **options)

    monkeypatch.setattr(MemoryFileSystem, "get_file", counted)
    address = put(f"{root}/clip.mp4", clip.read_bytes())
    jobs = [make(address, tmp_path / f"{number}.mp4", number) for number in range(2)]
    jobs[1] = replace(jobs[1], instruction="make it night")
    results: list[str] = []
    fairy.batch.runner.Runner(lambda result: results.append(result.state), None).run(jobs)
    assert results == ["done", "done"]
    assert len(calls) == 1


def test_an_output_at_an_address_needs_records(root: str, clip: Path, tmp_path: Path):
    jobs = tmp_path / "jobs.csv"
    jobs.write_text(f"input,instruction,output\n{clip},make it snow,{root}/a.mp4\n")
    (result,) = fairy.batch.runner.run_batch(jobs, CONFIG, into=str(tmp_path / "out"))
    assert (result.state, result.kind, result.output) == ("failed", "input", f"{root}/a.mp4")
    assert "--cluster shared" in str(result.error)


def test_what_is_no_address_raises_its_own_error(tmp_path: Path):
    with pytest.raises(MediaError, match="nowhere"), fetched("nowhere://bucket/clip.mp4"):
        pass
