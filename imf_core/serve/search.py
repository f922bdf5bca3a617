"""Finds entities or relations while one types: exact names first, then prefixes, then words.

All names and labels are folded (one case, no accents). Sorted, they answer a prefix by bisection.
Their words, sorted as well, point to the entities that have them, so the entities of a prefix of
a word are one slice. Entities are numbered by rank, so the best of a slice are its smallest values.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from imf_core.inference.names import folded

LAST = "\U0010ffff"
"""Sorts after every character of a name."""

_WORDS = re.compile(r"\w+")


class SearchIndex:
    """Finds ids by the first letters of names, labels and their words.

    Args:
        labels: By id.
        names: By id.
        weights: Ids of larger weight come first, shape: (N,).
    """

    def __init__(
        self, labels: Sequence[str], names: Sequence[str], weights: NDArray[np.int64]
    ) -> None:
        self._by_rank = np.argsort(-weights, kind="stable").astype(np.int32)
        texts: list[str] = []
        owners: list[int] = []
        for rank, number in enumerate(self._by_rank.tolist()):
            forms = {fold(names[number]), fold(labels[number])}
            texts += forms
            owners += [rank] * len(forms)
        order = sorted(range(len(texts)), key=texts.__getitem__)
        self._texts = [texts[place] for place in order]
        self._ranks = np.array(owners, dtype=np.int32)[order]
        self._words, self._starts, self._owners = _index_words(self._texts, self._ranks)

    def find(self, text: str, limit: int) -> list[int]:
        """Returns ids, best first.

        Args:
            text: First letters of a name or label, or of words of it; "" for all.
            limit: Ids, at most.
        """
        wanted = fold(text)
        if not wanted:
            return [int(each) for each in self._by_rank[:limit]]
        found: dict[int, None] = {}
        for start in (self._span(wanted, wanted + "\0"), self._span(wanted, wanted + LAST)):
            found |= dict.fromkeys(_smallest(self._ranks[start], limit + len(found)))
        if len(found) < limit:
            found |= dict.fromkeys(_smallest(self._with_words(wanted), limit + len(found)))
        return [int(self._by_rank[rank]) for rank in list(found)[:limit]]

    def _span(self, low: str, high: str) -> slice:
        return slice(bisect_left(self._texts, low), bisect_left(self._texts, high))

    def _with_words(self, wanted: str) -> NDArray[np.int32]:
        """Returns the ranks that have a word with each of the given beginnings."""
        slices = []
        for word in set(_WORDS.findall(wanted)):
            first, last = (bisect_left(self._words, each) for each in (word, word + LAST))
            slices.append(self._owners[self._starts[first] : self._starts[last]])
        if not slices:
            return np.empty(0, np.int32)
        kept, *others = sorted(slices, key=len)
        for each in others:
            has_word = np.zeros(len(self._by_rank), dtype=np.bool_)
            has_word[each] = True
            kept = kept[has_word[kept]]
        return kept


def fold(text: str) -> str:
    """Returns a text in one case and without accents."""
    plain = folded(text)
    if plain.isascii():
        return plain
    return "".join(
        each for each in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(each)
    )


def _index_words(
    texts: Sequence[str], ranks: NDArray[np.int32]
) -> tuple[list[str], NDArray[np.int64], NDArray[np.int32]]:
    """Returns the distinct words, sorted, with the owners of each as CSR."""
    numbers: dict[str, int] = {}
    words, owners = [], []
    for text, rank in zip(texts, ranks.tolist(), strict=True):
        for word in _WORDS.findall(text):
            words.append(numbers.setdefault(word, len(numbers)))
            owners.append(rank)
    vocabulary = sorted(numbers)
    place = np.empty(len(vocabulary), dtype=np.int64)
    place[[numbers[word] for word in vocabulary]] = np.arange(len(vocabulary))
    of_word = place[np.array(words, dtype=np.int64)]
    order = np.argsort(of_word, kind="stable")
    starts = np.concatenate([[0], np.bincount(of_word, minlength=len(vocabulary)).cumsum()])
    return vocabulary, starts, np.array(owners, dtype=np.int32)[order]


def _smallest(ranks: NDArray[np.int32], count: int) -> list[int]:
    """Returns the smallest distinct ranks, sorted, about `count` of them."""
    if len(ranks) > 4 * count:  # a rank may occur once per form and word
        ranks = np.partition(ranks, 4 * count)[: 4 * count]
    return [int(each) for each in np.unique(ranks)[:count]]
