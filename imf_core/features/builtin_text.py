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


def encode_texts_tfidf(texts: list[str], dim: int) -> np.ndarray:
    """Encodes texts by the n-grams they share.

    Args:
        texts: Non-empty texts, n of them.
        dim: Upper bound of the components kept; also bounded by n and by the n-grams there are.

    Returns:
        shape: (n, at most dim), dtype: float32; rows of length one. The same for the same texts.
    """
    blocks = [_tfidf(texts, "char_wb", CHARACTER_NGRAMS)]
    if any(re.search(r"\w", text) for text in texts):
        blocks.append(_tfidf(texts, "word", WORD_NGRAMS))
    counts = csr_matrix(hstack(blocks))
    if min(counts.shape) == 1:  # one text, or one n-gram: nothing to tell apart
        return np.ones((len(texts), 1), np.float32)
    vectors = _left_singular(counts, min(dim, *counts.shape))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


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


def _tfidf(texts: list[str], analyzer: str, ngram_range: tuple[int, int]) -> csr_matrix:
    """Sublinear TF-IDF, rows of length one; shape: (n, at most MAX_NGRAMS)."""
    vectorizer = TfidfVectorizer(
        analyzer=analyzer,
        ngram_range=ngram_range,
        token_pattern=r"(?u)\b\w+\b" if analyzer == "word" else None,
        max_features=MAX_NGRAMS,
        sublinear_tf=True,
        dtype=np.float32,
    )
    return vectorizer.fit_transform(texts)
