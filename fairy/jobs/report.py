"""The report of an edit as one JSON document: settings, versions, seconds per stage, peak memory.

Tests: tests/jobs/test_report.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import fairy
from fairy.control.schedule import Stretch
from fairy.editors.base import UsedSettings
from fairy.media.names import beside, make_folder_of
from fairy.media.shots import Shot
from fairy.settings import EXACT, EditConfig
from fairy.system import versions


def provenance(instruction: str, config: EditConfig, stretches: Sequence[Stretch] = ()) -> str:
    """Return how an edit was made, as one line of JSON for its output's metadata."""
    return json.dumps(how_made(instruction, config, stretches), ensure_ascii=False)


def how_made(
    instruction: str, config: EditConfig, stretches: Sequence[Stretch] = ()
) -> dict[str, object]:
    """Return how an edit was made: the tool, the model, the instruction unless it is left out.

    Where a schedule's `stretches` have other texts, these are the instruction, by first frame.
    """
    texts = {str(one.first): one.text for one in stretches}
    scheduled = any(text != instruction for text in texts.values())
    asked = {"schedule": texts} if scheduled else {"instruction": instruction}
    return {
        "tool": "fairy",
        "version": fairy.__version__,
        **({} if config.c2pa_no_prompt else asked),
        "model": config.model,
        "seed": config.seed,
        "quality": config.shortcuts.quality,
        **_not_exact(config),
    }


def _not_exact(config: EditConfig) -> dict[str, object]:
    """Return the settings that differ from an exact edit at the source's size and rate."""
    # Without the folders of this machine
    upscale = None if config.upscale is None else Path(config.upscale).name
    after = {"upscale": upscale, "interpolate": config.interpolate, "watermark": config.watermark}
    chosen = asdict(config.shortcuts) | {"fp8": config.fp8, "decoder": config.decoder} | after
    exact = asdict(EXACT) | {"fp8": False, "decoder": None} | dict.fromkeys(after)
    return {name: value for name, value in chosen.items() if value != exact[name]}


@dataclass(frozen=True, kw_only=True)
class EditReport:
    """One finished edit.

    Attributes:
        source: the clip that was read.
        out: the file or folder that was written.
        compare: the side-by-side clip, if one was written.
        instruction: the instruction.
        settings: the settings as given; None is the model's default.
        used: the values that ran: anchors, steps, scales, batch, device, backend and its reason.
        num_frames: frames read.
        num_frames_out: frames written.
        fps: average frames per second of the clip, as a fraction ("30000/1001").
        size: (height, width) of the result.
        seconds: time per stage (load, read, anchors, edit, write) and "total"; "read" and "write"
            are the time that the edit waited for the codecs, which run in parallel.
        codec_seconds: time that the codecs' threads were busy: "read" and "write".
        model_seconds: time of the model's stages on its device ("vae_encode", "anchors", "frames",
            "vae_decode"), which are parts of "anchors" and "edit".
        peak_memory_bytes: largest resident size of the process.
        peak_device_memory_bytes: largest CUDA allocation of the edit; None without CUDA.
        shots: (first frame, frame after the last) of each shot.
        num_frames_kept: frames that were done already, by an edit that was interrupted.
        num_frames_copied: frames that were copied from the clip as they are stored.
        versions: Fairy, Python, the platform and the libraries that matter.
        notes: warnings of the edit: fewer anchors, unknown words, audio left out.
    """

    source: str
    out: str
    compare: str | None
    instruction: str
    settings: EditConfig
    used: UsedSettings
    num_frames: int
    num_frames_out: int
    fps: str
    size: tuple[int, int]
    seconds: dict[str, float]
    codec_seconds: dict[str, float]
    model_seconds: dict[str, float]
    peak_memory_bytes: int
    peak_device_memory_bytes: int | None
    shots: tuple[Shot, ...] = ()
    num_frames_kept: int = 0
    num_frames_copied: int = 0
    versions: dict[str, str] = field(default_factory=versions)
    notes: tuple[str, ...] = ()

    @property
    def frames_per_second(self) -> float:
        """Frames per second of the whole edit, without loading the model."""
        edited = self.num_frames - self.num_frames_kept - self.num_frames_copied
        return edited / max(self.seconds["total"] - self.seconds.get("load", 0), 1e-9)

    @property
    def summary(self) -> str:
        """One line for the terminal: output, frames, time, backend."""
        speed = f"{self.seconds['total']:.1f} s, {self.frames_per_second:.2f} frames/s"
        where = f"{self.used.backend} on {self.used.device}"
        return f"{self.out}: {self.num_frames_out} frames, {speed}, {where}"

    def to_json(self) -> str:
        """Return the report as a JSON document with a trailing newline."""
        document = {**asdict(self), "frames_per_second": round(self.frames_per_second, 3)}
        return json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n"

    def write(self, path: Path, when_whole: Callable[[Path], None] = lambda part: None) -> None:
        """Write the report to `path` atomically; `when_whole` is as for `VideoWriter`."""
        make_folder_of(path)
        partial = beside(path, ".fairy.part", hidden=True)
        # File names may contain bytes that are not valid text
        partial.write_text(self.to_json(), encoding="utf-8", errors="backslashreplace")
        when_whole(partial)
        partial.replace(path)
