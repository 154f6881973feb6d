"""Measure how long an edit takes on this machine; `fairy doctor --plan 1280x720` prints it.

A short probe: an anchor and a frame of noise are edited in one step and in two, which gives the
time of any number of steps, and a frame is enlarged to the clip's size. Sizes are (height, width).
Tests: tests/doctor/test_time_plan.py.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fairy.editors.base import Anchor, EditInput, Editor
from fairy.editors.loading import load_editor
from fairy.media.enlarge import enlarge
from fairy.media.frames import fit_size, resize
from fairy.models.catalogue import cached_models
from fairy.models.controlnets import read_controls
from fairy.models.sources import find_model
from fairy.settings import EditConfig


@dataclass(frozen=True, kw_only=True)
class TimePlan:
    """How long an edit takes here, without decoding and encoding, which run beside it.

    Attributes:
        device: where the probe ran.
        size: (height, width) at which the model works.
        num_steps: denoising steps.
        load_s: loading the model.
        anchors_s: all anchors of a shot.
        frame_s: each frame, enlarging included.
    """

    device: str
    size: tuple[int, int]
    num_steps: int
    load_s: float
    anchors_s: float
    frame_s: float

    def seconds(self, num_frames: int) -> float:
        """Return the seconds that a clip of one shot takes."""
        return self.load_s + self.anchors_s + num_frames * self.frame_s


def can_measure(config: EditConfig) -> bool:
    """Return whether the weights of the model and of its ControlNets are on this machine."""
    if config.model == "sd15":
        return False
    source, cached = find_model(config.model), {one.name for one in cached_models()}
    nets = [one.model for one in read_controls(config.control)]
    return (not isinstance(source, str) or source in cached) and all(
        net in cached or Path(net).expanduser().exists() for net in nets
    )


def measure_time(clip_size: tuple[int, int], config: EditConfig) -> TimePlan:
    """Run the probe for a clip of `clip_size`; needs the model's weights.

    Raises:
        FairyError: the model cannot be loaded, or the device is not there.
    """
    began = time.perf_counter()
    editor = load_editor(config)
    load_s = time.perf_counter() - began
    settings = editor.defaults.fill(config)
    assert settings.size is not None
    assert settings.num_inference_steps is not None
    size = fit_size(*clip_size, size=settings.size, multiple=editor.grid)
    probe = Probe(editor, config, clip_size, size)
    # The first run of a process is slower
    probe.run(1)
    by_steps = {num_steps: probe.run(num_steps) for num_steps in (1, 2)}
    anchors_s, frame_s = (
        at_steps(by_steps[1][part], by_steps[2][part], settings.num_inference_steps)
        for part in (0, 1)
    )
    return TimePlan(
        device=probe.device,
        size=size,
        num_steps=settings.num_inference_steps,
        load_s=load_s,
        anchors_s=config.num_anchors * anchors_s,
        frame_s=frame_s + probe.enlarge_s(),
    )


def at_steps(one_s: float, two_s: float, num_steps: int) -> float:
    """Return the seconds of `num_steps` steps, if one and two take these.

    >>> at_steps(3.0, 5.0, 10)
    21.0
    """
    each_s = max(0.0, two_s - one_s)
    return one_s + (num_steps - 1) * each_s


class Probe:
    """Edits one frame of noise beside one anchor.

    Args:
        editor: the model.
        config: settings of the edit.
        clip_size: of the clip.
        size: at which the model works.
    """

    def __init__(
        self, editor: Editor, config: EditConfig, clip_size: tuple[int, int], size: tuple[int, int]
    ) -> None:
        self._editor, self._config, self._size = editor, config, size
        shape = (2, *clip_size, 3)
        self._frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        self._instruction = next(iter(editor.defaults.instructions), "make it snow")
        self.device = ""

    def run(self, num_steps: int) -> tuple[float, float]:
        """Return the seconds of the anchor and of the frame."""
        settings = replace(
            self._config, num_inference_steps=num_steps, num_anchors=1, frame_batch_size=1
        )
        anchor, frame = self._frames
        began = time.perf_counter()
        with self._editor.begin(
            self._instruction, [Anchor(0, anchor)], settings, size=self._size
        ) as session:
            anchored = time.perf_counter()
            # The result is on the CPU: the device is done
            session.edit([EditInput(1, frame)])
            ended = time.perf_counter()
            self.device = session.used.device
        return anchored - began, ended - anchored

    def enlarge_s(self) -> float:
        """Return the seconds of enlarging a frame to the clip's size."""
        if not self._config.keep_size:
            return 0.0
        small, clip_size = resize(self._frames[0], self._size), self._frames.shape[1:3]
        began = time.perf_counter()
        enlarge(self._frames[0], small, clip_size, method=self._config.enlarge)
        return time.perf_counter() - began
