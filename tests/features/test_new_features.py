"""The features of an unseen entity are in the space of the graph's features."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from feature_inputs import (
    TEXTS,
    Workspace,
    image_features_params,
    picture,
    text_features_params,
    write_image_features,
    write_text_features,
)

from imf_core.base.errors import DataError, ModelUnavailableError, QuestionError
from imf_core.base.modality import UnseenEncoder
from imf_core.features.image import MODALITY as IMAGE
from imf_core.features.shared.unseen import write_arrays
from imf_core.features.text import MODALITY as TEXT
from imf_core.features.text import builtin_text
from imf_core.graph.entities import entity_text
from imf_core.graph.feature_table import FeatureTable, load_features

MakeWorkspace = Callable[..., Workspace]


def texts(place: Workspace, **changes: object) -> FeatureTable:
    write_text_features(place, text_features_params(**changes))
    return load_features(place.output, place.graph.fingerprint)


def text_encoder(place: Workspace, table: FeatureTable, **changes: object) -> UnseenEncoder:
    params = text_features_params(**changes)
    return TEXT.fit_unseen(place.inputs, params, table)


def image_encoder(place: Workspace, table: FeatureTable, **changes: object) -> UnseenEncoder:
    params = image_features_params(**changes)
    return IMAGE.fit_unseen(place.inputs, params, table)


def new_text(
    place: Workspace, table: FeatureTable, description: str, name: str = "", **changes: object
) -> torch.Tensor:
    return text_encoder(place, table, **changes).encode([entity_text("", name, description)])[0]


def pictures(place: Workspace, **changes: object) -> FeatureTable:
    place.make_images([(number, picture(number)) for number in range(6)])
    write_image_features(place, image_features_params(**changes))
    return load_features(place.output, place.graph.fingerprint)


def new_image(
    place: Workspace, table: FeatureTable, content: bytes, **changes: object
) -> torch.Tensor:
    path = place.root / "new.png"
    path.write_bytes(content)
    return image_encoder(place, table, **changes).encode([str(path)])[0]


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


def test_many_texts_are_encoded_as_one_by_one(workspace: MakeWorkspace) -> None:
    place = workspace(7)
    table = texts(place)
    new = ["an island in red", "a river", "the lake"]
    encoder = text_encoder(place, table)
    alone = torch.stack([new_text(place, table, each) for each in new])
    torch.testing.assert_close(encoder.encode(new), alone, atol=1e-6, rtol=0)


def test_a_saved_text_encoder_gives_the_same_vectors_and_the_same_bytes(
    workspace: MakeWorkspace,
) -> None:
    place = workspace(7)
    table = texts(place)
    for name in ("first", "second"):
        encoder = text_encoder(place, table)
        encoder.save(place.root / name)
    assert files_of(place.root / "first") == files_of(place.root / "second")
    loaded = TEXT.load_unseen(place.root / "first", table)
    new = ["an island in red", "a river"]
    assert torch.equal(loaded.encode(new), encoder.encode(new))
    with pytest.raises(QuestionError, match="shares nothing with those of the graph"):
        loaded.encode(["同じ"])


def test_a_saved_image_encoder_gives_the_same_vectors_and_the_same_bytes(
    workspace: MakeWorkspace,
) -> None:
    place = workspace(7)
    table = pictures(place)
    for name in ("first", "second"):
        encoder = image_encoder(place, table)
        encoder.save(place.root / name)
    assert files_of(place.root / "first") == files_of(place.root / "second")
    path = place.root / "new.png"
    path.write_bytes(picture(9))
    loaded = IMAGE.load_unseen(place.root / "first", table)
    paths = [str(path)] * 2
    assert torch.equal(loaded.encode(paths), encoder.encode(paths))


def test_a_saved_pretrained_encoder_is_named_and_its_weights_are_checked(
    workspace: MakeWorkspace, bert_folder: Path
) -> None:
    place = workspace(7)
    table = texts(place, model=str(bert_folder))
    encoder = text_encoder(place, table, model=str(bert_folder))
    encoder.save(place.root / "saved")
    (path,) = (place.root / "saved").iterdir()
    loaded = TEXT.load_unseen(path.parent, table)
    assert torch.equal(loaded.encode(["a red island"]), encoder.encode(["a red island"]))
    other = replace(table, provenance={**table.provenance, "weights_sha256": "0"})
    with pytest.raises(QuestionError, match=r"encoder\.json names .*; name the directory"):
        TEXT.load_unseen(path.parent, other).encode(["a red island"])
    path.write_text(path.read_text().replace(str(bert_folder), "/another/machine"))
    with pytest.raises(ModelUnavailableError, match="'/another/machine', which is not on this"):
        TEXT.load_unseen(path.parent, table).encode(["a red island"])


def test_of_features_given_ready_made_the_parameters_alone_are_saved(
    workspace: MakeWorkspace,
) -> None:
    place = workspace(7)
    table = replace(texts(place), provenance={"model": "precomputed:bert.npy", "file_sha256": "0"})
    encoder = text_encoder(place, table)
    encoder.save(place.root / "saved")
    with pytest.raises(QuestionError, match=r"ready-made \(precomputed:bert.npy\)"):
        TEXT.load_unseen(place.root / "saved", table).encode(["a red island"])


@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
def test_damaged_files_of_an_encoder_are_named(damage: str, workspace: MakeWorkspace) -> None:
    place = workspace(7)
    table = texts(place)
    encoder = text_encoder(place, table)
    encoder.save(place.root / "saved")
    path = place.root / "saved/encoder.safetensors"
    content = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[:100])
    if damage == "other":
        write_arrays(path, {"directions": np.ones((3, 2), np.float32)})
    with pytest.raises(DataError, match=r"encoder\.safetensors"):
        TEXT.load_unseen(place.root / "saved", table).encode(["a red island"])


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
