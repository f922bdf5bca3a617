"""The fit of the decision weights on held-out facts."""

import pytest
import torch
from tiny_world import COUNTRIES, LOOPED, looped_graph, small_params, tiny_model
from torch import Tensor

from imf_core.base.config import DecisionParams
from imf_core.base.errors import TrainingError
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import build_known_tails, with_inverses
from imf_core.model.decision import DecisionFusion
from imf_core.model.scorer import Scorer
from imf_core.training import decision_fit
from imf_core.training.decision_fit import HeldOutScores, fit_decision, score_held_out

GLOBAL = DecisionParams(weights="global", shrinkage=20.0)
EQUAL = DecisionParams(weights="equal", shrinkage=0.0)
PER_QUERY = DecisionParams(weights="per-query", shrinkage=1.0)
NUM_QUERIES, NUM_CANDIDATES = 200, 12


def planted(informed: Tensor) -> HeldOutScores:
    """Two channels over random candidates; `informed` (P, 2) marks those with the answer, at 0."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(NUM_QUERIES, 2, NUM_CANDIDATES, generator=generator)
    logits[:, :, 0] += 3.0 * informed
    return HeldOutScores(
        log_probs=logits.log_softmax(dim=2),
        is_candidate=torch.ones(NUM_QUERIES, NUM_CANDIDATES, dtype=torch.bool),
        queries=torch.stack([torch.arange(NUM_QUERIES) // 2 % 2, torch.arange(NUM_QUERIES) % 2], 1),
        takes_part=torch.ones(NUM_QUERIES, 2, dtype=torch.bool),
    )


def first_informed() -> Tensor:
    return torch.tensor([[1.0, 0.0]]).expand(NUM_QUERIES, 2)


def informed_by_relation() -> Tensor:
    """The first channel knows even relations, the second odd ones."""
    return torch.eye(2)[torch.arange(NUM_QUERIES) % 2]


def informed_by_entity() -> Tensor:
    """The first channel knows even entities, the second odd ones."""
    return torch.eye(2)[torch.arange(NUM_QUERIES) // 2 % 2]


def unfitted_decision() -> DecisionFusion:
    """Of two entities of different degrees."""
    return DecisionFusion(
        num_channels=2, num_relations=2, degree_bins=torch.tensor([0, 4]), num_degree_bins=5
    )


def fit(held_out: HeldOutScores, params: DecisionParams = GLOBAL) -> DecisionFusion:
    decision = unfitted_decision()
    fit_decision(decision, held_out, params)
    return decision


def weights_of(decision: DecisionFusion, relation: int, entity: int = 0) -> list[float]:
    everything = torch.ones(1, 2, dtype=torch.bool)
    return decision.weights(torch.tensor([[entity, relation]]), everything)[0].tolist()


def cross_entropy(decision: DecisionFusion, held_out: HeldOutScores) -> float:
    pooled = decision(held_out.log_probs, held_out.queries, held_out.takes_part)
    return -pooled.log_softmax(dim=1)[:, 0].mean().item()


def test_the_informative_channel_gets_the_weight_and_a_random_one_next_to_none() -> None:
    informative, useless = weights_of(fit(planted(first_informed())), relation=0)
    assert informative > 0.9
    assert useless < 0.1


def test_two_equally_good_channels_share_the_weight() -> None:
    one, two = weights_of(fit(planted(torch.ones(NUM_QUERIES, 2))), relation=0)
    assert abs(one - two) < 0.2


def test_the_fit_lowers_the_cross_entropy() -> None:
    held_out = planted(first_informed())
    untrained = unfitted_decision()
    assert cross_entropy(fit(held_out), held_out) < cross_entropy(untrained, held_out)


def test_global_weights_are_the_same_for_every_relation() -> None:
    decision = fit(planted(informed_by_relation()))
    assert weights_of(decision, 0) == weights_of(decision, 1) == weights_of(decision, 3)


def test_weights_per_relation_find_the_channel_that_knows_the_relation() -> None:
    decision = fit(planted(informed_by_relation()), PER_QUERY)
    assert weights_of(decision, 0)[0] > 0.7
    assert weights_of(decision, 1)[1] > 0.7


def test_a_relation_without_held_out_facts_has_the_global_weights() -> None:
    decision = fit(planted(informed_by_relation()), PER_QUERY)
    by_degree = decision.global_logits + decision.degree_logits[0]
    assert weights_of(decision, 2) == pytest.approx(by_degree.softmax(dim=0).tolist())


def test_weights_by_degree_find_the_channel_that_knows_such_entities() -> None:
    decision = fit(planted(informed_by_entity()), PER_QUERY)
    assert weights_of(decision, 0, entity=0)[0] > 0.7
    assert weights_of(decision, 0, entity=1)[1] > 0.7


def test_equal_weights_stay_equal() -> None:
    assert weights_of(fit(planted(first_informed()), EQUAL), 0) == [0.5, 0.5]


def test_a_strong_pull_gives_every_relation_nearly_the_global_weights() -> None:
    strong = DecisionParams(weights="per-query", shrinkage=1e6)
    decision = fit(planted(informed_by_relation()), strong)
    assert weights_of(decision, 0) == pytest.approx(weights_of(decision, 1), abs=1e-3)


def test_an_earlier_fit_leaves_no_trace() -> None:
    decision = fit(planted(informed_by_relation()), PER_QUERY)
    fit_decision(decision, planted(first_informed()), GLOBAL)
    fresh = fit(planted(first_informed()), GLOBAL)
    for name, value in decision.state_dict().items():
        assert torch.equal(value, fresh.state_dict()[name])


def test_queries_that_no_channel_can_answer_do_not_move_the_weights() -> None:
    held_out = planted(first_informed())
    silent = held_out.queries[:, 0] >= 0
    silent[: NUM_QUERIES // 2] = False
    some = HeldOutScores(
        held_out.log_probs,
        held_out.is_candidate,
        held_out.queries,
        held_out.takes_part & silent.unsqueeze(1),
    )
    only = HeldOutScores(
        *(each[silent] for each in (some.log_probs, some.is_candidate)),
        *(each[silent] for each in (some.queries, some.takes_part)),
    )
    assert weights_of(fit(some), 0) == pytest.approx(weights_of(fit(only), 0), abs=1e-3)


def test_held_out_facts_that_no_channel_can_answer_leave_equal_weights() -> None:
    held_out = planted(first_informed())
    nobody = torch.zeros_like(held_out.takes_part)
    silent = HeldOutScores(held_out.log_probs, held_out.is_candidate, held_out.queries, nobody)
    assert weights_of(fit(silent), 0) == pytest.approx([0.5, 0.5])


def test_the_fit_leaves_no_gradients_behind() -> None:
    assert all(each.grad is None for each in fit(planted(first_informed())).parameters())


def held_out_of(graph: Graph, batch_size: int = 4) -> HeldOutScores:
    seen = torch.cat([graph.triples["train"], graph.triples["valid"]])
    known = build_known_tails(seen, graph.num_entities, graph.num_relations)
    scorer = Scorer(tiny_model())
    valid = graph.triples["valid"]
    return score_held_out(scorer, valid, known, graph.num_relations, batch_size)


def test_the_answer_of_a_held_out_fact_comes_first(graph: Graph) -> None:
    facts = with_inverses(graph.triples["valid"], graph.num_relations)
    scores = Scorer(tiny_model()).score_all_tails(facts[:, :2])
    held_out = held_out_of(graph)
    expected = scores.log_probs[torch.arange(len(facts)), :, facts[:, 2]]
    torch.testing.assert_close(held_out.log_probs[:, :, 0], expected)
    assert held_out.is_candidate[:, 0].all()


def test_candidates_are_the_answer_and_every_other_entity_that_is_not_known(graph: Graph) -> None:
    # With fewer entities than are kept, all but the own one are candidates, each once.
    seen = torch.cat([graph.triples["train"], graph.triples["valid"]])
    known = build_known_tails(seen, graph.num_entities, graph.num_relations)
    facts = with_inverses(graph.triples["valid"], graph.num_relations)
    rows, _ = known.lookup(facts[:, :2])
    expected = graph.num_entities - torch.bincount(rows, minlength=len(facts))
    assert torch.equal(held_out_of(graph).is_candidate.sum(dim=1), expected)


def test_a_held_out_loop_is_left_out_where_train_has_no_loop(graph: Graph) -> None:
    loop = torch.tensor([[COUNTRIES[2], LOOPED, COUNTRIES[2]]])
    valid, scorer = graph.triples["valid"], Scorer(tiny_model())
    known = build_known_tails(graph.triples["train"], graph.num_entities, graph.num_relations)
    without = score_held_out(scorer, valid, known, graph.num_relations, 100)
    with_loop = torch.cat([valid, loop])
    found = score_held_out(scorer, with_loop, known, graph.num_relations, 100)
    for name, expected in vars(without).items():
        torch.testing.assert_close(getattr(found, name), expected)


def test_a_held_out_loop_is_fitted_where_train_has_one() -> None:
    graph = looped_graph()
    loop = torch.tensor([[COUNTRIES[2], LOOPED, COUNTRIES[2]]])
    scorer = Scorer(tiny_model(graph=graph))
    known = build_known_tails(graph.triples["train"], graph.num_entities, graph.num_relations)
    found = score_held_out(scorer, loop, known, graph.num_relations, 100)
    assert found.queries.tolist() == [
        [COUNTRIES[2], LOOPED],
        [COUNTRIES[2], LOOPED + graph.num_relations],
    ]


@pytest.mark.parametrize("params", [GLOBAL, EQUAL, PER_QUERY])
def test_a_fit_on_impossible_answers_alone_leaves_equal_weights(
    params: DecisionParams, graph: Graph
) -> None:
    loop = torch.tensor([[COUNTRIES[2], LOOPED, COUNTRIES[2]]])
    scorer = Scorer(tiny_model())
    known = build_known_tails(graph.triples["train"], graph.num_entities, graph.num_relations)
    held_out = score_held_out(scorer, loop, known, graph.num_relations, 100)
    assert len(held_out.queries) == 0
    fit_decision(scorer.model.decision, held_out, params)
    for parameter in scorer.model.decision.parameters():
        assert torch.equal(parameter, torch.zeros_like(parameter))


def test_only_the_best_candidates_of_each_channel_are_kept(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decision_fit, "TOP_CANDIDATES", 2)
    held_out = held_out_of(graph)
    assert held_out.log_probs.shape[2] == 1 + 2 * held_out.log_probs.shape[1]
    assert (held_out.is_candidate.sum(dim=1) >= 1 + 2).all()


def test_the_batch_size_changes_no_held_out_score(graph: Graph) -> None:
    one, other = held_out_of(graph, 3), held_out_of(graph, 1000)
    torch.testing.assert_close(one.log_probs, other.log_probs, rtol=1e-5, atol=1e-4)
    assert torch.equal(one.is_candidate, other.is_candidate)


@pytest.mark.parametrize("fault", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named_with_a_remedy(graph: Graph, fault: float) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.modality_channels["textual"].relations[:] = fault
    known = build_known_tails(graph.triples["train"], graph.num_entities, graph.num_relations)
    with pytest.raises(TrainingError, match=r"the weights are no longer finite; lower train\."):
        score_held_out(Scorer(model), graph.triples["valid"], known, graph.num_relations, 4)


def test_parameters_of_the_project_fit_a_decision() -> None:
    held_out = planted(first_informed())
    fitted = fit(held_out, small_params().decision)
    unfitted = unfitted_decision()
    assert cross_entropy(fitted, held_out) < cross_entropy(unfitted, held_out) - 0.1
