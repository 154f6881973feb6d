"""The nodes: what they are called and what goes in and out; `work.py` has what they do.

IDs are part of saved workflows and never change. Nothing of Fairy's that imports torch is imported
before a node runs.
"""

from __future__ import annotations

from typing import Any

from .host import ComfyExtension, io, model_folders
from .inputs import EDIT, VIDEO_ONLY, fields, widget, widgets

CATEGORY = "Fairy"
FairyModel = io.Custom("FAIRY_MODEL")
INSTRUCTION = "What to change, in words that the model knows."
EXAMPLE = "make it night"


def _instruction() -> Any:
    return io.String.Input("instruction", default=EXAMPLE, multiline=True, tooltip=INSTRUCTION)


class InstructedNode(io.ComfyNode):
    """A node with an instruction."""

    @classmethod
    def validate_inputs(cls, instruction: str | None = None) -> bool | str:
        """Refuse an empty instruction before anything runs; None is one that a node makes."""
        if instruction is None or instruction.strip():
            return True
        return 'the instruction is empty: say what to change, as in "make it snow"'


class FairyLoadModel(io.ComfyNode):
    """Load a model once for all nodes that use it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Return what the node looks like."""
        (dtype,) = fields(("dtype",))
        return io.Schema(
            node_id="FairyLoadModel",
            display_name="Fairy Load Model",
            category=CATEGORY,
            description="Loads a model that edits pictures by an instruction.",
            inputs=[
                io.Combo.Input(
                    "model",
                    options=["mini", *model_folders()],
                    default="mini",
                    tooltip="mini is bundled and needs no download; others are folders in "
                    "diffusers format in models/fairy.",
                ),
                io.String.Input(
                    "hub_id",
                    default="",
                    tooltip="Instead of model: a repository of the Hugging Face hub, as "
                    "timbrooks/instruct-pix2pix. It is downloaded at the first run, several GB.",
                ),
                widget(dtype),
                io.String.Input(
                    "lora",
                    default="",
                    tooltip="LoRA files with a factor after a colon, as style.safetensors:0.8.",
                ),
            ],
            outputs=[FairyModel.Output(display_name="model")],
        )

    @classmethod
    def execute(cls, model: str, hub_id: str, dtype: str, lora: str) -> io.NodeOutput:
        """Load the model; it waits in memory until a node needs it."""
        from . import work

        folder = model_folders().get(model)
        name = hub_id.strip() or (model if folder is None else str(folder))
        return io.NodeOutput(work.load_model(name, dtype, lora.strip()))


class FairyEditVideo(InstructedNode):
    """Edit a video of any length."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Return what the node looks like."""
        return io.Schema(
            node_id="FairyEditVideo",
            display_name="Fairy Edit Video",
            category=CATEGORY,
            description="Edits a whole video from file to file: its frames are never in memory "
            "together. Sound, size, rotation and a variable frame rate are kept.",
            inputs=[
                FairyModel.Input("model"),
                io.Video.Input("video"),
                _instruction(),
                *widgets(EDIT + VIDEO_ONLY),
            ],
            outputs=[io.Video.Output()],
        )

    @classmethod
    def execute(cls, model: Any, video: Any, instruction: str, **settings: Any) -> io.NodeOutput:
        """Edit the video into a file of its own."""
        from . import work

        return io.NodeOutput(work.edit_video(model, video, instruction, settings))


class FairyEditFrames(InstructedNode):
    """Edit frames that other nodes made."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Return what the node looks like."""
        return io.Schema(
            node_id="FairyEditFrames",
            display_name="Fairy Edit Frames",
            category=CATEGORY,
            description="Edits frames between other nodes. All of them are in memory: for a whole "
            "clip, use Fairy Edit Video.",
            inputs=[
                FairyModel.Input("model"),
                io.Image.Input("images", tooltip="The frames of one clip, in order."),
                _instruction(),
                *widgets(EDIT),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Only what is white here may change; one for all frames, or one each.",
                ),
                io.Image.Input(
                    "anchor_images",
                    optional=True,
                    tooltip="Frames as you want them, of Fairy Anchors or by hand; the others "
                    "follow them.",
                ),
                io.String.Input(
                    "anchor_frames",
                    default="",
                    optional=True,
                    tooltip="Which frames anchor_images are, counted from 0, as in 20,60,100.",
                ),
            ],
            outputs=[io.Image.Output(display_name="images")],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        images: Any,
        instruction: str,
        mask: Any = None,
        anchor_images: Any = None,
        anchor_frames: str = "",
        **settings: Any,
    ) -> io.NodeOutput:
        """Edit the frames."""
        from . import work

        anchors = (anchor_images, anchor_frames)
        return io.NodeOutput(work.edit_frames(model, images, instruction, settings, mask, anchors))


class FairyAnchors(InstructedNode):
    """Edit the anchors alone: a preview within seconds."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Return what the node looks like."""
        return io.Schema(
            node_id="FairyAnchors",
            display_name="Fairy Anchors",
            category=CATEGORY,
            description="Edits only the anchor frames of a video, which the others would follow.",
            inputs=[
                FairyModel.Input("model"),
                io.Video.Input("video"),
                _instruction(),
                *widgets(EDIT),
            ],
            outputs=[
                io.Image.Output(display_name="anchor_images"),
                io.String.Output(display_name="anchor_frames"),
            ],
        )

    @classmethod
    def execute(cls, model: Any, video: Any, instruction: str, **settings: Any) -> io.NodeOutput:
        """Edit the anchors."""
        from . import work

        return io.NodeOutput(*work.edit_anchors(model, video, instruction, settings))


class FairyExtension(ComfyExtension):
    """What ComfyUI loads."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Return all nodes."""
        return [FairyLoadModel, FairyEditVideo, FairyEditFrames, FairyAnchors]


async def comfy_entrypoint() -> FairyExtension:
    """Return the extension; ComfyUI calls this."""
    return FairyExtension()
