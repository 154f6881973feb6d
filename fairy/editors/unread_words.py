"""Words of an instruction that a model's text encoder has no room for.

Tests: tests/editors/ip2p/test_prompt.py, tests/editors/stock/test_unread_words.py.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)


def read_words(tokenizer: PreTrainedTokenizerBase, prompt: str, limit: int) -> str:
    """Return the words that fit in `limit` tokens; warn of those after them."""
    if _num_tokens(tokenizer, prompt) <= limit:
        return prompt
    words = prompt.split()

    def num_tokens(num_words: int) -> int:
        return _num_tokens(tokenizer, " ".join(words[:num_words]))

    # By halves: an instruction may be as long as a book
    kept = max(bisect_right(range(len(words)), limit, key=num_tokens) - 1, 0)
    logger.warning("the model reads %d tokens; not read: %s", limit, " ".join(words[kept:]))
    return " ".join(words[:kept])


def _num_tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> int:
    return len(tokenizer(text, verbose=False)["input_ids"])
