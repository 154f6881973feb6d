"""A process that runs commands of `fairy`, one line of JSON in, one out; a crash ends only it.

The model is a tiny one with random weights: what is fuzzed is the reading, the options and the
writing. `copy` reads a clip and writes it again without an edit, thinned out if asked to.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
LIMIT_S = 20


@dataclass(frozen=True)
class Outcome:
    """How a command ended: exit code, what it said, its peak memory; None and why if it did not."""

    exit_code: int | None
    said: str
    peak_bytes: int = 0


class Worker:
    """Starts the process when it is needed, and again after a crash or a hang."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, *arguments: object, stdin: Path = Path(os.devnull)) -> Outcome:
        """Run `fairy ARGUMENTS` in the process, with the content of `stdin` piped in."""
        process = self._started()
        call = [[str(argument) for argument in arguments], str(stdin)]
        process.stdin.write(json.dumps(call).encode() + b"\n")
        process.stdin.flush()
        if not _answers(process):
            self.close()
            return Outcome(None, f"hangs: more than {LIMIT_S} s")
        line = process.stdout.readline()
        if not line:
            code = process.wait()
            self._process = None
            return Outcome(None, f"crashed with {code}")
        return Outcome(**json.loads(line))

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            path = f"{ROOT}{os.pathsep}{ROOT / 'kernels'}"
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.worker"],
                env={**os.environ, "PYTHONPATH": path},
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            # The first line says that everything is imported: that is not the command's time.
            self._process.stdout.readline()
        return self._process


def _answers(process: subprocess.Popen[bytes]) -> bool:
    """Wait for an answer: `LIMIT_S` of the processor's time, or six times that by the clock."""
    busy_s, until = _busy_s(process), time.monotonic() + 6 * LIMIT_S
    while not select.select([process.stdout], [], [], 0.5)[0]:
        if time.monotonic() > until or _busy_s(process) - busy_s > LIMIT_S:
            return False
    return True


def _busy_s(process: subprocess.Popen[bytes]) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system


def serve() -> None:
    """Answer commands until the input ends."""
    import fairy.batch.runner
    import fairy.jobs.edit
    from fairy.editors.ip2p.pipeline import FairyPipeline
    from tests.tiny import make_tiny_pipeline

    pipe = FairyPipeline.from_pipe(make_tiny_pipeline())
    fairy.jobs.edit.load_editor = fairy.batch.runner.load_editor = lambda config: pipe
    answers, sys.stdout = sys.stdout, sys.stderr
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(_run(*json.loads(line))), file=answers, flush=True)


def _run(arguments: list[str], stdin: str) -> dict[str, object]:
    from typer.testing import CliRunner

    from fairy.cli.app import app

    if not any(command.name == "copy" for command in app.registered_commands):
        _add_copy(app)
    result = CliRunner().invoke(app, arguments, input=Path(stdin).read_bytes())
    failed = result.exception is not None and not isinstance(result.exception, SystemExit)
    said = f"{result.output}\n{result.exception!r}" if failed else result.output
    code = 1 if failed else result.exit_code
    return {"exit_code": code, "said": said, "peak_bytes": _peak_bytes()}


def _peak_bytes() -> int:
    """Return the most memory that this process has held; 0 where the system does not say.

    `ru_maxrss` would count that of the process which started this one, too.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def _add_copy(app: object) -> None:
    from fairy.cli.console import user_facing
    from fairy.media import VideoWriter, check_output, probe, read_frames

    @app.command(name="copy")
    @user_facing
    def copy(source: Path, out: Path, every: int = 1) -> None:
        """Read a clip and write it again, of its rows and columns one in `every`."""
        check_output(out)
        info = probe(source)
        height, width = (len(range(0, side, every)) for side in (info.height, info.width))
        with VideoWriter(out, info=info, height=height, width=width) as writer:
            for frame in read_frames(source):
                image = frame.image[::every, ::every]
                writer.write(image, frame.pts, frame.time_base, frame.duration)


if __name__ == "__main__":
    serve()
