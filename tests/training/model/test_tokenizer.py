"""The trained vocabulary."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from fairy.synthetic.phrases import all_phrases
from fairy.training.model.tokenizer import _merge, load_tokenizer, words_of, write_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(all_phrases(), folder, max_tokens=32)
    return load_tokenizer(folder)


def test_every_known_word_is_one_token(tokenizer: CLIPTokenizer) -> None:
    words = words_of(all_phrases())
    assert [word for word in words if len(tokenizer.tokenize(word)) != 1] == []


def test_unknown_word_falls_into_known_pieces(tokenizer: CLIPTokenizer) -> None:
    assert tokenizer.unk_token not in tokenizer.tokenize("zyxgh é 7 ~")


def test_case_does_not_matter(tokenizer: CLIPTokenizer) -> None:
    assert tokenizer("Make It NIGHT").input_ids == tokenizer("make it night").input_ids


def test_instruction_stands_between_begin_and_end(tokenizer: CLIPTokenizer) -> None:
    ids = tokenizer("make it night", padding="max_length").input_ids
    assert len(ids) == tokenizer.model_max_length == 32
    assert ids[0] == tokenizer.bos_token_id
    assert ids[4:] == [tokenizer.eos_token_id] * 28


def test_longest_phrase_fits(tokenizer: CLIPTokenizer) -> None:
    assert max(len(tokenizer(f"please {text}").input_ids) for text in all_phrases()) <= 32


def test_order_of_the_phrases_does_not_matter(tmp_path: Path) -> None:
    write_tokenizer(all_phrases(), tmp_path / "a", max_tokens=32)
    write_tokenizer(all_phrases()[::-1], tmp_path / "b", max_tokens=32)
    for file in sorted((tmp_path / "a").iterdir()):
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_merge_is_not_used_twice_on_one_piece() -> None:
    assert _merge(["a", "a", "a", "b"], ("a", "a")) == ["aa", "a", "b"]
