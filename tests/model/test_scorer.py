"""Scoring with a trained model."""

from dataclasses import replace

import pytest
import torch
from tiny_world import (
    LONELY,
    LOOPED,
    UNSEEN_RELATIONS,
    every_query,
    looped_graph,
    tiny_graph,
    tiny_model,
    tiny_tables,
)
from torch import Tensor

from imf_core.model import scorer
from imf_core.model.kernels import NO_ANSWER_LOGIT
from imf_core.model.scorer import ChannelScores, Scorer

CONTEXTS = ["block-diagonal", "dense"]
ROUNDING = {"atol": 1e-4, "rtol": 1e-4}
"""Matrix products of other sizes sum in another order."""

UNSEEN = torch.tensor([head == LONELY and r in UNSEEN_RELATIONS for head, r in every_query()])
"""Queries where neither the entity nor the answers have an image."""


def score(scorer: Scorer) -> ChannelScores:
    return scorer.score_all_tails(every_query())


def of_own_entities(scores: Tensor) -> Tensor:
    """Takes the scores of each query's own entity, shape: (B, E) -> (B,)."""
    return scores.gather(1, every_query()[:, :1]).squeeze(1)


def assert_same(one: ChannelScores, other: ChannelScores) -> None:
    torch.testing.assert_close(one.log_probs, other.log_probs)
    torch.testing.assert_close(one.combined, other.combined)


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_probabilities_of_a_query_sum_to_one(context: str) -> None:
    scores = score(Scorer(tiny_model({"model.context": context})))
    combined = scores.combined.exp().sum(dim=1)
    torch.testing.assert_close(combined, torch.ones_like(combined))
    heads = scores.log_probs.exp().sum(dim=2)[scores.takes_part]
    torch.testing.assert_close(heads, torch.ones_like(heads))


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_batch_of_one_is_scored_as_a_row_of_a_batch(context: str) -> None:
    scorer = Scorer(tiny_model({"model.context": context}))
    whole = score(scorer)
    for row, query in enumerate(every_query()):
        alone = scorer.score_all_tails(query.unsqueeze(0))
        torch.testing.assert_close(alone.log_probs[0], whole.log_probs[row], **ROUNDING)
        torch.testing.assert_close(alone.combined[0], whole.combined[row], **ROUNDING)


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("modality", ["image", "text"])
def test_the_features_of_an_entity_without_the_modality_change_nothing(
    context: str, modality: str
) -> None:
    tables, overrides = tiny_tables(), {"model.context": context}
    before = score(Scorer(tiny_model(overrides, tables)))
    table = tables[modality]
    noisy = table.vectors + 50.0 * ~table.is_present.unsqueeze(1)
    tables[modality] = replace(table, vectors=noisy)
    assert_same(score(Scorer(tiny_model(overrides, tables))), before)


def test_the_features_of_an_entity_with_the_modality_change_the_scores() -> None:
    tables = tiny_tables()
    before = score(Scorer(tiny_model(tables=tables)))
    tables["text"].vectors[11] *= torch.arange(6)
    assert not torch.allclose(score(Scorer(tiny_model(tables=tables))).combined, before.combined)


def test_a_channel_takes_no_part_where_neither_entity_nor_answers_have_its_modality() -> None:
    scores = score(Scorer(tiny_model()))
    assert scores.takes_part[UNSEEN].unique(dim=0).tolist() == [[True, False, True, True]]
    assert (scores.log_probs[UNSEEN][:, 1] == 0).all()


def test_a_channel_answers_for_an_entity_without_its_modality_where_answers_have_it() -> None:
    scores = score(Scorer(tiny_model()))
    rows = (every_query()[:, 0] == LONELY) & ~UNSEEN
    assert scores.takes_part[rows].all()
    assert (scores.log_probs[rows].std(dim=2) > 0).all()


def test_a_query_no_channel_can_answer_gives_all_others_equal_probabilities() -> None:
    model = tiny_model({"model.modalities": ["image"]})
    scores = score(Scorer(model)).combined[UNSEEN].exp()
    assert len(scores) == len(UNSEEN_RELATIONS)
    expected = torch.full_like(scores, 1 / (model.num_entities - 1))
    expected[:, LONELY] = 0.0
    torch.testing.assert_close(scores, expected)


def test_a_model_of_structure_alone_combines_into_the_order_of_its_one_channel() -> None:
    scores = score(Scorer(tiny_model({"model.modalities": ["structure"]})))
    assert scores.log_probs.shape[1] == 1
    assert torch.equal(scores.combined.argsort(dim=1), scores.log_probs[:, 0].argsort(dim=1))


def test_the_scorer_puts_the_model_into_evaluation_mode() -> None:
    model = tiny_model({"model.dropout": 0.5, "model.head_dropout": 0.5, "fusion.dropout": 0.5})
    scorer = Scorer(model.train())
    assert_same(score(scorer), score(scorer))


def test_scores_carry_no_gradient() -> None:
    assert not score(Scorer(tiny_model())).combined.requires_grad


def test_scores_equal_the_equations_written_out() -> None:
    model = tiny_model({"model.modalities": ["structure"]})
    query = torch.tensor([[4, 2]])
    head = torch.complex(
        *model.modality_channels["structural"].encoder.table.weight.chunk(2, dim=1)
    )
    relation = torch.complex(*model.modality_channels["structural"].relations[2].chunk(2))
    logits = ((head[4] * relation) * head.conj()).sum(dim=1).real
    logits[4] = NO_ANSWER_LOGIT
    found = Scorer(model).score_all_tails(query)
    torch.testing.assert_close(found.log_probs[0, 0], logits.log_softmax(dim=0))


def test_candidates_are_the_embeddings_themselves() -> None:
    model = tiny_model({"model.context": "dense"}).eval()
    entities = model.encode(torch.arange(model.num_entities))
    found = Scorer(model).score_all_tails(torch.tensor([[4, 2]])).log_probs[0]
    for position, name in enumerate(model.channel_names):
        table, vectors = model.relation_tables()[name], entities[name]
        context = model.channels[name].context(vectors[[4]], table, torch.tensor([2]))[0]
        logits = vectors @ context
        logits[4] = NO_ANSWER_LOGIT
        torch.testing.assert_close(found[position], logits.log_softmax(dim=0))


@pytest.mark.parametrize("context", CONTEXTS)
def test_scores_for_ranking_order_entities_as_the_probabilities_do(context: str) -> None:
    scorer = Scorer(tiny_model({"model.context": context}))
    probabilities = score(scorer)
    expected = [*probabilities.log_probs.unbind(dim=1), probabilities.combined]
    decision = scorer.model.decision
    own = decision.degree_log_sharpness[decision.degree_bins[every_query()[:, :1]]]
    sharpness = (decision.log_sharpness + own).exp()
    others = torch.ones_like(probabilities.combined, dtype=torch.bool)
    others.scatter_(1, every_query()[:, :1], False)
    for position, found in enumerate(scorer.scores(every_query())):
        scale = sharpness if position == len(expected) - 1 else 1.0
        # Equal up to a normalising shift of each query's scores.
        shift = (expected[position] - scale * found)[others].view(len(found), -1)
        middle = shift.mean(dim=1, keepdim=True)
        torch.testing.assert_close(shift, middle.expand_as(shift), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_own_entity_has_probability_zero_where_train_has_no_loop(context: str) -> None:
    scores = score(Scorer(tiny_model({"model.context": context})))
    assert of_own_entities(scores.combined.exp()).unique().tolist() == [0.0]
    for position in range(scores.log_probs.shape[1]):
        own = of_own_entities(scores.log_probs[:, position].exp())
        assert own[scores.takes_part[:, position]].unique().tolist() == [0.0]


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_own_entity_scores_below_all_others_where_train_has_no_loop(context: str) -> None:
    for scores in Scorer(tiny_model({"model.context": context})).scores(every_query()):
        lowest_other = scores.clone().scatter_(1, every_query()[:, :1], torch.inf).amin(dim=1)
        assert scores.isfinite().all()
        assert (of_own_entities(scores) < lowest_other).all()


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_own_entity_is_a_candidate_in_both_directions_where_train_has_a_loop(
    context: str,
) -> None:
    model = tiny_model({"model.context": context}, graph=looped_graph())
    scorer = Scorer(model)
    log_probs = of_own_entities(score(scorer).combined)
    has_loops = every_query()[:, 1] % model.num_relations == LOOPED
    assert torch.equal(log_probs.isfinite(), has_loops)
    for scores in scorer.scores(every_query()):
        assert torch.equal(of_own_entities(scores) > NO_ANSWER_LOGIT, has_loops)


def test_a_loop_in_train_changes_no_channels_probabilities_of_another_relation() -> None:
    without, with_loop = (
        score(Scorer(tiny_model(graph=graph))).log_probs for graph in (tiny_graph(), looped_graph())
    )
    is_other = every_query()[:, 1] % tiny_graph().num_relations != LOOPED
    assert torch.equal(without[is_other], with_loop[is_other])


def test_a_channel_skips_queries_it_takes_no_part_in_on_a_large_graph(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = Scorer(tiny_model())
    takes_part = found.score_all_tails(every_query()).takes_part[:, 1]
    rare = torch.cat([(~takes_part).nonzero().flatten(), takes_part.nonzero().flatten()[:1]])
    queries = every_query()[rare]
    expected = found.score_all_tails(queries), [each.clone() for each in found.scores(queries)]
    monkeypatch.setattr(scorer, "LARGE_GRAPH", 1)
    assert_same(found.score_all_tails(queries), expected[0])
    for one, other in zip(found.scores(queries), expected[1], strict=True):
        torch.testing.assert_close(one, other, **ROUNDING)
