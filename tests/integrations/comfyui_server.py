"""A real ComfyUI, headless on the CPU, with our nodes: started, driven over HTTP, ended.

COMFYUI_DIR is its source tree; COMFYUI_PYTHON a Python that has its requirements and Fairy's (this
one by default).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

ROOT = Path(__file__).parents[2]
NODES = ROOT / "integrations" / "comfyui"
START_S = 180.0
# A torchvision built for CUDA beside a torch for CPUs lacks these operators, and ComfyUI does not
# start; it never calls them
STARTER = """
import os, runpy, sys, torch
try:
    import torchvision
except (ImportError, RuntimeError):
    for name in [name for name in sys.modules if name.startswith("torchvision")]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
os.chdir(sys.argv[1])
sys.path.insert(0, sys.argv[1])
sys.argv = ["main.py", *sys.argv[2:]]
runpy.run_path("main.py", run_name="__main__")
"""


class ComfyServer:
    """A running ComfyUI.

    Args:
        base: its folder, with `input`, `output` and `temp`.
        port: where it listens on 127.0.0.1.
        process: the server.

    Attributes:
        url: its address.
    """

    def __init__(self, base: Path, port: int, process: subprocess.Popen[bytes]) -> None:
        self.base, self.process = base, process
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, path: str, data: dict[str, Any] | None = None) -> Any:
        """Return the JSON that the server answers."""
        body = None if data is None else json.dumps(data).encode()
        request = Request(f"{self.url}{path}", body)
        request.add_header("Content-Type", "application/json")
        with urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def queue(self, graph: dict[str, Any]) -> str:
        """Queue a graph in API form; return its ID."""
        return str(self.ask("/prompt", {"prompt": graph})["prompt_id"])

    def result(self, prompt_id: str, timeout_s: float = 300.0) -> dict[str, Any]:
        """Wait until a graph has run; return its history."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            history: dict[str, Any] = self.ask(f"/history/{prompt_id}")
            if prompt_id in history:
                return dict(history[prompt_id])
            time.sleep(0.2)
        raise TimeoutError(prompt_id)

    def run(self, graph: dict[str, Any]) -> dict[str, Any]:
        """Run a graph; return its history."""
        return self.result(self.queue(graph))

    @property
    def peak_memory_bytes(self) -> int:
        """The largest resident size of the server so far (Linux)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024


@contextmanager
def comfy_server(base: Path) -> Iterator[ComfyServer]:
    """Start ComfyUI with an empty base folder and our nodes; end it."""
    source = os.environ["COMFYUI_DIR"]
    python = os.environ.get("COMFYUI_PYTHON", sys.executable)
    for name in ("custom_nodes", "models", "input", "output", "temp", "user"):
        (base / name).mkdir(parents=True, exist_ok=True)
    (base / "custom_nodes" / "fairy").symlink_to(NODES)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--cpu", "--listen", "127.0.0.1", "--port", str(port), "--base-directory", str(base)]
    options += ["--disable-api-nodes", "--database-url", "sqlite:///:memory:"]
    paths = f"{ROOT}{os.pathsep}{ROOT / 'kernels'}"
    with (base / "log").open("wb") as log:
        process = subprocess.Popen(
            [python, "-c", STARTER, source, *options],
            env=os.environ | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=log,
            stderr=log,
        )
    server = ComfyServer(base, port, process)
    try:
        _wait_for(server)
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(server: ComfyServer) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and server.process.poll() is None:
        try:
            server.ask("/system_stats")
        except HTTPError:
            raise
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise RuntimeError((server.base / "log").read_text(errors="replace")[-3000:])
