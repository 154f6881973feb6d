"""Load the weights that a new model starts from, also from a model with another tokenizer.

A start is a folder in diffusers format, or a safetensors file with `unet.*` and `text.*` (and
`pca.*`, the linear code of its latents) and its tokenizer in the folder `tokenizer` beside it.
Tests: tests/training/model/test_start.py.
"""

from __future__ import annotations

from pathlib import Path

from diffusers import StableDiffusionInstructPix2PixPipeline
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTokenizer

from fairy.errors import ModelError, SettingsError
from fairy.models.patch_autoencoder import PatchAutoencoder
from fairy.training.model.tokenizer import END_OF_WORD, load_tokenizer

EMBEDDINGS = "embeddings.token_embedding.weight"
# transformers 4 prefixes the names of the text encoder's weights, transformers 5 does not.
TEXT_PREFIX = "text_model."


def start_editor(pipeline: StableDiffusionInstructPix2PixPipeline, start: Path) -> None:
    """Load the start's UNet and text encoder into a new editor, in place.

    Raises:
        ModelError: there is no such start.
        SettingsError: the recipe's sizes are different.
    """
    unet, text = _weights(start, "unet"), _weights(start, "text")
    text = {name.removeprefix(TEXT_PREFIX): value for name, value in text.items()}
    folder = (start if start.is_dir() else start.parent) / "tokenizer"
    own = pipeline.text_encoder.state_dict()
    own_embeddings = next(value for name, value in own.items() if name.endswith(EMBEDDINGS))
    try:
        text[EMBEDDINGS] = carry_over(
            text[EMBEDDINGS], load_tokenizer(folder), pipeline.tokenizer, own_embeddings
        )
        named = {name: text.get(name.removeprefix(TEXT_PREFIX), own[name]) for name in own}
        pipeline.text_encoder.load_state_dict(named)
        pipeline.unet.load_state_dict(unet)
    except (RuntimeError, KeyError) as error:
        raise SettingsError(
            f"start {start}: its sizes are different; use the recipe that it was made with"
        ) from error


def start_code(autoencoder: PatchAutoencoder, start: Path) -> None:
    """Load the start's autoencoder, or its linear code if it has nothing else, in place.

    Raises:
        ModelError: there is no such start, or it has no code.
        SettingsError: the recipe's sizes are different.
    """
    try:
        if start.is_dir():
            autoencoder.load_state_dict(_read_folder(start / "vae"))
        else:
            pca = _weights(start, "pca")
            autoencoder.set_code(pca["mean"], pca["V"], pca["lam"].sqrt())
    except RuntimeError as error:
        raise SettingsError(f"start {start}: its code and the recipe differ in size") from error


def carry_over(
    embeddings: Tensor, old: CLIPTokenizer, new: CLIPTokenizer, fallback: Tensor
) -> Tensor:
    """Return embeddings (V_new,D) for another vocabulary.

    Args:
        embeddings: (V_old,D).
        old: their tokenizer.
        new: the other tokenizer. Tokens in both vocabularies keep their embedding; a new token
            gets the mean embedding of the pieces that `old` splits it into.
        fallback: (V_new,D), for tokens that `old` cannot read.
    """
    known = old.get_vocab()
    carried = fallback.clone()
    for token, index in new.get_vocab().items():
        word = token.removesuffix(END_OF_WORD)
        pieces = [known[token]] if token in known else old(word, add_special_tokens=False).input_ids
        if pieces:
            carried[index] = embeddings[pieces].float().mean(0)
    return carried


def _weights(start: Path, part: str) -> dict[str, Tensor]:
    """Return the weights of "unet", "text" or "pca" in float32."""
    if start.is_dir():
        return _read_folder(start / {"text": "text_encoder"}.get(part, part))
    if not start.is_file():
        raise ModelError(f"start {start}: no such folder or safetensors file")
    prefix = f"{part}."
    found = {
        name.removeprefix(prefix): value.float()
        for name, value in load_file(start).items()
        if name.startswith(prefix)
    }
    if not found:
        raise ModelError(f"start {start}: has no {prefix}* weights")
    return found


def _read_folder(folder: Path) -> dict[str, Tensor]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(f"start {folder.parent}: no safetensors in {folder.name}/")
    return {name: value.float() for file in files for name, value in load_file(file).items()}
