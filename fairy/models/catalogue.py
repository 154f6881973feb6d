"""Models that Fairy can edit with: what they are, how large, and which are on this machine.

Sizes are those of the safetensors files that diffusers downloads.
Tests: tests/models/test_catalogue.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from huggingface_hub import scan_cache_dir
from huggingface_hub.errors import CacheNotFound


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """One model by its name for `--model` or `--decoder`.

    Attributes:
        name: "mini" or a hub id.
        what: what it is, in a few words.
        licence: of its weights, as its authors' repository or model card says.
        download_gb: size of the download; 0 for what is bundled.
        memory: memory that an edit needs, as `fairy doctor --plan` computes it.
        steps: denoising steps by default.
    """

    name: str
    what: str
    licence: str
    download_gb: float
    memory: str
    steps: str


KNOWN = (
    KnownModel(
        name="mini",
        what="bundled: 27 edits, 256 px, fast on a CPU (`fairy models mini` lists them)",
        licence="Apache-2.0",
        download_gb=0.0,
        memory="1 GB",
        steps="2 to 6",
    ),
    KnownModel(
        name="timbrooks/instruct-pix2pix",
        what="InstructPix2Pix: free language, 512 px, best on a GPU",
        licence="MIT by its authors; finetuned from Stable Diffusion 1.5, whose CreativeML "
        "OpenRAIL-M may restrict its use",
        download_gb=5.5,
        memory="fairy doctor --plan 1280x720 --model sd15",
        steps="10",
    ),
    KnownModel(
        name="madebyollin/taesd",
        what="a tiny autoencoder for --decoder with the model above",
        licence="MIT",
        download_gb=0.01,
        memory="less than the model's own",
        steps="",
    ),
)


@dataclass(frozen=True)
class CachedModel:
    """A model of the hub that is on this machine: its id, and the bytes on the disk."""

    name: str
    num_bytes: int


def known_model(name: str) -> KnownModel | None:
    """Return what is known of a model, if anything is."""
    return next((one for one in KNOWN if one.name == name), None)


def cached_models() -> list[CachedModel]:
    """Return the models in the hub's cache on this machine, by name."""
    try:
        repos = scan_cache_dir().repos
    except CacheNotFound:
        return []
    return sorted(
        (
            CachedModel(repo.repo_id, repo.size_on_disk)
            for repo in repos
            if repo.repo_type == "model"
        ),
        key=lambda one: one.name,
    )


def download_command(name: str) -> str:
    """Return what to type to download a model, with its size where that is known.

    >>> download_command("timbrooks/instruct-pix2pix")
    'hf download timbrooks/instruct-pix2pix (5.5 GB)'
    """
    known = known_model(name)
    size = f" ({known.download_gb:g} GB)" if known is not None and known.download_gb else ""
    return f"hf download {name}{size}"
