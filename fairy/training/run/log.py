"""Write a run's metrics: `metrics.jsonl`, TensorBoard events and `curves.png`.

Tests: tests/training/run/test_log.py.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboardX import SummaryWriter
from torch import Tensor

from fairy.training.run.curves import draw_curves


class MetricsLog:
    """Averages the steps' metrics between lines, and writes the lines.

    Args:
        folder: the run's folder.
        step: steps done so far; lines of later steps are dropped, because the run repeats them.
        images_per_step: images of a step, on all processes together.
        active: False on all processes except one; these write nothing.

    Attributes:
        newest: the newest value of every metric, including those from before a resume.
    """

    def __init__(self, folder: Path, step: int, images_per_step: int, *, active: bool) -> None:
        self.newest: dict[str, float] = {}
        self._folder, self._path = folder, folder / "metrics.jsonl"
        self._images_per_step = images_per_step
        self._sums: dict[str, Tensor] = {}
        self._count = 0
        self._since_s = time.monotonic()
        self._events = None
        if active:
            self._forget_after(step)
            events = folder / "tensorboard"
            self._events = SummaryWriter(str(events), purge_step=step + 1)

    def add(self, metrics: Mapping[str, Tensor]) -> None:
        """Add one step's scalars without reading them back from the device."""
        for name, value in metrics.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._count += 1

    def means(self) -> dict[str, float]:
        """Return the means since the last call, with the speed, and start over."""
        means = {name: float(value) / self._count for name, value in self._sums.items()}
        now_s = time.monotonic()
        means["seconds_per_step"] = (now_s - self._since_s) / max(self._count, 1)
        means["images_per_second"] = self._images_per_step / max(means["seconds_per_step"], 1e-9)
        self._sums, self._count, self._since_s = {}, 0, now_s
        return means

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append a JSON line, and write the same values as TensorBoard events."""
        self.newest = {**self.newest, **metrics}
        if self._events is None:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\n")
        for name, value in metrics.items():
            self._events.add_scalar(name, value, step)

    def draw(self) -> None:
        """Draw the curves of all lines so far."""
        if self._events is not None:
            self._events.flush()
            draw_curves(self._path, self._folder / "curves.png")

    def close(self) -> None:
        """Flush and close the TensorBoard events."""
        if self._events is not None:
            self._events.close()

    def _forget_after(self, step: int) -> None:
        path = self._path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        for line in kept:
            self.newest |= {k: v for k, v in json.loads(line).items() if k != "step"}
