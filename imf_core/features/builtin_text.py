"""`builtin:tfidf-svd`: which words and word parts texts share, without any learned weights.

TF-IDF of words and word pairs beside TF-IDF of character n-grams (which see word stems, and
languages without spaces), each of length one, then truncated SVD: latent semantic analysis.
Seconds for 15,000 short texts.
"""

import re

import numpy as np
from scipy.linalg import eigh
from scipy.sparse import csr_matrix, hstack
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

WORD_NGRAMS = (1, 2)
CHARACTER_NGRAMS = (3, 5)
MAX_NGRAMS = 30_000  # of either kind, the most frequent
DENSE_TEXTS = 2_000
LEAST_SQUARE = 1e-6
"""A singular value whose square is less, beside the largest, is rounding: no text is folded in."""


class FittedTexts:
    """Texts encoded by the n-grams they share, and what it takes to encode another one.

    Args:
        texts: Non-empty texts, n of them.
        dim: Upper bound of the components kept; also bounded by n and by the n-grams there are.

    Attributes:
        vectors: shape: (n, at most dim), dtype: float32; rows of length one. The same for the same
            texts.
    """

    def __init__(self, texts: list[str], dim: int) -> None:
        self._vectorizers = [_vectorizer("char_wb", CHARACTER_NGRAMS)]
        if any(re.search(r"\w", text) for text in texts):
            self._vectorizers.append(_vectorizer("word", WORD_NGRAMS))
        blocks = [each.fit_transform(texts) for each in self._vectorizers]
        self._counts = csr_matrix(hstack(blocks))
        # One text, or one n-gram: nothing to tell apart.
        self._is_trivial = min(self._counts.shape) == 1
        self._components = (
            np.ones((len(texts), 1))
            if self._is_trivial
            else _left_singular(self._counts, min(dim, *self._counts.shape))
        )
        self.vectors = _unit_rows(self._components)

    def encode(self, text: str) -> np.ndarray:
        """Encodes another text by the n-grams it shares with these ("folding in").

        A text of these gets the vector it has, up to rounding.

        Returns:
            shape: (at most dim,), dtype: float32; of length one, zeros where it shares none.
        """
        if self._is_trivial:
            return np.ones(1, np.float32)
        row = csr_matrix(hstack([each.transform([text]) for each in self._vectorizers]))
        # Left vectors times singular values are U S: a row r has r V = (r N^T) U S / S^2.
        squares = (self._components**2).sum(axis=0)
        is_kept = squares > LEAST_SQUARE * squares.max()
        products = (row @ self._counts.T).toarray().astype(np.float64) @ self._components
        folded = np.where(is_kept, products / np.where(is_kept, squares, 1.0), 0.0)
        vector: np.ndarray = _unit_rows(folded)[0]
        return vector


def encode_texts_tfidf(texts: list[str], dim: int) -> np.ndarray:
    """Encodes texts by the n-grams they share; see `FittedTexts`."""
    return FittedTexts(texts, dim).vectors


def _unit_rows(rows: np.ndarray) -> np.ndarray:
    """Scales rows to length one, those of zeros excepted."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12), dtype=np.float32)


def _left_singular(counts: csr_matrix, num_components: int) -> np.ndarray:
    """Left singular vectors times singular values, the largest first, with settled signs.

    Both ways are exact. ARPACK converges slowly where nearly all directions are asked for, as
    with few texts; there the inner products of the texts fit into one dense matrix.

    Args:
        counts: shape: (n, n-grams).
        num_components: At most min(n, n-grams).

    Returns:
        shape: (n, at most num_components), dtype: float64.
    """
    num_texts, num_ngrams = counts.shape
    if num_texts <= DENSE_TEXTS:
        products = (counts @ counts.T).toarray().astype(np.float64)
        values, vectors = eigh(
            products, subset_by_index=[num_texts - num_components, num_texts - 1]
        )
        vectors = (vectors * np.sqrt(np.maximum(values, 0.0)))[:, ::-1]
    else:
        rank = min(num_components, num_texts - 1, num_ngrams - 1)
        vectors = TruncatedSVD(rank, algorithm="arpack", random_state=0).fit_transform(counts)
    peaks = np.abs(vectors).argmax(axis=0)
    signs = np.sign(vectors[peaks, np.arange(vectors.shape[1])])
    return np.asarray(vectors * np.where(signs == 0, 1.0, signs))


def _vectorizer(analyzer: str, ngram_range: tuple[int, int]) -> TfidfVectorizer:
    """Sublinear TF-IDF, rows of length one, of at most MAX_NGRAMS columns."""
    return TfidfVectorizer(
        analyzer=analyzer,
        ngram_range=ngram_range,
        token_pattern=r"(?u)\b\w+\b" if analyzer == "word" else None,
        max_features=MAX_NGRAMS,
        sublinear_tf=True,
        dtype=np.float32,
    )
