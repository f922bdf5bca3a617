"""Rules of thumb fit graphs of any size and density."""

import pytest
import torch
from tiny_world import small_params, tiny_graph, tiny_tables

from imf_core.base.config import ModelParams, Params, SettledParams, TrainParams
from imf_core.base.sections import AUTO
from imf_core.graph.feature_table import FeatureTable
from imf_core.graph.graph import Graph
from imf_core.training.settle import find_auto, settle
from imf_core.tuning.search import (
    LARGEST_N3,
    SMALL_GRAPH,
    SMALLEST_N3,
    choose_by_rule,
    follow_from,
    n3_by_density,
)

ALL_AUTO = {
    **{f"model.{key}": AUTO for key in ModelParams.__annotations__},
    **{f"train.{key}": AUTO for key in TrainParams.__annotations__},
}


def auto_params(overrides: dict[str, object] | None = None) -> Params:
    """Parameters with `auto` for every possible key."""
    settled = small_params()
    raw = settled.model_dump()
    for dotted, value in {**ALL_AUTO, **(overrides or {})}.items():
        section, _, key = dotted.partition(".")
        raw[section][key] = value
    return Params.model_validate(raw)


def random_graph(num_entities: int, num_facts: int) -> Graph:
    generator = torch.Generator().manual_seed(0)
    heads, tails = torch.randint(num_entities, (2, num_facts), generator=generator)
    names = [""] * num_entities
    triples = torch.stack([heads, torch.zeros_like(heads), tails], dim=1)
    return Graph(
        entity_labels=names,
        entity_names=names,
        entity_descriptions=names,
        relation_labels=["to"],
        relation_names=["to"],
        triples={"train": triples, "valid": triples[:0], "test": triples[:0]},
    )


def make_tables(num_entities: int, *modalities: str) -> dict[str, FeatureTable]:
    """Tables in which the entities have only the given modalities."""
    return {
        name: FeatureTable(
            torch.zeros(num_entities, 2),
            torch.full((num_entities,), name in modalities),
            {"model": f"made up {name}"},
        )
        for name in ("image", "text")
    }


def choose(graph: Graph, *modalities: str, **overrides: object) -> dict[str, object]:
    params = auto_params({key.replace("__", "."): value for key, value in overrides.items()})
    tables = make_tables(graph.num_entities, *modalities)
    return choose_by_rule(graph, tables, params.model, params.train)


def test_a_denser_graph_has_a_weaker_penalty() -> None:
    penalties = [n3_by_density(random_graph(100, facts)) for facts in (400, 1_000, 4_000, 20_000)]
    assert penalties == sorted(penalties, reverse=True)
    assert len(set(penalties)) == len(penalties)


@pytest.mark.parametrize(("facts", "n3"), [(1, LARGEST_N3), (1_000_000, SMALLEST_N3)])
def test_the_penalty_has_bounds(facts: int, n3: float) -> None:
    assert n3_by_density(random_graph(100, facts)) == n3


@pytest.mark.parametrize(
    ("entities", "facts"), [(2, 1), (22, 33), (40, 20_000), (SMALL_GRAPH + 1, 50_000)]
)
@pytest.mark.parametrize("context", ["block-diagonal", "dense"])
@pytest.mark.parametrize("loss", ["cross-entropy", "binary-cross-entropy"])
def test_every_key_has_a_value_within_its_bounds(
    entities: int, facts: int, context: str, loss: str
) -> None:
    params = auto_params({"model.context": context, "train.loss": loss})
    graph = random_graph(entities, facts)
    tables = make_tables(entities, "image", "text")
    chosen = choose_by_rule(graph, tables, params.model, params.train)
    assert chosen.keys() == ALL_AUTO.keys()
    settled = settle(params, chosen)
    assert isinstance(settled, SettledParams)
    assert find_auto(settled.model, settled.train) == []


def test_a_million_entities_are_trained_on_samples_with_tables_that_fit() -> None:
    params = auto_params()
    graph = random_graph(1_000_000, 300_000)
    chosen = choose_by_rule(graph, make_tables(1_000_000, "text"), params.model, params.train)
    settle(params, chosen)
    assert chosen["train.sampled_candidates"] == 2_000
    assert chosen["model.dim"] == 128
    assert chosen["train.batch_size"] == 512


def test_a_small_graph_is_scored_whole() -> None:
    assert choose(random_graph(SMALL_GRAPH, 10))["train.sampled_candidates"] == 0
    assert choose(random_graph(SMALL_GRAPH + 1, 10))["train.sampled_candidates"] > 0


def follow(num_entities: int, num_facts: int, **overrides: object) -> dict[str, object]:
    chosen = {f"train.{key}": value for key, value in overrides.items()}
    return follow_from(random_graph(num_entities, num_facts), small_params(chosen).train)


def test_more_facts_are_trained_for_fewer_epochs() -> None:
    lengths = [follow(50, facts)["train.epochs"] for facts in (100, 200_000, 2_000_000)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] == 10


def test_larger_steps_are_trained_for_more_epochs_and_validated_more_rarely() -> None:
    small, large = (follow(2_000, 4_000, batch_size=size) for size in (16, 4_096))
    assert small["train.epochs"] < large["train.epochs"]
    assert small["train.validate_every"] < large["train.validate_every"]


def test_an_epoch_of_a_graph_of_few_facts_has_small_steps() -> None:
    few, many = (choose(random_graph(5_000, facts)) for facts in (100, 20_000))
    assert (few["train.batch_size"], many["train.batch_size"]) == (32, 512)


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ((), ["structure"]),
        (("image",), ["structure", "image"]),
        (("text",), ["structure", "text"]),
        (("image", "text"), ["structure", "image", "text"]),
    ],
)
def test_modalities_that_no_entity_has_are_left_out(
    present: tuple[str, ...], expected: list[str]
) -> None:
    assert choose(tiny_graph(), *present)["model.modalities"] == expected


def test_a_modality_that_some_entities_have_is_taken() -> None:
    params = auto_params()
    chosen = choose_by_rule(tiny_graph(), tiny_tables(), params.model, params.train)
    assert chosen["model.modalities"] == ["structure", "image", "text"]


def test_a_dense_context_has_small_embeddings_and_predicts_no_relations() -> None:
    chosen = choose(tiny_graph(), "text", model__context="dense")
    assert (chosen["model.dim"], chosen["model.encoder_dim"]) == (128, 128)
    assert chosen["train.relation_weight"] == 0.0


def test_a_binary_loss_has_neither_penalty_nor_relation_loss() -> None:
    chosen = choose(tiny_graph(), "text", train__loss="binary-cross-entropy")
    weights = ("n3", "encoder_n3", "fused_n3", "relation_weight")
    assert [chosen[f"train.{key}"] for key in weights] == [0.0] * 4


def test_the_fused_penalty_is_half_of_the_structural_one() -> None:
    assert follow(50, 100, n3=0.06)["train.fused_n3"] == 0.03
