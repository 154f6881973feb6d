"""What the page does, without the page: look at a clip, edit its anchors, edit it.

An edit runs in a thread of its own, so that the page can show how far it is, and one at a time on
each device. Tests: tests/app/test_studio.py.
"""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from PIL import Image as PilImage

from fairy.app.library import Clip, Edit, UserFolder, config_of, with_frames
from fairy.errors import FairyError, JobInterrupted, MediaError
from fairy.interrupt import Cancel
from fairy.jobs.pace import EditProgress
from fairy.jobs.warnings_log import Notes
from fairy.media.colours import Image
from fairy.media.info import VideoInfo
from fairy.media.read import probe
from fairy.models.defaults import ModelDefaults, model_defaults
from fairy.models.sources import find_model
from fairy.options import options_of
from fairy.settings import Compute, EditConfig, MediaConfig, PageOptions

if TYPE_CHECKING:
    from fairy.editors.base import Editor

T = TypeVar("T")

EXAMPLE = Path(__file__).with_name("example.mp4")
REPORT_EVERY_S = 0.4
PREVIEW_PX = 640
THUMBNAIL_PX = 320
# Anchors that are shown before an edit
MOST_ANCHORS = 4


@dataclass(frozen=True, kw_only=True)
class Running:
    """How far a job is: frames, frames/s of this run, seconds left, and the newest frame."""

    done: int = 0
    total: int = 0
    fps: float = 0.0
    left_s: float | None = None
    picture: Image | None = None


@dataclass(frozen=True, kw_only=True)
class Finished:
    """An edit with its result, and what to tell about it."""

    edit: Edit
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class AnchorFiles:
    """An anchor before and after, as picture files."""

    index: int
    source: Path
    edited: Path


class Stopped(FairyError):
    """An edit was stopped; the message says what is kept."""


class Studio:
    """Edits clips of many users with one model, on one or several devices.

    Args:
        options: limits and folders.
        compute: the model and where it runs.
    """

    def __init__(self, options: PageOptions, compute: Compute) -> None:
        devices = options.devices or (compute.device,)
        self.options, self.root = options, options.out.resolve()
        self.num_devices = len(devices)
        self._base = {
            field.name: getattr(compute, field.name)
            for field in options_of(Compute)
            if getattr(compute, field.name) != field.default
        }
        self._devices: Queue[str] = Queue()
        for device in devices:
            self._devices.put(device)
        self._editors: dict[str, Editor] = {}
        self._is_warm = False
        self._cancels: dict[Path, tuple[Cancel, threading.Event]] = {}

    def user(self, name: str) -> UserFolder:
        """Return the folder of a user."""
        return UserFolder(self.root, name)

    def config(self, edit: Edit) -> EditConfig:
        """Return all settings of an edit, as the command line takes them."""
        return config_of(edit, self._base)

    def defaults(self) -> ModelDefaults | None:
        """Return what the model knows; None where only loading it would tell."""
        source = find_model(self._base.get("model", "mini"))
        return None if isinstance(source, str) else model_defaults(source)

    def look(self, clip: Clip) -> VideoInfo:
        """Return what a clip holds, if the page takes it; a part of a longer one may be edited.

        Raises:
            MediaError: it cannot be read, or is too large.
        """
        size, options = clip.path.stat().st_size, self.options
        if size > options.max_mb * 1e6:
            raise MediaError(
                f"{clip.name}: {size / 1e6:.0f} MB, but this page takes at most "
                f"{options.max_mb}: choose a smaller file"
            )
        info = probe(clip.path)
        if info.width * info.height > options.max_pixels:
            raise MediaError(
                f"{clip.name}: {info.width}x{info.height} pixels, but this page takes at most "
                f"{options.max_pixels}: make it smaller"
            )
        return info

    def admit(self, clip: Clip, media: MediaConfig) -> None:
        """Check that the part of a clip to edit is within the limits.

        Raises:
            MediaError: it is too long, or as for `look`.
        """
        self.look(clip)
        seconds, most = probe(clip.path, media).duration_s, self.options.max_length
        if seconds > most:
            raise MediaError(
                f"{clip.name}: {seconds:.1f} s, but this page edits at most {most:g}: set the "
                "start and the end under More settings"
            )

    def warm_up(self) -> None:
        """Load the model in the background, once, before anybody needs it."""
        if not self._is_warm:
            self._is_warm = True
            threading.Thread(target=self._load_early).start()

    def _load_early(self) -> None:
        """Load the model; a failure is left for the first who needs it."""
        device = self._devices.get()
        try:
            self._editor(device, EditConfig(**self._base))
        except FairyError:
            pass
        finally:
            self._devices.put(device)

    def anchors(self, edit: Edit) -> Iterator[Running | tuple[AnchorFiles, ...]]:
        """Edit the anchors; the last item is what came of them.

        Raises:
            FairyError: as for `fairy.jobs.edit.edit_video`.
        """

        def work(device: str, cancel: Cancel, _: Reporter) -> tuple[AnchorFiles, ...]:
            from fairy.jobs.preview import preview_anchors
            from fairy.media.frames import resize

            config = replace(self.config(edit), device=device)
            request = self._request(edit, config)
            found = preview_anchors(request, editor=self._editor(device, config), most=MOST_ANCHORS)
            return tuple(
                AnchorFiles(
                    one.index,
                    _save(one.source, edit.folder / f"anchor-{one.index:06d}-source.jpg"),
                    _save(
                        resize(one.edited, one.source.shape[:2]),
                        edit.folder / f"anchor-{one.index:06d}-edited.jpg",
                    ),
                )
                for one in found
            )

        if kept := anchor_files(edit):
            yield kept
            return
        yield from self._run(edit, work)

    def edit(self, edit: Edit) -> Iterator[Running | Finished]:
        """Edit the clip, or go on with it; the last item is what came of it.

        When the iterator is closed, or `stop` is called, the frames in work are finished and kept.

        Raises:
            FairyError: as for `fairy.jobs.edit.edit_video`.
            Stopped: `stop` was called.
        """

        def work(device: str, cancel: Cancel, reporter: Reporter) -> Finished:
            from fairy.jobs.edit import run_edit

            config = replace(self.config(edit), device=device)
            editor = self._editor(device, config)
            with Notes(own_thread=True) as notes:
                try:
                    run_edit(
                        self._request(edit, config),
                        editor=editor,
                        progress=reporter,
                        cancel=cancel,
                        on_frame=reporter.on_frame,
                    )
                finally:
                    done = with_frames(edit, *reporter.frames)
                    if reporter.newest is not None:
                        _save(small(reporter.newest, THUMBNAIL_PX), edit.thumbnail)
            return Finished(edit=done, notes=tuple(notes.lines))

        if edit.is_done:
            yield Finished(edit=edit)
            return
        yield from self._run(edit, work)

    def stop(self, user: UserFolder) -> list[Edit]:
        """Stop a user's edits, wait until what they have done is kept, and return them."""
        running = {path: one for path, one in self._cancels.items() if path.parent == user.path}
        for cancel, _ in running.values():
            cancel.set()
        for _, ended in running.values():
            ended.wait(timeout=60)
        return [edit for edit in user.edits() if edit.folder in running]

    def _run(self, edit: Edit, work: Callable[[str, Cancel, Reporter], T]) -> Iterator[Running | T]:
        """Run `work` in a thread on a free device and yield how far it is, then its result."""
        key, cancel, reporter, ended = edit.folder, Cancel(), Reporter(), threading.Event()
        if key in self._cancels:
            raise MediaError("this edit is running already, maybe in another window: wait for it")
        self._cancels[key] = (cancel, ended)
        try:
            with self._device() as device, ThreadPoolExecutor(1) as pool:
                future = pool.submit(work, device, cancel, reporter)
                try:
                    yield from self._watched(future, reporter)
                finally:
                    cancel.set()
        finally:
            del self._cancels[key]
            ended.set()

    @staticmethod
    def _watched(future: Future[T], reporter: Reporter) -> Iterator[Running | T]:
        while True:
            try:
                result = future.result(timeout=REPORT_EVERY_S)
            except NotYet:
                if future.done():
                    raise
                yield reporter.now()
            except JobInterrupted as interrupt:
                # A KeyboardInterrupt would end the server
                raise Stopped(str(interrupt)) from interrupt
            else:
                yield result
                return

    @contextmanager
    def _device(self) -> Iterator[str]:
        device = self._devices.get()
        try:
            yield device
        finally:
            self._devices.put(device)

    def _editor(self, device: str, config: EditConfig) -> Editor:
        """Return the model of a device, which is free, so that nobody else loads it now."""
        if device not in self._editors:
            from fairy.editors.loading import load_editor

            self._editors[device] = load_editor(replace(config, device=device))
        return self._editors[device]

    def _request(self, edit: Edit, config: EditConfig) -> Any:
        from fairy.jobs.plan import EditRequest

        self.admit(edit.clip, config)
        return EditRequest(
            source=edit.clip.path, instruction=edit.instruction, out=edit.out, config=config
        )


class Reporter(EditProgress):
    """Collects how far a job is, from its threads."""

    def __init__(self) -> None:
        super().__init__()
        self.newest: Image | None = None

    @property
    def frames(self) -> tuple[int, int]:
        """Frames (done, of the clip)."""
        return self.done or 0, self.total or 0

    def on_frame(self, index: int, image: Image) -> None:
        """Keep the newest frame."""
        self.newest = image

    def now(self) -> Running:
        """Return how far the job is."""
        done, total = self.frames
        return Running(
            done=done,
            total=total,
            fps=self.frames_per_second or 0.0,
            left_s=self.seconds_left,
            picture=self.newest,
        )


def anchor_files(edit: Edit) -> tuple[AnchorFiles, ...]:
    """Return the anchors of an edit that are there as pictures."""
    found = []
    for edited in sorted(edit.folder.glob("anchor-*-edited.jpg")):
        source = edited.with_name(edited.name.replace("edited", "source"))
        if source.exists():
            found.append(AnchorFiles(int(edited.name.split("-")[1]), source, edited))
    return tuple(found)


def small(image: Image, side_px: int) -> Image:
    """Return an image (H,W,3) with its longer side at most `side_px`."""
    # By Pillow: `fairy.media.frames` imports torch, which a new page need not wait for
    picture = PilImage.fromarray(image)
    picture.thumbnail((side_px, side_px))
    return np.asarray(picture)


def data_url(image: Image) -> str:
    """Return a small JPEG of an image (H,W,3), to be shown at once and kept nowhere."""
    buffer = io.BytesIO()
    PilImage.fromarray(small(image, PREVIEW_PX)).save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _save(image: Image, path: Path) -> Path:
    PilImage.fromarray(image).save(path, quality=90)
    return path
