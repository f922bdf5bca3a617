"""`builtin:tfidf-svd`: shared words and word parts of texts, without learned weights.

TF-IDF of words and word pairs, and TF-IDF of character n-grams (for word stems and languages
without spaces), each of length one, then truncated SVD: latent semantic analysis. 15,000 short
texts take seconds. For many texts the SVD uses a sample; the others are projected onto its
components.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.linalg import eigh
from scipy.sparse import csr_matrix, hstack
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from tqdm import tqdm

from imf_core.base.artifacts import read_json, write_json
from imf_core.base.errors import DataError
from imf_core.features.shared.unseen import read_arrays, write_arrays

WORD_NGRAMS = (1, 2)
CHARACTER_NGRAMS = (3, 5)
MAX_NGRAMS = 30_000  # of either kind, the most frequent
DENSE_TEXTS = 2_000
MOST_TEXTS = 50_000
"""Up to this number the SVD uses all texts, beyond it `SAMPLE_TEXTS` evenly spaced ones."""
SAMPLE_TEXTS = 10_000
BATCH_TEXTS = 10_000
LEAST_SQUARE = 1e-6
"""Smaller squared singular values, relative to the largest, are rounding and are not used."""

NGRAMS = "ngrams.json"
WEIGHTS = "encoder.safetensors"
"""Files of a saved encoder."""
_COUNTS = ("counts.starts", "counts.ngrams", "counts.values")
"""Arrays of the n-grams' counts in the second file: a compressed sparse matrix by rows."""


class FittedTexts:
    """Texts encoded by their shared n-grams, and an encoder for further ones.

    Args:
        texts: Non-empty texts, n of them.
        dim: Upper bound of the components kept; also bounded by n and by the n-grams there are.

    Attributes:
        vectors: shape: (n, at most dim), dtype: float32; rows of length one. Equal for equal
            texts.
    """

    def __init__(self, texts: list[str], dim: int) -> None:
        self._vectorizers = [_vectorizer("char_wb")]
        if any(re.search(r"\w", text) for text in texts):
            self._vectorizers.append(_vectorizer("word"))
        blocks = [each.fit_transform(texts) for each in self._vectorizers]
        self._counts = csr_matrix(hstack(blocks))
        # One text or one n-gram: no differences to encode.
        self._is_trivial = min(self._counts.shape) == 1
        self._components = (
            np.ones((len(texts), 1))
            if self._is_trivial
            else _left_singular(self._counts, min(dim, *self._counts.shape))
        )
        self.vectors = _unit_rows(self._components)

    def encoder(self) -> "TextEncoder":
        """Returns the encoder of further texts ("folding in")."""
        if self._is_trivial:
            return TextEncoder(self._vectorizers, np.ones((self._counts.shape[1], 1), np.float32))
        # Left vectors times singular values are U S: a row r has r V = (r N^T) U S / S^2.
        squares = (self._components**2).sum(axis=0)
        is_kept = squares > LEAST_SQUARE * squares.max()
        scaled = np.where(is_kept, self._components / np.where(is_kept, squares, 1.0), 0.0)
        num_ngrams = self._counts.shape[1]
        if 2 * self._counts.nnz + scaled.size < num_ngrams * scaled.shape[1]:
            return TextEncoder(self._vectorizers, scaled.astype(np.float32), self._counts)
        directions = self._counts.T.astype(np.float64) @ scaled
        return TextEncoder(self._vectorizers, directions.astype(np.float32))


class SampledTexts:
    """Many texts, projected onto the components of a sample of them.

    Args:
        texts: Non-empty texts, more than `SAMPLE_TEXTS`.
        dim: Upper bound of the components kept.

    Attributes:
        vectors: shape: (n, at most dim), dtype: float32; rows of length one, but zeros for a text
            that shares no n-gram with the sample. Equal for equal texts.
    """

    def __init__(self, texts: list[str], dim: int) -> None:
        places = np.linspace(0, len(texts) - 1, SAMPLE_TEXTS).astype(np.int64)
        sample = [texts[place] for place in places]
        with tqdm(total=len(texts), unit="text", disable=None) as bar:
            bar.set_description(f"text features, fit to {len(sample)} texts")
            self._blocks: list[_CharacterCounts | _WordCounts] = [_CharacterCounts(sample)]
            if any(re.search(r"\w", text) for text in sample):
                self._blocks.append(_WordCounts(sample))
            counts = self._weigh(sample)
            rank = min(dim, min(counts.shape) - 1)
            # ARPACK takes several times as long, for more digits than a sample supports.
            svd = TruncatedSVD(rank, algorithm="randomized", n_iter=4, random_state=0)
            with np.errstate(
                divide="ignore", invalid="ignore"
            ):  # shares of variance, if all texts are equal
                self._directions = svd.fit(counts).components_.T.astype(np.float32)
            bar.set_description("text features")
            parts = []
            for start in range(0, len(texts), BATCH_TEXTS):
                parts.append(self._project(texts[start : start + BATCH_TEXTS]))
                bar.update(len(parts[-1]))
        self.vectors = np.concatenate(parts)

    def encoder(self) -> "TextEncoder":
        """Returns the encoder of further texts."""
        vectorizers = [
            _restore_vectorizer(block.analyzer, block.vocabulary, block.idf)
            for block in self._blocks
        ]
        return TextEncoder(vectorizers, self._directions)

    def _weigh(self, texts: list[str]) -> csr_matrix:
        return csr_matrix(hstack([block.weigh(texts) for block in self._blocks]))

    def _project(self, texts: list[str]) -> np.ndarray:
        return _unit_rows(self._weigh(texts) @ self._directions)


def fit_texts(texts: list[str], dim: int) -> FittedTexts | SampledTexts:
    """Encodes texts by the n-grams they share.

    Args:
        texts: Non-empty texts, n of them.
        dim: Upper bound of the components kept; also bounded by n and by the n-grams there are.
    """
    return FittedTexts(texts, dim) if len(texts) <= MOST_TEXTS else SampledTexts(texts, dim)


class TextEncoder:
    """Encodes further texts by the n-grams that they share with the fitted ones.

    Args:
        vectorizers: TF-IDF of character n-grams and, if the fitted texts have words, of words.
        directions: Direction of each n-gram or, with `counts`, of each fitted text, shape:
            (n-grams, F) or (n, F), dtype: float32.
        counts: Counts of n-grams in each fitted text; an n-gram's direction is the sum over its
            texts. The smaller form for few texts. Shape: (n, n-grams), dtype: float32.
    """

    def __init__(
        self,
        vectorizers: Sequence[TfidfVectorizer],
        directions: np.ndarray,
        counts: csr_matrix | None = None,
    ) -> None:
        self._vectorizers = vectorizers
        self._saved, self._counts = directions, counts
        self._directions = (
            directions
            if counts is None
            else (counts.T.astype(np.float64) @ directions).astype(np.float32)
        )

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encodes texts; a fitted one gets its own vector, up to rounding.

        Args:
            texts: m texts.

        Returns:
            shape: (m, F), dtype: float32; rows of length one, zeros without shared n-grams.
        """
        rows = csr_matrix(hstack([each.transform(texts) for each in self._vectorizers]))
        return _unit_rows(rows @ self._directions)

    def save(self, folder: Path) -> None:
        """Writes `ngrams.json` (n-grams in the order of the rows) and `encoder.safetensors`."""
        ngrams, arrays = {}, {"directions": self._saved}
        for each in self._vectorizers:
            ngrams[each.analyzer] = each.get_feature_names_out().tolist()
            arrays[f"idf.{each.analyzer}"] = each.idf_
        if self._counts is not None:
            parts = self._counts.indptr, self._counts.indices, self._counts.data
            arrays.update(zip(_COUNTS, parts, strict=True))
        write_json(folder / NGRAMS, ngrams)
        write_arrays(folder / WEIGHTS, arrays)

    @classmethod
    def load(cls, folder: Path) -> "TextEncoder":
        """Reads the files of `save`.

        Raises:
            DataError: If a file is missing or damaged, or the two are not of one encoder.
        """
        ngrams, arrays = read_json(folder / NGRAMS), read_arrays(folder / WEIGHTS)
        if not isinstance(ngrams, dict) or not all(
            isinstance(each, list) for each in ngrams.values()
        ):
            raise DataError(f"{folder / NGRAMS} lists no n-grams; copy the packed model again")
        has_counts = set(_COUNTS) <= arrays.keys()
        parts = [arrays.pop(name) for name in _COUNTS] if has_counts else []
        expected = {f"idf.{analyzer}": len(each) for analyzer, each in ngrams.items()}
        num_ngrams = sum(expected.values())
        expected["directions"] = len(parts[0]) - 1 if parts else num_ngrams
        sizes = {name: len(each) for name, each in arrays.items()}
        if sizes != expected:
            raise DataError(
                f"{folder / WEIGHTS} has arrays of lengths {sizes}, but {NGRAMS} beside it lists "
                f"{expected}: the files are of two encoders; copy both from one packed model"
            )
        vectorizers = [
            _restore_vectorizer(analyzer, each, arrays[f"idf.{analyzer}"])
            for analyzer, each in ngrams.items()
        ]
        directions = arrays["directions"]
        if not parts:
            return cls(vectorizers, directions)
        starts, columns, values = parts
        try:
            counts = csr_matrix((values, columns, starts), (len(directions), num_ngrams))
            counts.check_format(full_check=True)
        except (ValueError, TypeError) as error:
            raise DataError(
                f"{folder / WEIGHTS} has counts of n-grams that are no sparse matrix ({error}); "
                "copy the packed model again"
            ) from error
        return cls(vectorizers, directions, counts)


class _WordCounts:
    """TF-IDF of words and word pairs, as in `_vectorizer`."""

    analyzer = "word"

    def __init__(self, sample: list[str]) -> None:
        self._counts = CountVectorizer(
            ngram_range=WORD_NGRAMS,
            token_pattern=r"(?u)\b\w+\b",
            max_features=MAX_NGRAMS,
            dtype=np.float32,
        )
        self._weights = TfidfTransformer(sublinear_tf=True).fit(self._counts.fit_transform(sample))
        self.vocabulary: list[str] = self._counts.get_feature_names_out().tolist()
        self.idf: np.ndarray = self._weights.idf_

    def weigh(self, texts: list[str]) -> csr_matrix:
        return self._weights.transform(self._counts.transform(texts), copy=False)


class _CharacterCounts:
    """TF-IDF of character n-grams, as in `_vectorizer`, computed once per distinct word.

    An n-gram of `char_wb` is inside one word, so a text's counts are the sum of its words' counts.
    """

    analyzer = "char_wb"

    def __init__(self, sample: list[str]) -> None:
        self._counts = CountVectorizer(
            analyzer="char_wb",
            ngram_range=CHARACTER_NGRAMS,
            max_features=MAX_NGRAMS,
            dtype=np.float32,
        )
        self._weights = TfidfTransformer(sublinear_tf=True).fit(self._counts.fit_transform(sample))
        self.vocabulary: list[str] = self._counts.get_feature_names_out().tolist()
        self.idf: np.ndarray = self._weights.idf_

    def weigh(self, texts: list[str]) -> csr_matrix:
        words = CountVectorizer(analyzer=_split, dtype=np.float32)
        words_of_texts = words.fit_transform(texts)
        counts = words_of_texts @ self._counts.transform(words.get_feature_names_out())
        return self._weights.transform(counts, copy=False)


def _split(text: str) -> list[str]:
    """Splits a text at white space, like `char_wb`."""
    return text.lower().split()


def encode_texts_tfidf(texts: list[str], dim: int) -> np.ndarray:
    """Encodes texts by the n-grams they share; see `fit_texts`."""
    return fit_texts(texts, dim).vectors


def _unit_rows(rows: np.ndarray) -> np.ndarray:
    """Scales rows to length one; zero rows stay zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12), dtype=np.float32)


def _left_singular(counts: csr_matrix, num_components: int) -> np.ndarray:
    """Returns left singular vectors times singular values, the largest first, with fixed signs.

    Both algorithms are exact. ARPACK converges slowly for nearly all directions, as with few texts;
    then the inner products of the texts fit into one dense matrix.

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


def _vectorizer(analyzer: str, ngrams: Sequence[str] | None = None) -> TfidfVectorizer:
    """Makes a sublinear TF-IDF with rows of length one.

    Args:
        analyzer: `word` or `char_wb`.
        ngrams: The n-grams to count; None for the most frequent ones of the fitted texts.
    """
    return TfidfVectorizer(
        analyzer=analyzer,
        ngram_range=WORD_NGRAMS if analyzer == "word" else CHARACTER_NGRAMS,
        token_pattern=r"(?u)\b\w+\b" if analyzer == "word" else None,
        max_features=MAX_NGRAMS,
        vocabulary=ngrams,
        sublinear_tf=True,
        dtype=np.float32,
    )


def _restore_vectorizer(analyzer: str, ngrams: Sequence[str], idf: np.ndarray) -> TfidfVectorizer:
    """Makes a fitted TF-IDF of its n-grams and their weights, shape: (n-grams,)."""
    vectorizer = _vectorizer(analyzer, ngrams)
    vectorizer.idf_ = idf
    return vectorizer
