"""What an IP-Adapter sees of a reference picture, for each guidance branch.

Tests: tests/editors/ip2p/test_reference.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import PIL.Image
import torch
from torch import Tensor

from fairy.editors.ip2p.guidance import Guidance
from fairy.errors import SettingsError
from fairy.media.read import read_frame_at

if TYPE_CHECKING:
    from fairy.editors.ip2p.pipeline import FairyPipeline


@torch.no_grad()
def encode_reference(
    pipe: FairyPipeline, references: Sequence[Path], guidance: Guidance
) -> tuple[Tensor, ...]:
    """Return the embeddings of the reference picture, (G,1,D) for the adapter; none without one.

    As in diffusers, only the `text` branch sees the picture.

    Raises:
        SettingsError: a picture without an adapter, or an adapter without exactly one picture.
    """
    has_adapter = getattr(pipe.unet.config, "encoder_hid_dim_type", None) == "ip_image_proj"
    if not has_adapter and not references:
        return ()
    if not has_adapter:
        raise SettingsError(
            "ref: InstructPix2Pix models take one picture, the frame: leave --ref out, give "
            "--ip-adapter, or use a --model that takes several"
        )
    if len(references) != 1:
        raise SettingsError(
            f"ref: an IP-Adapter takes one picture, but --ref has {len(references)}"
        )
    picture = PIL.Image.fromarray(read_frame_at(references[0], [0])[0].image)
    embeds = pipe.prepare_ip_adapter_image_embeds(
        [picture], None, pipe._execution_device, 1, guidance.enabled
    )
    return tuple(one[: guidance.num_groups] for one in embeds)
