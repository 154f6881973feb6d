"""Fairy for ComfyUI: edit whole videos by an instruction, with little memory."""

from .nodes import comfy_entrypoint

__all__ = ["comfy_entrypoint"]
