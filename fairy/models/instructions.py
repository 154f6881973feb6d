"""What a person typed -> instructions that the model understands, or one line on why not.

A model that lists its words and edits, as `mini`, is asked only for what it has learnt: word forms,
synonyms and typing errors are mapped to its words, two edits in one become two, one after the
other, and the rest is refused with the nearest edits. Models that know language at large get the
text as it is. Tests: tests/models/test_instructions.py.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Collection, Iterator
from collections.abc import Set as AbstractSet
from itertools import combinations

from fairy.errors import InstructionError
from fairy.models.defaults import (
    COMMON_WORDS,
    KnownEdit,
    ModelDefaults,
    edits_by_likeness,
    unknown_words,
)
from fairy.models.synonyms import (
    EMPTY_WORDS,
    ENDINGS,
    NEGATIONS,
    RELATED,
    SHORT_NEGATIONS,
    SYNONYMS,
)

logger = logging.getLogger(__name__)

# Shorter words have too many neighbours to be taken for typing errors
MIN_TYPO_LETTERS = 4
# A wrong letter makes another word too easily in shorter ones: gold, cold
MIN_SWAPPED_LETTERS = 6
# From here on two errors in one word are taken for such
MIN_LETTERS_OF_TWO_TYPOS = 9
NUM_NEAREST = 3
# Words of an instruction that are looked at for what it is near to, and that a message names
MAX_COMPARED, MAX_NAMED = 20, 4
# Longer texts are no two or three edits; all ways to part n words without "and" are n^2 / 2
MAX_WORDS, MAX_WORDS_WITHOUT_AND = 60, 20
# Of `difflib`, below which two words have nothing to do with each other
MIN_RATIO = 0.8
LIST_COMMAND = "`fairy models mini` lists all"
# The web page has no such option
FORCE_ADVICE = "; force=True tries anyway"


def read_instruction(
    text: str, defaults: ModelDefaults, *, force: bool = False, quiet: bool = False
) -> tuple[str, ...]:
    """Return the instructions to give the model, one after the other; log what was changed.

    Args:
        text: what a person typed.
        defaults: of the model.
        force: give the model the text even where it has words that the model does not know.
        quiet: log nothing.

    Raises:
        InstructionError: nothing to change, a negation, or words that the model does not know.
    """
    if not defaults.words:
        return (text,)
    if all(word in COMMON_WORDS | EMPTY_WORDS for word in words_of(text)):
        raise InstructionError(f"{text!r} says nothing to change: {_example(defaults)}")
    if force or any(words_of(text) == words_of(one) for one in _examples(defaults)):
        return (text,)
    read = with_known_words(text, defaults.words)
    _refuse_negation(text, read, defaults)
    _refuse_unknown(text, read, defaults)
    parts = split_edits(read, defaults.edits)
    if quiet:
        return parts
    if len(parts) > 1:
        logger.warning("%r is done as %s", text, ", then ".join(map(repr, parts)))
    elif words_of(read) != words_of(text):
        logger.warning("%r is read as %r", text, read)
    return parts


def words_of(text: str) -> list[str]:
    """Return the words of a text, lower case."""
    return re.findall(r"[\w']+", text.lower())


def with_known_words(text: str, known: AbstractSet[str]) -> str:
    """Return `text` with words that `known` has in place of others, where there is such a word.

    >>> with_known_words("Make it snowing", {"make", "snow"})
    'make it snow'
    """
    read = " ".join(re.sub(r"[^\w'&/-]+", " ", text.lower().replace("’", "'")).split())
    # Clauses stay apart
    if "," in text or ";" in text or "+" in text:
        read = " and ".join(
            part for part in (" ".join(words_of(p)) for p in re.split(r"[,;+]", text)) if part
        )
    for name, meaning in sorted(SYNONYMS.items(), key=lambda pair: -len(pair[0])):
        pattern = rf"(?<![\w&/-]){re.escape(name)}(?![\w&/-])"
        names, meanings = set(words_of(name)) - COMMON_WORDS, set(meaning.split()) - COMMON_WORDS
        if not names <= known and meanings <= known:
            read = re.sub(pattern, meaning, read)
    words = words_of(read)
    nearest = {word: _nearest_word(word, known) for word in set(words)}
    return " ".join(nearest[word] for word in words)


def split_edits(text: str, edits: Collection[KnownEdit]) -> tuple[str, ...]:
    """Return the edits that `text` asks for, each as the example that users see.

    It is split only where the parts are more like edits than the whole is, and only between looks
    of the whole picture; otherwise `text` comes back alone.
    """
    num_words = len(words_of(text))
    best = edits_by_likeness(text, edits) if num_words <= MAX_WORDS else []
    if not best:
        return (text,)
    looks = [edit for edit in edits if "{shape}" not in " ".join(edit.phrases)]
    # "a and b": each part as it was typed, also of shapes
    clauses = re.split(r" (?:and then|and|then) ", text)
    nearest = [edits_by_likeness(clause, edits)[:1] for clause in clauses]
    least = min(one[0][1] if one else 0.0 for one in nearest)
    if len({one[0][0].name for one in nearest if one}) == len(clauses) > 1:
        named = all(one[0][0] in looks for one in nearest)
        if least > best[0][1] and not named:
            return tuple(clauses)
    # Where a shape is named, its own edits know how its words belong together
    if best[0][0] not in looks:
        return (text,)
    words = [word for word in words_of(text) if word not in EMPTY_WORDS]
    if len(words) > MAX_WORDS_WITHOUT_AND:
        return (text,)
    whole = max([best[0][1], *(score for _, score in edits_by_likeness(" ".join(words), looks))])
    found: tuple[float, tuple[str, ...]] = (whole + 1e-6, (text,))
    for num_cuts in (1, 2):
        for cuts in combinations(range(1, len(words)), num_cuts):
            nearest = [edits_by_likeness(part, looks)[:1] for part in _parts(words, cuts)]
            if not all(nearest):
                continue
            chosen = dict.fromkeys(one[0][0].instruction for one in nearest)
            least = min(one[0][1] for one in nearest)
            if len(chosen) == len(nearest) and least > found[0]:
                found = (least, tuple(chosen))
    return found[1]


def nearest_instructions(text: str, defaults: ModelDefaults) -> list[str]:
    """Return the examples of the edits that are nearest to `text`, the nearest first.

    Near is an edit that shares a word with it, is related to it by meaning (`RELATED`), or has a
    word that is spelled almost alike; the list is empty if there is none. Of a model that lists no
    edits, these are its first examples.
    """
    if not defaults.edits:
        return list(defaults.instructions[:NUM_NEAREST])
    # "add a hat" is not like "add fog"
    words = dict.fromkeys(words_of(text))
    said = [word for word in words if word not in COMMON_WORDS | EMPTY_WORDS | {"add"}]
    said = said[:MAX_COMPARED]
    alike = edits_by_likeness(" ".join(said), defaults.edits, 0.0)
    likeness = {edit.name: score for edit, score in alike}
    related = [name for word in said for name in RELATED.get(word, ())]

    def score(edit: KnownEdit) -> float:
        others = {word for phrase in edit.phrases for word in words_of(phrase)}
        ratios = [
            difflib.SequenceMatcher(None, word, other).ratio()
            for word in said
            for other in others - COMMON_WORDS - EMPTY_WORDS
            if min(len(word), len(other)) >= MIN_TYPO_LETTERS
        ]
        closest = max(ratios, default=0.0)
        meant = 1 / (1 + related.index(edit.name)) if edit.name in related else 0.0
        return likeness.get(edit.name, 0.0) + meant + (closest if closest >= MIN_RATIO else 0.0)

    ranked = sorted(defaults.edits, key=score, reverse=True)
    return [edit.instruction for edit in ranked[:NUM_NEAREST] if score(edit) > 0]


def _refuse_negation(text: str, read: str, defaults: ModelDefaults) -> None:
    """Refuse what says how the result should not be: models of this kind read it as a wish."""
    words = words_of(text.replace("’", "'"))
    negations = [word for word in words if word.replace("'", "") in NEGATIONS]
    nearest = edits_by_likeness(read, defaults.edits)
    for word in SHORT_NEGATIONS.intersection(words_of(read)):
        phrases = " ".join(nearest[0][0].phrases).split() if nearest else []
        if word not in phrases:
            negations.append(word)
    if negations:
        raise InstructionError(
            f"{text!r} says what not to do ({negations[0]!r}): {_example(defaults)}"
        )


def _refuse_unknown(text: str, read: str, defaults: ModelDefaults) -> None:
    unknown = [word for word in unknown_words(read, defaults) if word not in EMPTY_WORDS]
    if not unknown and (not defaults.edits or edits_by_likeness(read, defaults.edits)):
        return
    nearest = nearest_instructions(read, defaults)
    named = ", ".join(map(repr, unknown[:MAX_NAMED]))
    more = f" and {len(unknown) - MAX_NAMED} more words" if len(unknown) > MAX_NAMED else ""
    what = f"does not know {named}{more}"
    if not unknown:
        what = f"has learnt no edit like {text!r}"
    if nearest:
        advice = f"did you mean {_quoted(nearest)}? {LIST_COMMAND}"
    elif defaults.edits:
        names = ", ".join(edit.name.replace("_", " ") for edit in defaults.edits)
        advice = f"nothing it can do is like that: it knows {names}; {LIST_COMMAND}"
    else:
        advice = _example(defaults)
    raise InstructionError(f"the model {what}; {advice}{FORCE_ADVICE}")


def _example(defaults: ModelDefaults) -> str:
    """Return what to type instead: an instruction that the model knows, or else its words."""
    if defaults.instructions:
        return f"say what, as in {_quoted(defaults.instructions[:1])}"
    return f"it knows: {', '.join(sorted(defaults.words))}"


def _nearest_word(word: str, known: AbstractSet[str]) -> str:
    """Return the known word that `word` is a form or a typing error of, or `word` itself."""
    # Negations look like typing errors of other words
    if word in known | COMMON_WORDS | EMPTY_WORDS or word.replace("'", "") in NEGATIONS:
        return word
    plain = word.replace("'s", "").replace("'", "")
    stems = {_stem(other): other for other in sorted(known, reverse=True)}
    if len(plain) >= MIN_TYPO_LETTERS and _stem(plain) in stems:
        return stems[_stem(plain)]
    near = [other for other in sorted(known) if _is_typo(plain, other)]
    return near[0] if near else word


def _stem(word: str) -> str:
    """Return a word without its ending, at least three letters: snowing, snowy, snows -> snow."""
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            stem = word.removesuffix(ending)
            # foggy: fog, inverted: invert
            return stem[:-1] if stem[-1] == stem[-2] and stem[-1] not in "aeiouls" else stem
    return word


def _is_typo(typed: str, known: str) -> bool:
    """Return whether `typed` may be `known` with a letter or two wrong; the first one never is."""
    if min(len(typed), len(known)) < MIN_TYPO_LETTERS or typed[0] != known[0]:
        return False
    num_errors = _distance(typed, known)
    if num_errors == 1:
        swapped_one = len(typed) == len(known) and sorted(typed) != sorted(known)
        return not swapped_one or len(known) >= MIN_SWAPPED_LETTERS
    return num_errors == 2 and len(known) >= MIN_LETTERS_OF_TWO_TYPOS


def _distance(one: str, other: str) -> int:
    """Return the letters missing, added, wrong, or in the wrong order (Damerau, restricted)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        before, last, row = row, before, [i]
        for j, b in enumerate(other, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and b == one[i - 2]:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]


def _parts(words: list[str], cuts: tuple[int, ...]) -> Iterator[str]:
    for start, end in zip((0, *cuts), (*cuts, len(words)), strict=True):
        yield " ".join(words[start:end])


def _examples(defaults: ModelDefaults) -> Iterator[str]:
    """Yield what the model was trained with, as far as it has no placeholders but `{it}`."""
    yield from defaults.instructions
    for edit in defaults.edits:
        yield from (phrase.replace("{it}", "it") for phrase in edit.phrases)


def _quoted(instructions: Collection[str]) -> str:
    return ", ".join(f'"{one}"' for one in instructions)
