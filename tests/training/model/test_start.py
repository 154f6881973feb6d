"""fairy/training/model/start.py: weights of another model, also with another tokenizer."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from fairy.errors import ModelError, SettingsError
from fairy.synthetic.phrases import all_phrases
from fairy.training.model.build import build_autoencoder
from fairy.training.model.editor_parts import EditorParts, new_editor
from fairy.training.model.start import carry_over, start_code
from fairy.training.model.tokenizer import load_tokenizer, write_tokenizer
from fairy.training.run.trainer import train
from tests.training.conftest import MakeConfig


@pytest.fixture(scope="module")
def start(editor_config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as a run leaves it: network and tokenizer, of a vocabulary that lacks some words."""
    folder = tmp_path_factory.mktemp("start")
    texts = [text for text in all_phrases() if "neon" not in text and "disco" not in text]
    write_tokenizer(texts, folder / "tokenizer", 16)
    config = editor_config(folder / "run", seed=7, resume=True)
    shutil.copytree(folder / "tokenizer", config.output / "tokenizer")
    torch.manual_seed(7)
    pipeline = new_editor(config).pipeline
    weights = {f"unet.{n}": w.half() for n, w in pipeline.unet.state_dict().items()}
    weights |= {f"text.{n}": w.half() for n, w in pipeline.text_encoder.state_dict().items()}
    code = {
        "pca.mean": torch.zeros(12),
        "pca.V": torch.eye(12)[:, :4].contiguous(),
        "pca.lam": torch.ones(4),
    }
    save_file(weights | code, folder / "editor.safetensors")
    return folder / "editor.safetensors"


def _embeddings(parts: EditorParts) -> Tensor:
    embeddings: Tensor = parts.pipeline.text_encoder.get_input_embeddings().weight.detach()
    return embeddings


def _token(parts: EditorParts, word: str) -> int:
    (token,) = parts.pipeline.tokenizer(word, add_special_tokens=False).input_ids
    return int(token)


def test_network_and_known_words_are_the_starts(
    start: Path, editor_config: MakeConfig, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    saved = load_file(start)
    parts = new_editor(editor_config(tmp_path, start=start))
    for name, weight in parts.pipeline.unet.state_dict().items():
        assert torch.equal(weight, saved[f"unet.{name}"].float()), name
    old = load_tokenizer(start.parent / "tokenizer")
    (key,) = (name for name in saved if name.endswith("token_embedding.weight"))
    (night,) = old("night", add_special_tokens=False).input_ids
    assert torch.equal(_embeddings(parts)[_token(parts, "night")], saved[key][night].float())


def test_a_new_word_starts_from_the_mean_of_its_pieces(
    start: Path, editor_config: MakeConfig, tmp_path: Path
) -> None:
    parts = new_editor(editor_config(tmp_path, start=start))
    old = load_tokenizer(start.parent / "tokenizer")
    pieces = old("disco", add_special_tokens=False).input_ids
    assert len(pieces) > 1
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(len(old), 16, generator=generator)
    new = parts.pipeline.tokenizer
    carried = carry_over(embeddings, old, new, torch.zeros(len(new), 16))
    torch.testing.assert_close(carried[_token(parts, "disco")], embeddings[pieces].mean(0))


def test_a_finished_model_is_a_start(
    editor_config: MakeConfig, tmp_path: Path, tiny_autoencoder: Path
) -> None:
    folder = train(editor_config(tmp_path / "first", max_steps=1, validate_every=100))
    parts = new_editor(editor_config(tmp_path / "second", start=folder, seed=3))
    first = new_editor(editor_config(tmp_path / "first", resume=True, start=folder))
    for one, other in ((parts.pipeline.unet, first.pipeline.unet),
                       (parts.pipeline.text_encoder, first.pipeline.text_encoder)):  # fmt: skip
        weights = other.state_dict()
        assert all(torch.equal(w, weights[n]) for n, w in one.state_dict().items())


def test_the_code_of_its_latents_is_taken(
    start: Path, autoencoder_config: MakeConfig, tmp_path: Path
) -> None:
    autoencoder = build_autoencoder(autoencoder_config(tmp_path))
    start_code(autoencoder, start)
    latents = autoencoder.encode(torch.full((1, 3, 2, 2), 0.5)).latents
    torch.testing.assert_close(latents.flatten(), torch.full((4,), 0.5))


def test_other_sizes_are_named(start: Path, editor_config: MakeConfig, tmp_path: Path) -> None:
    config = editor_config(tmp_path, start=start, unet_channels=[24, 32])
    with pytest.raises(SettingsError, match="its sizes are different"):
        new_editor(config)


def test_a_start_that_is_not_there_is_named(editor_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder or safetensors file"):
        new_editor(editor_config(tmp_path, start=tmp_path / "nothing.safetensors"))
