"""A row measured on the tiny graph equals the stages' result and resumes after a kill."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_world import small_params

from imf_core.evaluation.ranking import COMBINED, RankTable, rank_triples
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import known_tails_in
from imf_core.model.scorer import Scorer
from imf_core.training.trainer import Trainer
from recipes.measurement import Stopwatch, find_basis, measure_row
from recipes.rows import find_row
from recipes.store import Measurement, Store

Tables = dict[str, FeatureTable]


def measure(
    row: str, graph: Graph, tables: Tables, folder: Path, **overrides: Any
) -> tuple[Measurement, RankTable]:
    wanted = find_row(row)
    params = small_params({**wanted.overrides, "train.seed": 3, **overrides})
    return measure_row(
        "tiny", wanted, params, dict(wanted.overrides), "measure", graph, tables, [], folder
    )


def test_a_row_has_the_ranks_of_a_model_trained_and_ranked_by_hand(
    make_trainer: Any, graph: Graph, tables: Tables, tmp_path: Path
) -> None:
    measurement, found = measure("full", graph, tables, tmp_path)
    trainer = make_trainer({"train.seed": 3})
    progress = trainer.fit()
    known = known_tails_in(graph)
    expected = rank_triples(
        Scorer(trainer.model), graph.triples["test"], known, graph.num_relations, 512
    )
    assert np.array_equal(found.ranks[COMBINED], expected.ranks[COMBINED])
    assert measurement.test["mrr"] == pytest.approx((1 / expected.ranks[COMBINED]).mean())
    assert measurement.models[0].selected_epoch == progress.best_epoch
    assert [each["epoch"] for each in measurement.models[0].curve] == [1, 2, 3, 4]
    assert sum(measurement.weights.values()) == pytest.approx(1)
    assert list(measurement.weights) == list(trainer.model.channel_names)


def test_a_row_leaves_no_training_state_behind(
    graph: Graph, tables: Tables, tmp_path: Path
) -> None:
    measure("structure", graph, tables, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_killed_measurement_goes_on_to_the_same_ranks_and_counts_all_seconds(
    graph: Graph, tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, expected = measure("structure", graph, tables, tmp_path / "a")
    epoch = Trainer._epoch

    def die_in_the_third(self: Trainer) -> float:
        if self.progress.epoch == 2:
            raise KeyboardInterrupt
        return epoch(self)

    monkeypatch.setattr(Trainer, "_epoch", die_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        measure("structure", graph, tables, tmp_path / "b")
    (seconds,) = (tmp_path / "b").rglob("seconds.json")
    seconds.write_text("[1000.0, 2000.0]")
    trained = []

    def count(self: Trainer) -> float:
        trained.append(self.progress.epoch)
        return epoch(self)

    monkeypatch.setattr(Trainer, "_epoch", count)
    measurement, found = measure("structure", graph, tables, tmp_path / "b")
    assert trained == [2, 3]
    assert np.array_equal(found.ranks[COMBINED], expected.ranks[COMBINED])
    assert 1000 < measurement.process_seconds < 1500
    assert measurement.wall_seconds > 2000


def test_a_stopwatch_adds_to_what_it_finds(tmp_path: Path) -> None:
    (tmp_path / "seconds.json").write_text("[5.0, 7.0]")
    watch = Stopwatch(tmp_path / "seconds.json")
    watch.save()
    process_seconds, wall_seconds = Stopwatch(tmp_path / "seconds.json").read()
    assert 5 <= process_seconds < 6
    assert wall_seconds > 7


def test_two_structures_are_two_models_of_other_seeds_under_one_decision(
    graph: Graph, tables: Tables, tmp_path: Path
) -> None:
    measurement, ranks = measure("two-structures", graph, tables, tmp_path)
    single, of_single = measure("structure", graph, tables, tmp_path)
    assert [model.seed for model in measurement.models] == [3, 1003]
    assert list(measurement.weights) == ["structural 1", "structural 2"]
    first, second = ranks.ranks["structural 1"], ranks.ranks["structural 2"]
    assert np.array_equal(first, of_single.ranks["structural"])
    assert not np.array_equal(first, second)
    assert measurement.process_seconds > single.models[0].process_seconds


def test_two_models_that_say_the_same_say_it_together(
    graph: Graph, tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recipes.measurement.SEEDS_APART", 0)
    _, ranks = measure("two-structures", graph, tables, tmp_path)
    assert np.array_equal(ranks.ranks["structural 1"], ranks.ranks[COMBINED])


def test_a_measurement_reads_as_it_was_saved_and_ranks_as_reciprocals(
    graph: Graph, tables: Tables, tmp_path: Path
) -> None:
    store = Store(tmp_path / "results", tmp_path / "ranks")
    measurement, ranks = measure("structure", graph, tables, tmp_path / "states")
    store.save(measurement, ranks)
    found = store.load("tiny", "structure", 3)
    assert found is not None
    assert found.overrides == measurement.overrides
    assert found.basis == measurement.basis
    assert found.test["mrr"] == pytest.approx(measurement.test["mrr"], abs=1e-6)
    assert store.load_all("tiny") == [found]
    reciprocal = store.load_ranks("tiny", "structure", 3)
    assert reciprocal is not None
    assert reciprocal.dtype == np.float32
    assert reciprocal.mean() == pytest.approx(measurement.test["mrr"], abs=1e-6)
    assert torch.get_num_threads() == found.threads


def test_parameters_are_stored_to_the_last_digit(
    graph: Graph, tables: Tables, tmp_path: Path
) -> None:
    store = Store(tmp_path / "results", tmp_path / "ranks")
    measurement, ranks = measure("structure", graph, tables, tmp_path, **{"train.n3": 5e-7})
    store.save(replace(measurement, overrides={"train.n3": 5e-7}), ranks)
    found = store.load("tiny", "structure", 3)
    assert found is not None
    assert found.overrides == {"train.n3": 5e-7}
    assert found.basis.params["train"]["n3"] == 5e-7


def test_the_basis_changes_with_values_facts_and_features_of_the_row_alone(
    graph: Graph, tables: Tables
) -> None:
    params = small_params({"model.modalities": ["structure", "text"]})
    basis = find_basis(params, graph, tables)
    assert basis.features == {"text": tables["text"].digest}
    others = {**tables, "image": replace(tables["image"], vectors=tables["image"].vectors + 1)}
    assert find_basis(params, graph, others) == basis
    others = {**tables, "text": replace(tables["text"], vectors=tables["text"].vectors + 1)}
    assert find_basis(params, graph, others) != basis
    cleaned = replace(graph, triples={**graph.triples, "test": graph.triples["test"][1:]})
    assert find_basis(params, cleaned, tables) != basis
    longer = params.model_copy(update={"train": params.train.model_copy(update={"epochs": 9})})
    assert find_basis(longer, graph, tables) != basis
