"""The peers on small graphs compute the right scores."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from tiny_world import tiny_graph

from benchmarks.accuracy import Model, Row, load, render, store
from benchmarks.peers import ComplEx, PlainScorer, rank
from benchmarks.small_graphs import DOCUMENT, MARKER, RESULTS
from imf_core.evaluation.ranking import COMBINED
from recipes.environment import replace_between_markers


def complex_of_three() -> ComplEx:
    torch.manual_seed(0)
    model = ComplEx(num_entities=5, num_relations=2, rank=3).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return model


def as_complex(table: torch.Tensor) -> torch.Tensor:
    return torch.complex(*table.chunk(2, dim=1))


def test_scores_are_the_real_part_of_the_complex_product() -> None:
    model = complex_of_three()
    queries = torch.tensor([[0, 3], [4, 1], [2, 0]])
    entities, relations = as_complex(model.entities), as_complex(model.relations)
    products = entities[queries[:, 0]] * relations[queries[:, 1]]
    torch.testing.assert_close(model(queries), (products @ entities.conj().T).real)


def test_loss_is_the_cross_entropy_and_the_mean_penalty_of_the_facts() -> None:
    model = complex_of_three()
    facts = torch.tensor([[0, 3, 1], [4, 1, 4]])
    entities, relations = as_complex(model.entities), as_complex(model.relations)
    expected = torch.zeros((), dtype=torch.float64)
    for head, relation, tail in facts.tolist():
        scores = ((entities[head] * relations[relation]) * entities.conj()).sum(dim=1).real
        factors = torch.stack([entities[head], relations[relation], entities[tail]])
        expected += -scores.log_softmax(dim=0)[tail] + 0.1 * (factors.abs() ** 3).sum()
    torch.testing.assert_close(model.loss(facts, 0.1), expected / 2)
    entropy = F.cross_entropy(model(facts[:, :2]), facts[:, 2])
    torch.testing.assert_close(model.loss(facts, 0.0), entropy)


def test_the_own_entity_comes_last_where_the_relation_has_no_loop() -> None:
    loops = torch.tensor([False, True])
    scorer = PlainScorer(lambda queries: torch.ones(len(queries), 4), 4, loops)
    (scores,) = scorer.scores(torch.tensor([[2, 0], [2, 1]]))
    assert scores.tolist() == [[1, 1, 0, 1], [1, 1, 1, 1]]


def test_a_constant_model_ranks_every_fact_in_the_middle() -> None:
    graph = tiny_graph()
    table = rank(lambda queries: torch.zeros(len(queries), graph.num_entities), graph, "test")
    assert (table.ranks[COMBINED] == (table.num_candidates + 1) / 2).all()


def row(method: str, *mrrs: float) -> Row:
    test = [{"mrr": mrr, "hits_at_1": 0.25, "hits_at_10": 1.0} for mrr in mrrs]
    models = [Model(seed, 7, 0.5, each, 12.0) for seed, each in enumerate(test)]
    return Row(method, "n3 0.1", 3.0, models)


def test_rows_of_the_same_method_are_replaced_and_shown_as_means(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    store(path, "tiny", tiny_graph(), [row("ours", 0.9), row("theirs", 0.4)], "abc")
    store(path, "tiny", tiny_graph(), [row("ours", 0.5, 0.7)], "def")
    lines = render(load(path)).splitlines()
    assert [line for line in lines if line.startswith("| ours")] == [
        "| ours | 60.0 ± 14.1 | 25.0 ± 0.0 | 100.0 ± 0.0 | 50.0 ± 0.0 | 0, 1 | 3 | 12 | "
        "n3 0.1; 7, 7 | def |"
    ]
    assert sum(line.startswith("| theirs | 40.0 | 25.0") for line in lines) == 1


@pytest.mark.skipif(not RESULTS.exists(), reason="nothing is measured")
def test_the_page_shows_what_is_stored() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert replace_between_markers(text, MARKER, render(load(RESULTS))) == text
