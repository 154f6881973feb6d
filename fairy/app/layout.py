"""The parts of the page, from top to bottom; `fairy.app.page` says what they do.

One column on phones. Looks: page.css. Tests: tests/app/test_page.py.
"""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from fairy.app.stage import HINT
from fairy.app.widgets import grouped, widget
from fairy.options import OptionField

HERE = Path(__file__).parent
CLIP_TYPES = ["video", ".mkv", ".mov", ".avi", ".webm", ".gif", ".ts", ".mts", ".m4v", ".wmv"]


class Parts:
    """The components of the page; made inside `gr.Blocks`."""

    def __init__(self, fields: list[OptionField]) -> None:
        # The browser's own name; it is no secret from that browser
        self.token = gr.BrowserState("", storage_key="fairy", secret="fairy")
        self.clip, self.pairs, self.listed = gr.State(None), gr.State(()), gr.State([])
        self.earlier = gr.State("")
        gr.HTML("<h1>Fairy</h1><p>Edit a video by saying what to change.</p>", elem_id="head")
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                self._build_questions(fields)
            with gr.Column(scale=7, min_width=320):
                self._build_answers()
        self._build_history()

    def _build_questions(self, fields: list[OptionField]) -> None:
        self.upload = gr.File(label="Clip", file_types=CLIP_TYPES, height=130, elem_id="clip")
        self.example = gr.Button("Use the example clip", size="sm")
        self.info = gr.HTML(elem_id="clip-info")
        self.instruction = gr.Textbox(
            label="What to change", placeholder="make it night", elem_id="instruction",
            max_length=500,
        )  # fmt: skip
        self.known = gr.Dataset(
            label="What the model knows", components=[gr.Textbox(visible=False)], samples=[],
            samples_per_page=8, elem_id="known", visible=False,
        )  # fmt: skip
        with gr.Row():
            self.show_anchors = gr.Button("Show anchors first", elem_id="anchors")
            self.start = gr.Button("Edit the clip", variant="primary", elem_id="edit")
            self.stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop")
        self.message = gr.HTML(elem_id="message")
        with gr.Accordion("Only a part of the picture", open=False):
            self.mask_drawn = gr.ImageEditor(
                label="Draw over what may change", sources=(), transforms=(), layers=False,
                brush=gr.Brush(colors=["#ff3366"], color_mode="fixed"), image_mode="RGBA",
                elem_id="mask",
            )  # fmt: skip
            self.mask_file = gr.File(
                label="Or a mask: white may change",
                file_types=["image", "video"],
                height=110,
                elem_id="mask-file",
            )
        with gr.Accordion("Edit anchors by hand", open=False):
            gr.Markdown(
                "Download the anchors, change some of them in any program, and upload those under "
                "the same names. The whole clip follows them."
            )
            self.export = gr.Button("Write the anchors as pictures", size="sm", elem_id="export")
            self.exported = gr.File(
                label="Anchors", interactive=False, visible=False, elem_id="exported"
            )
            self.keyframes = gr.File(
                label="Edited anchors",
                file_types=["image"],
                file_count="multiple",
                height=110,
                elem_id="keyframes",
            )
        with gr.Accordion("More settings", open=False, elem_id="settings"):
            self.settings_file = gr.UploadButton(
                "Load a settings file", file_types=[".json"], size="sm", elem_id="settings-file"
            )
            self.widgets = []
            for name, some in grouped(fields):
                with gr.Accordion(name, open=False):
                    self.widgets += [widget(field) for field in some]

    def _build_answers(self) -> None:
        self.stage = gr.HTML(
            HINT, elem_id="stage", js_on_load=(HERE / "player.js").read_text(encoding="utf-8"),
        )  # fmt: skip
        with gr.Column(visible=False) as self.anchor_box:
            self.slider = gr.ImageSlider(
                label="Anchor: source and edit", interactive=False, elem_id="slider", max_height=600
            )
            self.which = gr.Radio(label="Frame", choices=[], elem_id="which")
        with gr.Column(visible=False) as self.result_box:
            with gr.Row():
                self.download = gr.DownloadButton("Download", variant="primary", elem_id="download")
                self.download_settings = gr.DownloadButton(
                    "Settings file", elem_id="download-settings"
                )
            self.command = gr.Textbox(
                label="The same on the command line", interactive=False, buttons=["copy"]
            )

    def _build_history(self) -> None:
        self.history = gr.Gallery(
            label="Your edits", columns=6, height="auto", fit_columns=False, allow_preview=False,
            object_fit="cover", elem_id="history", visible=False, interactive=False, buttons=[],
        )  # fmt: skip
