"""Registered sets on the real source files, read from a mirror directory."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_world import ROOT

from imf_core.base.config import PrepareParams
from imf_core.base.params_file import load_params
from imf_core.graph.issues import issues_of
from imf_core.prepare.prepare import Prepared, prepare_graph
from imf_core.prepare.redundancy import find_redundancy
from imf_core.prepare.source import read_spaced_graph
from imf_core.sources.registry import (
    DownloadedDataset,
    download_dataset,
    find_dataset,
    load_registry,
)

Prepare = Callable[[str, PrepareParams], Prepared]

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("real data")]


@pytest.fixture(scope="module")
def prepare(tmp_path_factory: pytest.TempPathFactory, mirror: Path) -> Prepare:
    """Returns a function that downloads and prepares a set, once per set and parameters."""
    fetch = load_params(ROOT / "params.yaml").fetch
    done: dict[tuple[str, str], Prepared] = {}

    def run(name: str, params: PrepareParams) -> Prepared:
        key = (name, params.model_dump_json())
        if key not in done:
            dataset = find_dataset(name)
            assert isinstance(dataset, DownloadedDataset)
            folder = tmp_path_factory.mktemp(name)
            download_dataset(dataset, folder / "raw", folder / "kept", fetch, str(mirror))
            done[key] = prepare_graph(folder / "raw", name, params)
        return done[key]

    return run


@pytest.fixture
def official(prepare_params: PrepareParams) -> PrepareParams:
    return prepare_params.model_copy(update={"split": "official"})


@pytest.mark.parametrize("name", ["nations", "mkg-w", "wn18rr", "fb15k-237"])
def test_a_clean_set_keeps_its_official_splits(
    name: str, prepare: Prepare, prepare_params: PrepareParams
) -> None:
    prepared = prepare(name, prepare_params)
    counts = load_registry()[name].counts  # type: ignore[union-attr]
    assert prepared.summary["facts"] == {
        "train": counts.train,
        "valid": counts.valid,
        "test": counts.test,
    }
    assert prepared.labels.num_entities == counts.entities
    assert prepared.summary["leaks"]["test_in_train"] == 0


def test_fb15k_237_has_names_for_all_its_entities_and_relations(
    prepare: Prepare, prepare_params: PrepareParams
) -> None:
    prepared = prepare("fb15k-237", prepare_params)
    assert prepared.summary["entities"]["with_name"] == 14_541
    assert prepared.summary["relations"]["with_name"] == 237
    assert "/m/07s9rl0" in prepared.labels.entity_labels
    drama = prepared.labels.entity_labels.index("/m/07s9rl0")
    assert prepared.labels.entity_names[drama] == "Drama"


def test_the_leaking_valid_of_db15k_is_found_and_rebuilt(
    prepare: Prepare, prepare_params: PrepareParams
) -> None:
    summary = prepare("db15k", prepare_params).summary
    source = summary["source"]
    assert (source["valid_in_train"], source["valid_in_test_only"], source["valid_new"]) == (
        8_719,
        1_105,
        80,
    )
    assert summary["valid_source"] == "held out of train"
    assert summary["facts"]["test"] == 9_902
    assert summary["facts"]["train"] + summary["facts"]["valid"] == 79_222 + 73
    for count in ("valid_in_train", "valid_in_test_only"):
        assert summary["leaks"][count] == 0
    leak, contaminated, *_ = map(str, issues_of(summary["issues"]))
    assert leak.startswith("380 of 9902 test facts LEAK (3.8%)")
    assert contaminated.startswith("9824 of 9904 valid lines (99.2%)")


def found_in(prepared: Prepared, section: str, *keys: str) -> tuple[int, ...]:
    return tuple(prepared.summary[section][key] for key in keys)


COPIES = ("test_symmetric_copies", "test_inverse_copies", "test_duplicate_copies")


def test_the_duplicate_relations_of_db15k_give_some_of_its_test_away(
    prepare: Prepare, official: PrepareParams
) -> None:
    prepared = prepare("db15k", official)
    assert found_in(prepared, "relations", "symmetric", "inverse_pairs", "duplicate_pairs") == (
        3,
        0,
        6,
    )
    assert found_in(prepared, "source", *COPIES, "test_given_away") == (3, 0, 422, 425)
    assert prepared.summary["source"]["test_in_train"] == 0
    rows = {row["relation"]: row for row in prepared.relation_rows}
    band = rows["<http://dbpedia.org/ontology/associatedBand>"]
    assert band["duplicate_of"] == "<http://dbpedia.org/ontology/associatedMusicalArtist>"


def test_a_cleaned_test_of_db15k_loses_exactly_these(
    prepare: Prepare, official: PrepareParams
) -> None:
    cleaned = official.model_copy(update={"test": "cleaned"})
    summary = prepare("db15k", cleaned).summary
    assert summary["facts"] == {"train": 79_222, "valid": 7_481, "test": 9_902 - 425}
    assert summary["leaks"]["test_given_away"] == 0


def test_the_inverse_and_symmetric_relations_of_mkg_w_are_found(
    prepare: Prepare, prepare_params: PrepareParams
) -> None:
    prepared = prepare("mkg-w", prepare_params)
    assert found_in(prepared, "relations", "symmetric", "inverse_pairs", "duplicate_pairs") == (
        6,
        4,
        0,
    )
    assert found_in(prepared, "leaks", *COPIES, "test_given_away") == (57, 135, 0, 192)
    assert prepared.summary["entities"]["without_train_fact"] == 491
    rows = {row["relation"]: row for row in prepared.relation_rows}
    followed_by, follows = (f"http://www.wikidata.org/entity/{p}" for p in ("P156", "P155"))
    assert rows[followed_by]["inverse_of"] == follows
    # Which train, a random four fifths of the facts, does not show.
    labels = prepared.labels
    in_train = find_redundancy(prepared.facts["train"], labels.num_entities, labels.num_relations)
    assert labels.relation_labels.index(follows) not in in_train.inverse


def test_a_third_of_the_test_of_wn18rr_is_given_away_by_symmetric_relations(
    prepare: Prepare, prepare_params: PrepareParams
) -> None:
    prepared = prepare("wn18rr", prepare_params)
    symmetric = {row["relation"] for row in prepared.relation_rows if row["symmetric"] == "yes"}
    assert symmetric == {"_derivationally_related_form", "_similar_to", "_verb_group"}
    assert found_in(prepared, "leaks", *COPIES, "test_given_away") == (1_052, 0, 0, 1_052)
    assert prepared.summary["relations"]["cardinality"] == {"1-1": 2, "1-n": 4, "n-1": 3, "n-n": 2}


def test_fb15k_237_has_symmetric_relations_but_no_pair_that_train_links(
    prepare: Prepare, prepare_params: PrepareParams
) -> None:
    prepared = prepare("fb15k-237", prepare_params)
    assert prepared.summary["relations"]["symmetric"] == 21
    linked = ("valid_pairs_linked_in_train", "test_pairs_linked_in_train")
    assert found_in(prepared, "leaks", *COPIES, *linked) == (0, 0, 0, 0, 0)
    assert found_in(
        prepared, "leaks", "valid_entities_unseen_in_train", "test_entities_unseen_in_train"
    ) == (8, 29)


def test_most_of_the_test_of_nations_is_given_away(
    prepare: Prepare, prepare_params: PrepareParams
) -> None:
    prepared = prepare("nations", prepare_params)
    assert found_in(prepared, "leaks", *COPIES, "test_given_away") == (74, 10, 55, 120)
    assert prepared.summary["leaks"]["test_pairs_linked_in_train"] == 201


def test_the_official_valid_of_db15k_is_left_as_given(
    prepare: Prepare, official: PrepareParams
) -> None:
    summary = prepare("db15k", official).summary
    assert summary["facts"] == {"train": 79_222, "valid": 7_481, "test": 9_902}
    assert summary["source"]["duplicate_lines"] == {"train": 0, "valid": 2_423, "test": 0}


def test_the_ids_of_db15k_mean_what_another_repository_writes_out_in_labels(
    prepare: Prepare, mirror: Path, official: PrepareParams
) -> None:
    prepared = prepare("db15k", official)
    labels = prepared.labels
    (written_out,) = mirror.glob(
        "raw.githubusercontent.com/zjukg/NATIVE/*/benchmarks/DB15K/test.txt"
    )
    ours = [
        f"{labels.entity_labels[h]} {labels.relation_labels[r]} {labels.entity_labels[t]} ."
        for h, r, t in prepared.facts["test"].tolist()
    ]
    assert ours == written_out.read_text(encoding="utf-8").splitlines()


def test_db15k_is_named_after_its_titles(prepare: Prepare, official: PrepareParams) -> None:
    labels = prepare("db15k", official).labels
    assert labels.entity_names[2] == "Pedagogy"
    assert labels.relation_names[:2] == ["see also", "country"]


def test_the_rebuilt_valid_of_db15k_resembles_its_test(
    prepare: Prepare, prepare_params: PrepareParams
) -> None:
    summary = prepare("db15k", prepare_params).summary
    shares = {
        split: summary["leaks"][f"{split}_pairs_linked_in_train"] / summary["facts"][split]
        for split in ("valid", "test")
    }
    assert shares["valid"] == pytest.approx(shares["test"], abs=0.01)


def test_titles_of_mkg_w_are_those_of_its_wikidata_items(
    prepare: Prepare, prepare_params: PrepareParams
) -> None:
    labels = prepare("mkg-w", prepare_params).labels
    item = labels.entity_labels.index("http://www.wikidata.org/entity/Q370252")
    cast_member = labels.relation_labels.index("http://www.wikidata.org/entity/P161")
    assert labels.entity_names[item] == "My Darling Clementine"
    assert labels.relation_names[cast_member] == "cast member"


def test_fb15k_237_has_descriptions_and_wikidata_items(
    prepare: Prepare, prepare_params: PrepareParams
) -> None:
    prepared = prepare("fb15k-237", prepare_params)
    assert prepared.summary["entities"]["with_description"] == 13_666
    denton = prepared.labels.entity_labels.index("/m/010016")
    assert prepared.labels.entity_descriptions[denton] == "city in Texas, United States"


@pytest.mark.parametrize(("name", "described"), [("db15k", 12_303), ("mkg-w", 4_187)])
def test_sets_without_descriptions_get_those_of_this_package(
    name: str, described: int, prepare: Prepare, prepare_params: PrepareParams
) -> None:
    prepared = prepare(name, prepare_params)
    assert prepared.summary["entities"]["with_description"] == described


@pytest.mark.parametrize(
    ("name", "valid", "test"), [("DB15K", 9_903, 19_806), ("YAGO15K", 12_289, 24_577)]
)
def test_files_of_the_imf_repository_are_read_with_their_ids(
    name: str, valid: int, test: int, mirror: Path, tmp_path: Path
) -> None:
    (folder,) = mirror.glob(f"raw.githubusercontent.com/HestiaSky/IMF-Pytorch/*/dataset/{name}")
    for source, target in (("val.txt", "train.txt"), ("test.txt", "test.txt")):
        shutil.copy(folder / source, tmp_path / target)
    for ids in ("entity2id.txt", "relation2id.txt"):
        shutil.copy(folder / ids, tmp_path)
    graph = read_spaced_graph(tmp_path)
    assert (len(graph.facts["train"]), len(graph.facts["test"])) == (valid, test)
    counts = load_registry()["db15k-imf" if name == "DB15K" else "yago15k"].counts  # type: ignore[union-attr]
    assert (len(graph.entity_labels), len(graph.relation_labels)) == (
        counts.entities,
        counts.relations,
    )
