"""What the denoiser of a family takes for one frame and its source, as tensors of the meta device.

With these, costs are found by running the real classes on tensors without values, from their
configuration alone. Sizes are (height, width). Tests: tests/editors/stock/test_cost.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from fairy.errors import ModelError
from fairy.models.blueprint import META

# Tokens of an instruction: what FLUX pads to; with the picture of 384 x 384 Qwen's encoder reads
FLUX_TEXT, VLM_TEXT = 512, 256
# Its own words and some of the instruction's
OMNIGEN_TEXT = 64
# CLIP's
UNET_TEXT = 77


def denoiser_inputs(
    denoiser: Any, size: tuple[int, int], dtype: torch.dtype, rows: int = 1
) -> dict[str, Any]:
    """Return the arguments of one call of a denoiser.

    Args:
        denoiser: of a class in `MAKERS`.
        size: (height, width) of the frame and of its source.
        dtype: of its activations.
        rows: guidance branches in the call.

    Raises:
        ModelError: a class that is not in `MAKERS`.
    """
    name = type(denoiser).__name__
    if name not in MAKERS:
        raise ModelError(f"{name}: its cost cannot be planned; see docs/editor-families.md")

    def make(*shape: int) -> Tensor:
        return torch.empty(rows, *shape, dtype=dtype, device=META)

    return MAKERS[name](denoiser.config, size, make)


Make = Callable[..., Tensor]


def _tokens(size: tuple[int, int]) -> int:
    return (size[0] // 16) * (size[1] // 16)


def _ids(count: int, axes: int) -> Tensor:
    return torch.zeros(count, axes, device=META)


def _flux(config: Any, size: tuple[int, int], make: Make) -> dict[str, Any]:
    count = 2 * _tokens(size)
    return {
        "hidden_states": make(count, config.in_channels),
        "encoder_hidden_states": make(FLUX_TEXT, config.joint_attention_dim),
        "pooled_projections": make(config.pooled_projection_dim),
        "timestep": make(),
        "guidance": make() if config.guidance_embeds else None,
        "img_ids": _ids(count, 3),
        "txt_ids": _ids(FLUX_TEXT, 3),
    }


def _flux2(config: Any, size: tuple[int, int], make: Make) -> dict[str, Any]:
    count = 2 * _tokens(size)
    return {
        "hidden_states": make(count, config.in_channels),
        "encoder_hidden_states": make(FLUX_TEXT, config.joint_attention_dim),
        "timestep": make(),
        "guidance": make() if config.guidance_embeds else None,
        "img_ids": _ids(count, 4)[None],
        "txt_ids": _ids(FLUX_TEXT, 4)[None],
    }


def _longcat(config: Any, size: tuple[int, int], make: Make) -> dict[str, Any]:
    count = 2 * _tokens(size)
    return {
        "hidden_states": make(count, config.in_channels),
        "encoder_hidden_states": make(FLUX_TEXT, config.joint_attention_dim),
        "timestep": make(),
        "img_ids": _ids(count, 3),
        "txt_ids": _ids(FLUX_TEXT, 3),
    }


def _fibo(config: Any, size: tuple[int, int], make: Make) -> dict[str, Any]:
    layers = config.num_layers + config.num_single_layers
    text = [make(FLUX_TEXT, config.text_encoder_dim) for _ in range(layers)]
    return {**_longcat(config, size, make), "text_encoder_layers": text}


def _qwen(config: Any, size: tuple[int, int], make: Make) -> dict[str, Any]:
    grid = (1, size[0] // 16, size[1] // 16)
    return {
        "hidden_states": make(2 * _tokens(size), config.in_channels),
        "encoder_hidden_states": make(VLM_TEXT, config.joint_attention_dim),
        "timestep": make(),
        "img_shapes": [[grid, grid]],
    }


def _joy(config: Any, size: tuple[int, int], make: Make) -> dict[str, Any]:
    return {
        "hidden_states": make(2, config.in_channels, 1, size[0] // 8, size[1] // 8),
        "encoder_hidden_states": make(VLM_TEXT, config.text_dim),
        "timestep": make(),
    }


def _joy_plus(config: Any, size: tuple[int, int], make: Make) -> dict[str, Any]:
    grid, patches = (1, size[0] // 16, size[1] // 16), make(2 * _tokens(size), config.in_channels)
    return {
        "hidden_states": patches[..., None, None, None].expand(*patches.shape, 1, 2, 2),
        "encoder_hidden_states": make(VLM_TEXT, config.text_dim),
        "timestep": make(),
        "shape_list": [[grid, grid]] * patches.shape[0],
    }


def _unet(config: Any, size: tuple[int, int], make: Make) -> dict[str, Any]:
    inputs: dict[str, Any] = {
        "sample": make(config.in_channels, size[0] // 8, size[1] // 8),
        "timestep": torch.zeros((), device=META),
        "encoder_hidden_states": make(UNET_TEXT, config.cross_attention_dim),
    }
    # Stable Diffusion XL
    if config.addition_embed_type == "text_time":
        pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        inputs["added_cond_kwargs"] = {"text_embeds": make(pooled), "time_ids": make(6)}
    return inputs


class _RopeShape(nn.Module):
    """Stands in for OmniGen's rotary embedding, which looks at the values of the positions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self._width = width

    def forward(self, hidden_states: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosines and sines (N,width) without values."""
        shape = (position_ids.shape[-1], self._width)
        return torch.empty(shape, device=META), torch.empty(shape, device=META)


def without_values(denoiser: Any) -> None:
    """Make a denoiser on the meta device run without looking at values."""
    if type(denoiser).__name__ == "OmniGenTransformer2DModel":
        denoiser.rope = _RopeShape(denoiser.rope.dim)


def _omnigen(config: Any, size: tuple[int, int], make: Make) -> dict[str, Any]:
    latents = make(config.in_channels, size[0] // 8, size[1] // 8)
    num_rows, count = len(latents), _tokens(size)
    # Text and source, the step, the frame
    length = OMNIGEN_TEXT + count + 1 + count
    source = [[OMNIGEN_TEXT, OMNIGEN_TEXT + count]]
    return {
        "hidden_states": latents,
        "timestep": make(),
        "input_ids": torch.zeros(num_rows, OMNIGEN_TEXT + count, dtype=torch.long, device=META),
        "input_img_latents": list(latents[:, None]),
        "input_image_sizes": dict.fromkeys(range(num_rows), source),
        "attention_mask": make(length, length),
        "position_ids": torch.zeros(num_rows, length, dtype=torch.long, device=META),
    }


MAKERS: dict[str, Callable[[Any, tuple[int, int], Make], dict[str, Any]]] = {
    "UNet2DConditionModel": _unet,
    "ControlNetModel": _unet,
    "FluxTransformer2DModel": _flux,
    "Flux2Transformer2DModel": _flux2,
    "QwenImageTransformer2DModel": _qwen,
    "LongCatImageTransformer2DModel": _longcat,
    "BriaFiboTransformer2DModel": _fibo,
    "JoyImageEditTransformer3DModel": _joy,
    "JoyImageEditPlusTransformer3DModel": _joy_plus,
    "OmniGenTransformer2DModel": _omnigen,
}
