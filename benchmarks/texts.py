"""Descriptions of invented words, from one line to a paragraph, and their vocabulary."""

from collections.abc import Iterator
from itertools import product

import numpy as np

SYLLABLES = [first + second for first, second in product("bdfgklmnprstvz", "aeiou")]
"""Syllables of the words; a tokenizer can split words into them."""

NUM_WORDS = 20_000
MEDIAN_WORDS = 14.0
SPREAD = 0.9
LONGEST = 120


def make_texts(count: int) -> list[str]:
    """Makes texts with the lengths of short descriptions.

    Half are shorter than `MEDIAN_WORDS`, one in a hundred is a paragraph; deterministic for a
    count.
    """
    generator = np.random.default_rng(0)
    words = list(_words(generator))
    lengths = generator.lognormal(np.log(MEDIAN_WORDS), SPREAD, count).astype(int)
    return [
        " ".join(words[index] for index in (NUM_WORDS * generator.random(length) ** 3).astype(int))
        for length in lengths.clip(1, LONGEST)
    ]


def make_vocabulary(size: int) -> dict[str, int]:
    """Makes a vocabulary of word pieces: common words as a whole, others by syllables.

    Args:
        size: Number of tokens; unused ones fill it up.
    """
    pieces = [*SYLLABLES, *(f"##{syllable}" for syllable in SYLLABLES)]
    commoner = list(_words(np.random.default_rng(0)))[: NUM_WORDS // 4]
    tokens = list(dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces, *commoner]))
    tokens += [f"[unused{number}]" for number in range(size - len(tokens))]
    return {token: position for position, token in enumerate(tokens)}


def _words(generator: np.random.Generator) -> Iterator[str]:
    """Yields words of one to four syllables, most common first."""
    for length in generator.integers(1, 5, NUM_WORDS):
        yield "".join(SYLLABLES[index] for index in generator.integers(0, len(SYLLABLES), length))
