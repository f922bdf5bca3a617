"""The trained model on disk."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_world import COUNTRIES, LONELY, every_query, small_params

from imf_core.base.artifacts import file_sha256, read_json, write_json
from imf_core.base.errors import ConfigError, DataError, ImfError
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph
from imf_core.model.decision import Calibration
from imf_core.model.imf import IMF
from imf_core.model.saved import (
    CALIBRATION,
    CONFIG,
    ENTITY_TABLE,
    WEIGHTS,
    build_model,
    load_calibration,
    load_model,
    save_calibration,
    save_model,
)
from imf_core.model.scorer import Scorer

Tables = dict[str, FeatureTable]
Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path, graph: Graph, tables: Tables) -> Save:
    """Returns a function that saves a model of the tiny graph and names the folder."""

    def save(model: IMF, overrides: dict[str, object] | None = None, name: str = "model") -> Path:
        params = small_params(overrides)
        save_model(model, tmp_path / name, graph, tables, params, {"epochs": 30})
        return tmp_path / name

    return save


@pytest.fixture
def folder(save: Save, trained: IMF) -> Path:
    return save(trained)


def in_answers(graph: Graph, tables: Tables) -> list[bool]:
    """Returns for which relations, with inverses, most answers have an image."""
    params = small_params()
    model = build_model(graph, tables, params.model, params.fusion)
    return model.channels["visual"].is_in_answers.tolist()


def test_a_loaded_model_gives_identical_scores(
    folder: Path, trained: IMF, graph: Graph, tables: Tables
) -> None:
    expected = Scorer(trained).score_all_tails(every_query())
    found = Scorer(load_model(folder, graph, tables)).score_all_tails(every_query())
    assert torch.equal(found.log_probs, expected.log_probs)
    assert torch.equal(found.combined, expected.combined)


def test_a_model_is_saved_with_the_same_bytes_each_time(save: Save, trained: IMF) -> None:
    one, two = save(trained, name="one"), save(trained, name="two")
    for file in (WEIGHTS, CONFIG):
        assert file_sha256(one / file) == file_sha256(two / file)


def test_the_configuration_says_how_the_model_was_made(folder: Path, graph: Graph) -> None:
    config = read_json(folder / CONFIG)
    assert config["heads"] == ["structural", "visual", "textual", "fused"]
    assert config["graph_fingerprint"] == graph.fingerprint
    assert config["features"]["image"]["model"] == "made up image"
    assert config["training"] == {"epochs": 30}


def test_features_are_not_saved_with_the_weights(folder: Path) -> None:
    inputs = ("features", "is_present", "absent_row", "in_answers")
    assert not [name for name in load_file(folder / WEIGHTS) if name.endswith(inputs)]


def test_a_model_of_another_graph_is_refused(folder: Path, graph: Graph, tables: Tables) -> None:
    other = replace(graph, entity_labels=graph.entity_labels[::-1])
    with pytest.raises(DataError, match=r"trained on another graph .*run `dvc repro`"):
        load_model(folder, other, tables)


def test_a_model_of_a_larger_graph_is_refused_with_both_sizes(
    folder: Path, graph: Graph, tables: Tables
) -> None:
    other = replace(graph, entity_labels=[*graph.entity_labels, "one more"])
    message = (
        rf"\(22 entities, 3 relations, fingerprint {graph.fingerprint[:12]}; "
        r"this one: 23 entities, 3 relations, .*run `dvc repro`"
    )
    with pytest.raises(DataError, match=message):
        load_model(folder, other, tables)


@pytest.mark.parametrize(("change", "number"), [(1, 23), (-2, 20)])
def test_weights_for_another_number_of_entities_are_refused_with_both_sizes(
    change: int, number: int, folder: Path, graph: Graph, tables: Tables
) -> None:
    weights = load_file(folder / WEIGHTS)
    weights[ENTITY_TABLE] = torch.zeros(graph.num_entities + change, 8)
    save_file(weights, folder / WEIGHTS)
    message = rf"for {number} entities, 3 relations, but .* has 22 entities, 3 relations: .*repro`"
    with pytest.raises(DataError, match=message):
        load_model(folder, graph, tables)


def test_a_model_of_an_earlier_version_is_refused_with_a_remedy(
    folder: Path, graph: Graph, tables: Tables
) -> None:
    save_file({"encoders.structural.table.weight": torch.zeros(22, 8)}, folder / WEIGHTS)
    message = r"earlier version .*encoders\.structural\.table\.weight.*run `dvc repro train`"
    with pytest.raises(DataError, match=message):
        load_model(folder, graph, tables)


def test_a_model_without_structure_is_loaded(save: Save, graph: Graph, tables: Tables) -> None:
    overrides = {"model.modalities": ["image", "text"]}
    params = small_params(overrides)
    folder = save(build_model(graph, tables, params.model, params.fusion), overrides)
    assert load_model(folder, graph, tables).channel_names == ("visual", "textual", "fused")


@pytest.mark.parametrize(
    "change",
    [
        {"provenance": {"model": "another one"}},
        {"vectors": torch.zeros(22, 9)},
        {"is_present": torch.ones(22, dtype=torch.bool)},
    ],
)
def test_other_features_are_refused(
    change: dict[str, object], folder: Path, graph: Graph, tables: Tables
) -> None:
    tables["image"] = replace(tables["image"], **change)
    with pytest.raises(DataError, match=r"trained on other features .*run `dvc repro`"):
        load_model(folder, graph, tables)


def test_features_that_the_model_does_not_read_may_be_others(
    save: Save, graph: Graph, tables: Tables
) -> None:
    overrides = {"model.modalities": ["structure", "text"]}
    params = small_params(overrides)
    folder = save(build_model(graph, tables, params.model, params.fusion), overrides)
    tables["image"] = replace(tables["image"], provenance={"model": "another one"})
    assert load_model(folder, graph, tables).channel_names == ("structural", "textual", "fused")


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.9])
def test_truncated_weights_are_refused(
    kept: float, folder: Path, graph: Graph, tables: Tables
) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match=rf"{WEIGHTS} cannot be read .*delete the folder"):
        load_model(folder, graph, tables)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_weight_that_is_not_finite_is_named(
    value: float, folder: Path, graph: Graph, tables: Tables
) -> None:
    weights = load_file(folder / WEIGHTS)
    name = next(name for name, tensor in weights.items() if tensor.is_floating_point())
    weights[name].view(-1)[-1] = value
    save_file(weights, folder / WEIGHTS)
    with pytest.raises(DataError, match=rf"{WEIGHTS} holds values in {name} that are not finite"):
        load_model(folder, graph, tables)


@pytest.mark.parametrize("file", [WEIGHTS, CONFIG])
def test_a_missing_file_is_named(file: str, folder: Path, graph: Graph, tables: Tables) -> None:
    (folder / file).unlink()
    with pytest.raises(DataError, match=file):
        load_model(folder, graph, tables)


def test_weights_of_another_size_are_refused(
    save: Save, trained: IMF, graph: Graph, tables: Tables
) -> None:
    folder = save(trained, {"fusion.rank": 3})
    with pytest.raises(DataError, match=rf"{WEIGHTS} cannot be read as the model that {CONFIG}"):
        load_model(folder, graph, tables)


def test_a_changed_value_in_the_configuration_is_named(
    folder: Path, graph: Graph, tables: Tables
) -> None:
    config = read_json(folder / CONFIG)
    config["model"]["dim"] = 7
    write_json(folder / CONFIG, config)
    with pytest.raises(ConfigError, match=rf"{CONFIG}: .*dim must be even .*, got 7"):
        load_model(folder, graph, tables)


@pytest.mark.parametrize("content", [{"model_type": "bert"}, {}, [], None, "text", 3])
def test_a_configuration_of_something_else_is_refused(
    content: object, folder: Path, graph: Graph, tables: Tables
) -> None:
    write_json(folder / CONFIG, content)
    with pytest.raises(ImfError, match=CONFIG):
        load_model(folder, graph, tables)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"heads": ['])
def test_an_unreadable_configuration_is_refused(
    content: bytes, folder: Path, graph: Graph, tables: Tables
) -> None:
    (folder / CONFIG).write_bytes(content)
    with pytest.raises(ImfError, match=rf"{CONFIG} cannot be read"):
        load_model(folder, graph, tables)


@pytest.mark.parametrize(
    ("key", "value"),
    [("graph_fingerprint", 3), ("heads", "one"), ("features", []), ("fusion", {"rank": 2})],
)
def test_a_value_of_another_type_in_the_configuration_is_named(
    key: str, value: object, folder: Path, graph: Graph, tables: Tables
) -> None:
    write_json(folder / CONFIG, {**read_json(folder / CONFIG), key: value})
    with pytest.raises(ImfError, match=rf"{CONFIG}: .*{key}"):
        load_model(folder, graph, tables)


def test_what_answers_have_is_counted_in_train_in_both_directions(
    graph: Graph, tables: Tables
) -> None:
    assert in_answers(graph, tables) == [False, True, False, True, True, True]


def test_facts_of_valid_and_test_do_not_change_what_answers_have(
    graph: Graph, tables: Tables
) -> None:
    before = in_answers(graph, tables)
    countries = torch.tensor([[0, 0, country] for country in COUNTRIES] * 3)
    others = torch.tensor([[country, 1, 0] for country in COUNTRIES] * 3)
    held_out = torch.cat([countries, others])
    for split in ("valid", "test"):
        graph.triples[split] = held_out
    assert in_answers(graph, tables) == before
    graph.triples["train"] = torch.cat([graph.triples["train"], held_out])
    assert in_answers(graph, tables) != before


@pytest.mark.parametrize(("with_image", "expected"), [(0, False), (2, False), (3, True), (4, True)])
def test_most_answers_are_more_than_half_of_them(
    with_image: int, expected: bool, graph: Graph, tables: Tables
) -> None:
    answers = list(COUNTRIES)[:4]
    graph.triples["train"] = torch.tensor([[0, 0, answer] for answer in answers])
    is_present = torch.zeros(graph.num_entities, dtype=torch.bool)
    is_present[answers[:with_image]] = True
    is_present[-1] = True  # somebody has an image
    tables["image"] = replace(tables["image"], is_present=is_present)
    assert in_answers(graph, tables)[0] == expected


def test_a_relation_without_train_facts_has_nothing_in_its_answers(
    graph: Graph, tables: Tables
) -> None:
    graph.triples["train"] = graph.triples["train"][graph.triples["train"][:, 1] != 1]
    assert [in_answers(graph, tables)[relation] for relation in (1, 4)] == [False, False]


def test_a_modality_that_no_entity_has_is_refused_with_a_remedy(
    graph: Graph, tables: Tables
) -> None:
    nobody = torch.zeros(graph.num_entities, dtype=torch.bool)
    tables["image"] = replace(tables["image"], is_present=nobody)
    params = small_params()
    with pytest.raises(
        DataError,
        match=r"usable image.*leave it out: modalities: \[structure, text\]",
    ):
        build_model(graph, tables, params.model, params.fusion)


def test_without_masks_a_missing_medium_counts_as_zeros_seen(graph: Graph, tables: Tables) -> None:
    params = small_params({"model.mask_missing": False})
    model = build_model(graph, tables, params.model, params.fusion)
    assert not bool(tables["image"].is_present[LONELY])
    assert all(
        bool(model.channels[head].is_present.all()) for head in ("visual", "textual", "fused")
    )
    assert model.channels["visual"].is_in_answers.all()


def test_a_calibration_is_read_as_it_was_written(tmp_path: Path) -> None:
    calibration = Calibration(slope=0.8, offset=-0.1, shown=10, answers=90, true_answers=12)
    save_calibration(calibration, tmp_path)
    assert load_calibration(tmp_path) == calibration


@pytest.mark.parametrize("content", [{}, {"slope": 1.0}, [], {"slope": "1", "offset": 0.0}])
def test_a_calibration_of_something_else_is_refused(content: object, tmp_path: Path) -> None:
    write_json(tmp_path / CALIBRATION, content)
    with pytest.raises(ConfigError, match=CALIBRATION):
        load_calibration(tmp_path)
