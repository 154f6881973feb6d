"""A CLIP tokenizer whose vocabulary is trained on the edits' phrasings.

Every word of the phrasings is one token; other words are split into letters. The tokenizer is
written as `vocab.json` and `merges.txt`, which transformers 4 and 5 both load as a CLIPTokenizer.
Tests: tests/training/model/test_tokenizer.py.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, pre_tokenizers
from transformers import CLIPTokenizer

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
# CLIP's word boundaries: Radford et al. 2021, their `simple_tokenizer.py`.
WORDS = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
END_OF_WORD = "</w>"


def words_of(phrases: Iterable[str]) -> list[str]:
    """Return the distinct words of some phrases, lower case, sorted.

    >>> words_of(["Make it night", "night, please"])
    ['it', 'make', 'night', 'please']
    """
    splitter = pre_tokenizers.Split(WORDS, behavior="removed", invert=True)
    pieces = (piece for phrase in phrases for piece, _ in splitter.pre_tokenize_str(phrase.lower()))
    return sorted({piece for piece in pieces if piece[0].isalnum()})


def write_tokenizer(phrases: Iterable[str], folder: Path, max_tokens: int) -> None:
    """Train a vocabulary on `phrases` and write the tokenizer's files into `folder`.

    Args:
        phrases: instructions; each of their words becomes one token.
        folder: created if missing.
        max_tokens: length to which instructions are padded and truncated.
    """
    # Sorted and without repeats, so the same words give the same vocabulary.
    merges = _train_merges(words_of(phrases))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [
        *alphabet,
        *(letter + END_OF_WORD for letter in alphabet),
        *("".join(pair) for pair in merges),
    ]
    vocabulary = {token: index for index, token in enumerate([*tokens, BEGIN, END])}
    special = {"bos_token": BEGIN, "eos_token": END, "unk_token": END, "pad_token": END}
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": max_tokens, **special}
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "vocab.json", vocabulary)
    _write_json(folder / "special_tokens_map.json", special)
    _write_json(folder / "tokenizer_config.json", settings)
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges), ""]
    (folder / "merges.txt").write_text("\n".join(lines), encoding="utf-8")


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """Load the tokenizer that `write_tokenizer` wrote."""
    return CLIPTokenizer.from_pretrained(str(folder))


def _train_merges(words: Iterable[str]) -> list[tuple[str, str]]:
    """Return byte-pair merges, in order, that make every word one token.

    The most frequent pair comes first (Sennrich et al. 2016); ties are broken alphabetically. The
    trainer of the `tokenizers` library breaks ties at random, and a vocabulary that changes from
    run to run would change the training.
    """
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    spelled = ["".join(text for text, _ in byte_level.pre_tokenize_str(word)) for word in words]
    pieces = [[*word[:-1], word[-1] + END_OF_WORD] for word in spelled]
    merges: list[tuple[str, str]] = []
    while counts := Counter(pair for word in pieces for pair in itertools.pairwise(word)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        pieces = [_merge(word, best) for word in pieces]
    return merges


def _merge(word: list[str], pair: tuple[str, str]) -> list[str]:
    """Join every occurrence of a pair in a word, from the left."""
    merged: list[str] = []
    for piece in word:
        # A piece that was just merged is not merged again: "aaa" -> "aa", "a".
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged


def _write_json(path: Path, value: dict[str, object] | dict[str, int] | dict[str, str]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
