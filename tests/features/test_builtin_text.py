from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from feature_inputs import TEXTS, Workspace, text_features_params, write_text_features

from imf_core.base.errors import DataError
from imf_core.features.shared.unseen import read_arrays, write_arrays
from imf_core.features.text import builtin_text
from imf_core.features.text.builtin_text import (
    WEIGHTS,
    FittedTexts,
    SampledTexts,
    TextEncoder,
    _CharacterCounts,
    encode_texts_tfidf,
    fit_texts,
)
from imf_core.graph.feature_table import FeatureTable, load_features

MakeWorkspace = Callable[..., Workspace]


def write(place: Workspace, **changes: object) -> FeatureTable:
    params = text_features_params(**changes)
    return write_text_features(place, params)


def test_texts_that_share_words_or_stems_are_nearest() -> None:
    texts = ["island in the north", "northern islands", "a goat on a bank note", "goats"]
    vectors = encode_texts_tfidf(texts, 3)
    likeness = vectors @ vectors.T - 2 * np.eye(4)
    assert likeness.argmax(axis=1).tolist() == [1, 0, 3, 2]


def test_vectors_have_length_one_and_at_most_the_dim_asked_for() -> None:
    vectors = encode_texts_tfidf(TEXTS, 4)
    assert (vectors.shape, vectors.dtype) == ((7, 4), np.float32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_the_number_of_texts_bounds_the_dim() -> None:
    assert encode_texts_tfidf(TEXTS, 4096).shape == (7, 7)


@pytest.mark.parametrize("texts", [["one"], ["!", "?"], ["x", "y"], ["同じ言語", "別の言語"]])
def test_odd_texts_are_encoded(texts: list[str]) -> None:
    vectors = encode_texts_tfidf(texts, 8)
    assert len(vectors) == len(texts)
    assert np.isfinite(vectors).all()


def test_the_solver_for_many_texts_agrees_with_the_one_for_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = encode_texts_tfidf(TEXTS, 3)
    monkeypatch.setattr(builtin_text, "DENSE_TEXTS", 1)
    assert np.allclose(encode_texts_tfidf(TEXTS, 3), few, atol=1e-4)


def test_the_same_texts_give_the_same_bytes(workspace: MakeWorkspace) -> None:
    place = workspace(7)
    write(place)
    first = place.output.read_bytes()
    write(place)
    assert place.output.read_bytes() == first


def test_entities_without_text_have_zeros(workspace: MakeWorkspace) -> None:
    features = write(workspace([("a", "a", ""), ("b", "b", "red"), ("c", "Blue", "")]))
    assert features.is_present.tolist() == [False, True, True]
    assert not features.vectors[0].any()


def test_no_text_at_all_is_fine(workspace: MakeWorkspace) -> None:
    place = workspace([("a", "a", ""), ("b", "b", "")])
    write(place)
    read = load_features(place.output, place.graph.fingerprint)
    assert not read.is_present.any()
    assert read.provenance == {"model": "builtin:tfidf-svd"}


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """More texts than are decomposed at once."""
    monkeypatch.setattr(builtin_text, "MOST_TEXTS", 100)
    monkeypatch.setattr(builtin_text, "SAMPLE_TEXTS", 80)
    monkeypatch.setattr(builtin_text, "BATCH_TEXTS", 33)
    words = ["island", "lake", "river", "goat", "note", "bank", "red", "Große", "ÎLE", "İsland"]
    words += ["島国", "x"]
    generator = np.random.default_rng(0)
    return [" ".join(generator.choice(words, length)) for length in generator.integers(1, 9, 110)]


def test_many_texts_are_encoded_with_the_same_bytes_each_time(many: list[str]) -> None:
    first = encode_texts_tfidf(many, 8)
    assert (first.shape, first.dtype) == ((110, 8), np.float32)
    assert np.allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
    assert encode_texts_tfidf(many, 8).tobytes() == first.tobytes()


def test_a_text_of_many_gets_the_vector_it_has(many: list[str]) -> None:
    fitted = fit_texts(many, 8)
    places = [0, 50, 109]
    found = fitted.encoder().encode([many[place] for place in places])
    assert np.allclose(found, fitted.vectors[places], atol=1e-6)


def test_a_text_that_shares_nothing_with_many_has_zeros(many: list[str]) -> None:
    assert not fit_texts(many, 8).encoder().encode(["qqq 77"]).any()


def test_the_neighbours_among_many_texts_are_those_of_all_decomposed(many: list[str]) -> None:
    sampled, whole = (fit(many, 40).vectors for fit in (SampledTexts, FittedTexts))
    overlaps = []
    for place in range(len(many)):
        nearest = [set((each @ each[place]).argsort()[-6:]) for each in (sampled, whole)]
        overlaps.append(len(nearest[0] & nearest[1]) / 6)
    assert np.mean(overlaps) > 0.8


def test_character_counts_by_word_are_those_of_whole_texts(many: list[str]) -> None:
    odd = [*many, "two  blanks", "\tA\nline  ", "a", "İİ İ", "no\u00a0break\u2003space", "ﬁne ﬁ"]
    by_word = _CharacterCounts(odd)
    whole = builtin_text._vectorizer("char_wb")
    assert np.allclose(by_word.weigh(odd).toarray(), whole.fit_transform(odd).toarray(), atol=1e-6)


def test_many_texts_without_any_word_are_encoded(many: list[str]) -> None:
    vectors = encode_texts_tfidf(["!?"[place % 2] * (1 + place % 5) for place in range(110)], 4)
    assert np.isfinite(vectors).all()


def test_many_equal_texts_are_encoded(many: list[str]) -> None:
    vectors = encode_texts_tfidf(["one text"] * 110, 4)
    assert np.isfinite(vectors).all()


def test_an_encoder_is_saved_in_the_smaller_form(tmp_path: Path) -> None:
    texts = [f"{text} {number}" for number in range(3) for text in TEXTS]
    few, many = (fit_texts(texts, dim).encoder() for dim in (21, 2))
    for name, encoder, has_counts in (("few", few, True), ("many", many, False)):
        encoder.save(tmp_path / name)
        arrays = read_arrays(tmp_path / name / WEIGHTS)
        assert ("counts.values" in arrays) == has_counts
        loaded = TextEncoder.load(tmp_path / name)
        assert (loaded.encode(texts) == encoder.encode(texts)).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"counts.values": None},
        {"counts.starts": None, "counts.ngrams": None},
        {"counts.values": lambda each: each[1:]},
        {"counts.ngrams": lambda each: each + 10_000},
        {"counts.ngrams": lambda each: each - 1},
        {"counts.starts": lambda each: each + 1},
        {"counts.starts": lambda each: each[::-1]},
        {"counts.starts": lambda each: each[1:]},
    ],
)
def test_damaged_counts_are_an_error_with_a_remedy(
    changes: dict[str, Callable[[np.ndarray], np.ndarray] | None], tmp_path: Path
) -> None:
    texts = [f"{text} {number}" for number in range(3) for text in TEXTS]
    fit_texts(texts, 21).encoder().save(tmp_path)
    arrays = read_arrays(tmp_path / WEIGHTS)
    for name, change in changes.items():
        whole = arrays.pop(name)
        if change is not None:
            arrays[name] = change(whole)
    write_arrays(tmp_path / WEIGHTS, arrays)
    with pytest.raises(DataError, match=r"encoder\.safetensors .*copy .* packed model"):
        TextEncoder.load(tmp_path)
