"""Inputs of the benchmarks' encoders, and their recorded forward passes."""

import torch

from benchmarks.encoders import (
    make_sources,
    make_texts,
    make_vocabulary,
    record_inputs,
    reencode,
    run_forward,
)
from imf_core.raster.reencode import open_rgb


def test_texts_are_the_same_each_time_and_their_lengths_spread() -> None:
    texts = make_texts(200)
    lengths = sorted(len(text.split()) for text in texts)
    assert texts == make_texts(200)
    assert lengths[0] <= 4
    assert 10 <= lengths[100] <= 20
    assert lengths[-1] >= 60


def test_a_vocabulary_has_the_commoner_words_whole_and_as_many_tokens_as_asked_for() -> None:
    vocabulary = make_vocabulary(9_000)
    words = [word for text in make_texts(50) for word in text.split()]
    whole = sum(word in vocabulary for word in words) / len(words)
    assert len(vocabulary) == 9_000
    assert 0.5 < whole < 0.9


def test_of_five_sources_four_become_photographs() -> None:
    pictures = [reencode(source) for source in make_sources(5)]
    assert [picture[:2] == b"\xff\xd8" for picture in pictures] == [True] * 4 + [False]
    assert all(max(open_rgb(picture).size) == 224 for picture in pictures)


def test_bare_forward_passes_are_those_of_the_work_and_no_others() -> None:
    calls = []

    class Model(torch.nn.Module):
        def forward(self, number: int) -> int:
            calls.append(number)
            return number

    model = Model()
    inputs = record_inputs(model, lambda: [model(number=number) for number in range(3)])
    model(number=3)
    calls.clear()
    run_forward(model, inputs)
    assert calls == [0, 1, 2]
