"""The features of an unseen entity are in the space of the graph's features."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from feature_inputs import (
    TEXTS,
    Workspace,
    image_features_params,
    images_params,
    picture,
    text_features_params,
    write_image_features,
    write_text_features,
)

from imf_core.base.errors import QuestionError
from imf_core.base.modality import UnseenInput
from imf_core.features.image import MODALITY as IMAGE
from imf_core.features.text import MODALITY as TEXT
from imf_core.features.text import builtin_text
from imf_core.graph.feature_table import FeatureTable, load_features

MakeWorkspace = Callable[..., Workspace]


def texts(place: Workspace, **changes: object) -> FeatureTable:
    write_text_features(place, text_features_params(**changes))
    return load_features(place.output, place.graph.fingerprint)


def new_text(
    place: Workspace, table: FeatureTable, description: str, name: str = "", **changes: object
) -> torch.Tensor:
    params = text_features_params(**changes)
    return TEXT.encode_unseen(
        UnseenInput(description, name, images_params()), place.inputs, params, table
    )


def pictures(place: Workspace, **changes: object) -> FeatureTable:
    place.make_images([(number, picture(number)) for number in range(6)])
    write_image_features(place, image_features_params(**changes))
    return load_features(place.output, place.graph.fingerprint)


def new_image(
    place: Workspace, table: FeatureTable, content: bytes, **changes: object
) -> torch.Tensor:
    path = place.root / "new.png"
    path.write_bytes(content)
    params = image_features_params(**changes)
    return IMAGE.encode_unseen(
        UnseenInput(str(path), "", images_params()), place.inputs, params, table
    )


@pytest.mark.parametrize("dense_texts", [2_000, 1])
def test_a_text_of_the_graph_gets_the_vector_it_has(
    dense_texts: int, workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builtin_text, "DENSE_TEXTS", dense_texts)
    place = workspace(7)
    table = texts(place, dim=4)
    graph = place.graph
    found = new_text(place, table, graph.entity_descriptions[2], graph.entity_names[2], dim=4)
    torch.testing.assert_close(found, table.vectors[2], atol=1e-4, rtol=0)


def test_a_new_text_is_nearest_to_the_one_it_shares_words_with(workspace: MakeWorkspace) -> None:
    place = workspace(7)
    table = texts(place)
    found = new_text(place, table, "an island in red")
    assert int((table.vectors @ found).argmax()) == TEXTS.index("a red island")
    assert float(found.norm()) == pytest.approx(1, abs=1e-5)


def test_a_text_that_shares_nothing_is_refused(workspace: MakeWorkspace) -> None:
    place = workspace(7)
    table = texts(place)
    with pytest.raises(QuestionError, match="shares nothing with those of the graph"):
        new_text(place, table, "同じ")


def test_a_picture_of_the_graph_gets_the_vector_it_has(workspace: MakeWorkspace) -> None:
    place = workspace(7)
    table = pictures(place)
    found = new_image(place, table, picture(3))
    torch.testing.assert_close(found, table.vectors[3], atol=1e-5, rtol=0)


def test_the_pretrained_text_model_is_the_one_of_the_stage(
    workspace: MakeWorkspace, bert_folder: Path
) -> None:
    place = workspace(7)
    table = texts(place, model=str(bert_folder))
    graph = place.graph
    found = new_text(
        place, table, graph.entity_descriptions[2], graph.entity_names[2], model=str(bert_folder)
    )
    torch.testing.assert_close(found, table.vectors[2], atol=1e-5, rtol=0)


def test_the_pretrained_image_model_is_the_one_of_the_stage(
    workspace: MakeWorkspace, clip_folder: Path
) -> None:
    place = workspace(7)
    table = pictures(place, model=str(clip_folder))
    found = new_image(place, table, picture(3), model=str(clip_folder))
    torch.testing.assert_close(found, table.vectors[3], atol=1e-5, rtol=0)


def test_features_given_ready_made_have_no_encoder(workspace: MakeWorkspace) -> None:
    place = workspace(7)
    table = replace(texts(place), provenance={"model": "precomputed:bert.npy", "file_sha256": "0"})
    with pytest.raises(QuestionError, match=r"ready-made \(precomputed:bert.npy\)"):
        new_text(place, table, "a red island")


def test_another_encoder_than_that_of_the_graph_is_refused(
    workspace: MakeWorkspace, bert_folder: Path
) -> None:
    place = workspace(7)
    table = texts(place)
    with pytest.raises(QuestionError, match=r"made by .*tfidf-svd.*run `dvc repro`"):
        new_text(place, table, "a red island", model=str(bert_folder))


def test_features_of_other_texts_are_refused(workspace: MakeWorkspace) -> None:
    place = workspace(7)
    table = texts(place)
    shuffled = replace(table, vectors=table.vectors.flip(0))
    with pytest.raises(QuestionError, match="does not give the features"):
        new_text(place, shuffled, "a red island")


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_a_file_that_is_no_picture_is_refused(content: bytes, workspace: MakeWorkspace) -> None:
    place = workspace(7)
    table = pictures(place)
    with pytest.raises(QuestionError, match=r"new\.png is not taken as a picture"):
        new_image(place, table, content)
