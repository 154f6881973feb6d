"""What each part of the page does: its events, and what the studio answers.

Tests: tests/app/test_page.py (in a browser), tests/app/test_api.py.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
import numpy as np
from PIL import Image as PilImage

from fairy.app.layout import Parts
from fairy.app.library import Clip, Edit, UserFolder, player_file
from fairy.app.stage import HINT, clip_facts, player, refused, running, running_text, told
from fairy.app.studio import (
    EXAMPLE,
    AnchorFiles,
    Finished,
    Running,
    Stopped,
    Studio,
    anchor_files,
    small,
)  # fmt: skip
from fairy.app.widgets import chosen, page_fields, shown
from fairy.errors import FairyError, MediaError, SettingsError
from fairy.jobs.settings_file import command_line, read_settings, save_settings
from fairy.jobs.warnings_log import Notes
from fairy.media.read import read_frame_at
from fairy.models.instructions import FORCE_ADVICE
from fairy.settings import EditConfig, in_flags

MASK_PX = 960
# On phones, what happens is below the form
SHOW_STAGE = "() => document.querySelector('#stage')?.scrollIntoView({block: 'nearest'})"

T = TypeVar("T")


class Page:
    """Builds the page and answers its events."""

    def __init__(self, studio: Studio) -> None:
        self.studio, self.fields = studio, page_fields()
        # Uploads and previews of gradio's own, after a day
        with gr.Blocks(
            title="Fairy", analytics_enabled=False, delete_cache=(3600, 86400)
        ) as self.blocks:
            self.parts = Parts(self.fields)
            self._serve_api()
            self._connect()

    def _serve_api(self) -> None:
        """Offer `/edit` to `gradio_client`."""
        with gr.Column(visible=False):
            clip, instruction = gr.File(label="clip"), gr.Textbox(label="instruction")
            settings, result = gr.JSON(value={}, label="settings"), gr.File(label="result")
            gr.Button().click(
                self.answer_edit, [clip, instruction, settings], result, api_name="edit",
                api_description="Edit a clip as the instruction says; settings by their names.",
                concurrency_limit=self.studio.num_devices, concurrency_id="device",
            )  # fmt: skip

    def _connect(self) -> None:
        parts = self.parts
        asked = [
            parts.token, parts.clip, parts.instruction, parts.mask_drawn, parts.mask_file,
            parts.keyframes, *parts.widgets,
        ]  # fmt: skip
        source = [parts.clip, parts.info, parts.mask_drawn, parts.upload]
        result = [
            parts.message, parts.stage, parts.anchor_box, parts.result_box, parts.pairs,
            parts.which, parts.slider, parts.download, parts.download_settings, parts.command,
        ]  # fmt: skip
        buttons = [parts.show_anchors, parts.start, parts.stop]
        history = [parts.history, parts.listed]
        private: dict[str, Any] = {"api_visibility": "private"}
        quick = {**private, "queue": False, "show_progress": "hidden"}
        looking = {**quick, "show_progress": "minimal", "show_progress_on": parts.info}
        on_device = {
            **private, "concurrency_id": "device", "concurrency_limit": self.studio.num_devices,
            "show_progress": "minimal", "show_progress_on": parts.message,
        }  # fmt: skip

        self.blocks.load(self.answer_load, parts.token, [parts.token, *history], **quick).then(
            self.answer_known, None, parts.known, **quick
        )
        new_clip = [*source, *result[:4]]
        parts.upload.upload(
            self._at_once(self.answer_clip), [parts.token, parts.upload], new_clip, **looking
        )
        parts.example.click(self._at_once(self.answer_example), parts.token, new_clip, **looking)
        parts.known.click(lambda row: row[0], parts.known, parts.instruction, **quick)
        runs = []
        for button, answer in (
            (parts.show_anchors, self.answer_anchors),
            (parts.start, self.answer_start),
        ):
            run = button.click(_busy, None, buttons, js=SHOW_STAGE, **quick).then(
                self._in_turn(answer), asked, result, **on_device
            )
            # Where the queue is full, nothing else follows
            run.failure(_idle, None, buttons, **quick)
            run.then(_idle, None, buttons, **quick).then(
                self.answer_history, parts.token, history, **quick
            )
            runs.append(run)
        stopped = [parts.message, *buttons, *history]
        parts.stop.click(self.answer_stop, parts.token, stopped, cancels=runs, **quick)
        parts.which.input(self.answer_which, [parts.which, parts.pairs], parts.slider, **quick)
        parts.export.click(
            self._at_once(self.answer_export), asked, [parts.exported, parts.message], **quick
        )
        parts.settings_file.upload(
            self._at_once(self.answer_settings), [parts.token, parts.settings_file],
            [parts.message, *parts.widgets], **quick,
        )  # fmt: skip
        parts.history.select(_selected, parts.listed, parts.earlier, **quick).then(
            self._at_once(self.answer_earlier), [parts.token, parts.earlier],
            [*source, *result, parts.instruction, *parts.widgets], **quick,
        )  # fmt: skip

    def _in_turn(self, answer: Callable[..., Iterator[dict[Any, Any]]]) -> Callable[..., Any]:
        """Make a queued event of `answer`, which gets the user; an error becomes the message."""

        def answering(request: gr.Request, token: str, *asked: Any) -> Iterator[dict[Any, Any]]:
            user = self._user(token, request)
            try:
                yield from answer(user, *asked)
            except (FairyError, OSError) as error:
                yield self._show_error(user, error, *asked)

        return answering

    def _at_once(self, answer: Callable[..., dict[Any, Any]]) -> Callable[..., Any]:
        """Make an event of `answer` that waits for nobody; an error becomes the message."""

        def answering(request: gr.Request, token: str, *asked: Any) -> dict[Any, Any]:
            user = self._user(token, request)
            try:
                return answer(user, *asked)
            except (FairyError, OSError) as error:
                return self._show_error(user, error, *asked)

        return answering

    def _show_error(self, user: UserFolder, error: Exception, *asked: Any) -> dict[Any, Any]:
        """Show an error; what was shown of a clip's edit gives way to the clip."""
        clip = next((one for one in asked[:1] if isinstance(one, Clip)), None)
        shown = {self.parts.message: refused(_one_line(error, user, clip))}
        if clip is not None:
            stage = player(player_file(clip.path)) if clip.path.exists() else HINT
            shown[self.parts.stage] = gr.HTML(stage, visible=True)
        return shown

    # What the events do

    def answer_load(self, token: str, request: gr.Request) -> tuple[Any, ...]:
        """Give a new browser a name, and show the edits of a known one."""
        token = token or secrets.token_urlsafe(24)
        return token, *self.answer_history(token, request)

    def answer_known(self) -> Any:
        """Show what the model knows."""
        defaults = self.studio.defaults()
        names = (
            list(defaults.instructions or (e.instruction for e in defaults.edits))
            if defaults
            else []
        )
        # Only now: importing the model's libraries would slow down the page's own start
        self.studio.warm_up()
        return gr.Dataset(samples=[[name] for name in names], visible=bool(names))

    def answer_history(self, token: str, request: gr.Request) -> tuple[Any, Any]:
        """Show the user's edits that have a picture."""
        edits = [one for one in self._user(token, request).edits() if one.thumbnail.exists()]
        items = [(str(one.thumbnail), _caption(one)) for one in edits]
        return (
            gr.Gallery(items, visible=bool(items), selected_index=None),
            [one.folder.name for one in edits],
        )

    def answer_clip(self, user: UserFolder, upload: str) -> dict[Any, Any]:
        """Keep a clip, and show it with what it holds."""
        parts = self.parts
        try:
            values = self._show_clip(user.keep_clip(Path(upload)))
        except (FairyError, OSError) as error:
            return self._show_error(user, error) | {parts.upload: None}
        return values | {
            parts.message: "",
            parts.anchor_box: gr.Column(visible=False),
            parts.result_box: gr.Column(visible=False),
        }

    def answer_example(self, user: UserFolder) -> dict[Any, Any]:
        """Take the bundled clip."""
        return self.answer_clip(user, str(EXAMPLE)) | {self.parts.upload: None}

    def _show_clip(self, clip: Clip) -> dict[Any, Any]:
        """Return the clip, what it holds, a player, and its first frame to draw a mask on."""
        with Notes(own_thread=True) as notes:
            info = self.studio.look(clip)
        said = [line.removeprefix(f"{clip.path}: ") for line in notes.lines]
        first = small(read_frame_at(clip.path, [0])[0].image, MASK_PX)
        return {
            self.parts.clip: clip,
            self.parts.info: clip_facts(clip.name, info, said),
            self.parts.stage: gr.HTML(player(player_file(clip.path)), visible=True),
            self.parts.mask_drawn: {"background": first, "layers": [], "composite": None},
        }

    def answer_anchors(self, user: UserFolder, *asked: Any) -> Iterator[dict[Any, Any]]:
        """Edit the anchors and show them."""
        edit = self._edit(user, *asked)
        items = self.studio.anchors(edit)
        yield from self._show_running(items, "Editing the anchors", self._show_anchors)

    def _show_anchors(self, pairs: Sequence[AnchorFiles]) -> dict[Any, Any]:
        parts, names = self.parts, [str(one.index) for one in pairs]
        return {
            parts.stage: gr.HTML(visible=False),
            parts.anchor_box: gr.Column(visible=True),
            parts.pairs: pairs,
            parts.which: gr.Radio(names, value=names[0], visible=len(names) > 1),
            parts.slider: (str(pairs[0].source), str(pairs[0].edited)),
            parts.message: told(
                "The anchors.", "The clip follows them: edit it, or change the instruction."
            ),
        }

    def answer_which(self, which: str, pairs: Any) -> tuple[str, str]:
        """Show another anchor."""
        return next((str(one.source), str(one.edited)) for one in pairs if str(one.index) == which)

    def answer_start(self, user: UserFolder, *asked: Any) -> Iterator[dict[Any, Any]]:
        """Edit the clip and show the result."""
        edit = self._edit(user, *asked)
        yield from self._show_running(self.studio.edit(edit), "Editing", self._show_result)

    def _show_running(
        self, items: Iterator[Running | T], what: str, show: Callable[[T], dict[Any, Any]]
    ) -> Iterator[dict[Any, Any]]:
        """Show how far a job is, then its result."""
        yield self._begin()
        # `answer_stop` says what is kept
        with suppress(Stopped):
            for item in items:
                if isinstance(item, Running):
                    yield {self.parts.stage: running(item, what)}
                else:
                    yield show(item)

    def _begin(self) -> dict[Any, Any]:
        return {
            self.parts.stage: gr.HTML(running(Running(), "Starting"), visible=True),
            self.parts.anchor_box: gr.Column(visible=False),
            self.parts.result_box: gr.Column(visible=False),
            self.parts.message: "",
        }

    def _show_result(self, finished: Finished) -> dict[Any, Any]:
        edit = finished.edit
        config, settings = self.studio.config(edit), edit.folder / "settings.json"
        save_settings(config, settings, overwrite=True)
        source = player_file(edit.clip.path)
        return {
            self.parts.stage: gr.HTML(player(source, player_file(edit.out)), visible=True),
            self.parts.anchor_box: gr.Column(visible=False),
            self.parts.result_box: gr.Column(visible=True),
            self.parts.message: told("Done.", notes=finished.notes),
            self.parts.download: str(edit.out),
            self.parts.download_settings: str(settings),
            self.parts.command: command_line(
                edit.clip.name, edit.instruction, edit.out.name, config
            ),
        }

    def answer_stop(self, token: str, request: gr.Request) -> tuple[Any, ...]:
        """Stop the user's edits; what is done is kept."""
        text = ""
        for edit in self.studio.stop(self._user(token, request)):
            if edit.frames[0]:
                done, total = edit.frames
                text = f"{done} of {total} frames are kept: “Edit the clip” goes on from there."
        return told("Stopped.", text), *_idle(), *self.answer_history(token, request)

    def answer_export(self, user: UserFolder, *asked: Any) -> dict[Any, Any]:
        """Write the anchors as pictures, in one archive."""
        from fairy.jobs.export_anchors import export_anchors

        clip = _needed(asked[0])
        config = EditConfig(**self._settings(user, clip, *asked[2:4], (), *asked[5:]))
        self.studio.admit(clip, config)
        # In gradio's cache, which is cleaned
        folder = Path(tempfile.mkdtemp(dir=self.blocks.GRADIO_CACHE))
        export_anchors(clip.path, folder / "anchors", config)
        archive = shutil.make_archive(str(folder / "anchors"), "zip", folder / "anchors")
        return {self.parts.exported: gr.File(archive, visible=True), self.parts.message: ""}

    def answer_settings(self, user: UserFolder, path: str) -> dict[Any, Any]:
        """Show the settings of a file; those of the server stay as they are."""
        file = Path(path)
        user.names[file] = file.name
        return self._show_settings(read_settings(file)) | {
            self.parts.message: told("Settings loaded.")
        }

    def _show_settings(self, settings: Mapping[str, Any]) -> dict[Any, Any]:
        return dict(zip(self.parts.widgets, shown(self.fields, settings), strict=True))

    def answer_earlier(self, user: UserFolder, name: str) -> dict[Any, Any]:
        """Show an earlier edit with its settings; an unfinished one can go on."""
        edit = user.find(name)
        if edit is None or not edit.clip.path.exists():
            raise MediaError("this edit was deleted: reload the page")
        values = self._begin() | self._show_clip(edit.clip)
        if edit.is_done:
            values |= self._show_result(Finished(edit=edit))
        elif pairs := anchor_files(edit):
            values |= self._show_anchors(pairs)
        return {
            **values,
            **self._show_settings(edit.settings),
            self.parts.upload: None,
            self.parts.instruction: edit.instruction,
        }

    def answer_edit(
        self,
        clip: str,
        instruction: str,
        settings: dict[str, Any],
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[Any]:
        """Edit a clip for `gradio_client`, which gets the file."""
        if not clip:
            raise gr.Error("no clip: give a file, as in handle_file('clip.mp4')")
        # Every call has a folder of its own
        user = self.studio.user(f"api {secrets.token_hex(16)}")
        kept = user.keep_clip(Path(clip))
        try:
            edit = user.edit(kept, instruction, self._named_settings(settings or {}))
            for item in self.studio.edit(edit):
                if isinstance(item, Running):
                    now = (item.done, item.total or None)
                    progress(now, desc=running_text(item, "Editing"), unit="frames")
                    yield gr.skip()
                else:
                    yield str(item.edit.out)
        except (FairyError, OSError) as error:
            raise gr.Error(_one_line(error, user), print_exception=False) from error

    def _named_settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings by their names, checked."""
        known = {field.name for field in self.fields}
        if unknown := sorted(set(settings) - known):
            raise SettingsError(
                f"unknown settings {', '.join(unknown)}: use {', '.join(sorted(known))}"
            )
        return chosen(self.fields, [settings.get(field.name) for field in self.fields])

    # Who asks for what

    def _user(self, token: str, request: gr.Request) -> UserFolder:
        name = getattr(request, "username", None)
        return self.studio.user(f"login {name}" if name else f"browser {token}")

    def _edit(self, user: UserFolder, clip: Clip | None, instruction: str, *asked: Any) -> Edit:
        """Return the edit that the page asks for; it is new unless the same was asked before."""
        clip = _needed(clip)
        if not instruction.strip():
            raise SettingsError('say what to change, as in "make it night"')
        return user.edit(clip, instruction, self._settings(user, clip, *asked))

    def _settings(self, user: UserFolder, clip: Clip, drawn: Any, mask: str | None,
                  keyframes: Any, *values: Any) -> dict[str, Any]:  # fmt: skip
        """Return the chosen settings, with the mask and key frames that were uploaded."""
        settings = chosen(self.fields, values)
        if mask is not None:
            settings["mask"] = str(user.keep_mask(Path(mask)))
        elif (picture := _drawn_mask(drawn)) is not None:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "mask.png")
                PilImage.fromarray(picture).save(path)
                settings["mask"] = str(user.keep_mask(path))
        if keyframes:
            from fairy.jobs.export_anchors import export_anchors

            config = EditConfig(**settings)
            settings["keyframes"] = str(
                user.keep_keyframes(
                    [Path(one) for one in keyframes],
                    lambda folder: export_anchors(clip.path, folder, config),
                )
            )
        return settings


def _needed(clip: Clip | None) -> Clip:
    if clip is None:
        raise MediaError("choose a clip first")
    return clip


def _one_line(error: Exception, user: UserFolder, clip: Clip | None = None) -> str:
    """Return an error as the command line says it, with files by the names that users gave them."""
    text = str(error)
    names = user.names if clip is None else {**user.names, clip.path: clip.name}
    for path, name in names.items():
        text = text.replace(str(path), name)
    return in_flags(text.removesuffix(FORCE_ADVICE))


def _selected(listed: list[str], event: gr.SelectData) -> str:
    return listed[int(event.index)]


def _busy() -> tuple[Any, Any, Any]:
    off = gr.Button(interactive=False)
    return off, off, gr.Button(visible=True)


def _idle() -> tuple[Any, Any, Any]:
    on = gr.Button(interactive=True)
    return on, on, gr.Button(visible=False)


def _caption(edit: Edit) -> str:
    done, total = edit.frames
    return edit.instruction if edit.is_done else f"{edit.instruction} ({done} of {total})"


def _drawn_mask(drawn: Any) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
    """Return what was drawn, uint8 (H,W), white where there is paint; None without any."""
    layers = [np.asarray(one) for one in (drawn or {}).get("layers") or ()]
    painted = [one[..., 3] > 0 for one in layers if one.ndim == 3 and one.shape[-1] == 4]
    if not any(one.any() for one in painted):
        return None
    return np.where(np.any(painted, axis=0), 255, 0).astype(np.uint8)
