"""IP-Adapter: weights that let an InstructPix2Pix UNet see a reference picture, by diffusers.

Only safetensors are loaded. Tests: tests/editors/ip2p/test_reference.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub.errors import LocalEntryNotFoundError

from fairy.errors import ModelError, first_line
from fairy.models.catalogue import download_command
from fairy.models.quiet import without_expected_messages, without_progress_bars
from fairy.models.stock import split_scale

ENCODER = "image_encoder"


def load_ip_adapter(pipe: Any, adapter: str) -> None:
    """Load an IP-Adapter, "FILE" or "FILE:SCALE", and the image encoder beside it.

    FILE is a .safetensors file with a folder `image_encoder` beside it, or one of the hub, as
    h94/IP-Adapter/models/ip-adapter_sd15.safetensors.

    Raises:
        ModelError: it cannot be found or loaded, or does not fit the UNet.
    """
    base, folder, file, scale = place_of(adapter)
    with without_expected_messages(), without_progress_bars():
        from transformers import CLIPVisionModelWithProjection

        try:
            encoder = CLIPVisionModelWithProjection.from_pretrained(
                base, subfolder=f"{folder}/{ENCODER}".lstrip("/"), use_safetensors=True
            )
            pipe.register_modules(image_encoder=encoder.to(pipe.device, pipe.unet.dtype).eval())
            pipe.load_ip_adapter(base, subfolder=folder, weight_name=file)
        except (LocalEntryNotFoundError, OSError) as error:
            is_here = Path(base, file).is_file()
            advice = first_line(error) if is_here else f"not in the cache; {download_command(base)}"
            raise ModelError(f"ip_adapter {adapter}: cannot be loaded ({advice})") from error
        except (ValueError, KeyError, RuntimeError) as error:
            raise ModelError(
                f"ip_adapter {adapter}: does not fit this model ({first_line(error)})"
            ) from error
    pipe.set_ip_adapter_scale(scale)


def place_of(adapter: str) -> tuple[str, str, str, float]:
    """Return where an IP-Adapter is: folder or hub id, folder in it, file name; and its factor.

    Raises:
        ModelError: there is no such file, or it is no .safetensors file.
    """
    name, scale = split_scale(adapter)
    path = Path(name).expanduser()
    if path.suffix != ".safetensors":
        raise ModelError(f"ip_adapter {name}: only .safetensors files are loaded")
    if path.is_file():
        return str(path.parent), "", path.name, scale
    if name.count("/") >= 2 and not name.startswith((".", "/", "~")):
        owner, repository, *folders = name.split("/")[:-1]
        return f"{owner}/{repository}", "/".join(folders), path.name, scale
    raise ModelError(f"ip_adapter {name}: no such file; give one, or OWNER/NAME/FILE of the hub")
