"""Decision fusion: weights on the simplex, masked by the modalities of the query's entity."""

import pytest
import torch
from torch import Tensor, nn

from imf_core.model.decision import DecisionFusion, insert_by_rank

NUM_RELATIONS = 2
CAN_ANSWER = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 0, 0]], dtype=torch.bool)
QUERIES = torch.tensor([[0, 0], [1, 1], [2, 2], [0, 3]])
DEGREE_BINS = torch.tensor([0, 1, 4])


@pytest.fixture
def decision() -> DecisionFusion:
    torch.manual_seed(0)
    decision = DecisionFusion(
        num_channels=3, num_relations=NUM_RELATIONS, degree_bins=DEGREE_BINS, num_degree_bins=5
    )
    for parameter in decision.parameters():
        nn.init.normal_(parameter)
    return decision


@pytest.fixture
def log_probs() -> Tensor:
    scores = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))
    return scores.log_softmax(dim=2) * CAN_ANSWER.unsqueeze(2)


def test_weights_lie_on_the_simplex(decision: DecisionFusion) -> None:
    weights = decision.weights(QUERIES, CAN_ANSWER)[:3]
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(3))


def test_a_channel_that_cannot_answer_has_no_weight(decision: DecisionFusion) -> None:
    assert (decision.weights(QUERIES, CAN_ANSWER)[~CAN_ANSWER] == 0).all()


def test_a_sharpness_beyond_all_bounds_gives_finite_scores(
    decision: DecisionFusion, log_probs: Tensor
) -> None:
    nn.init.constant_(decision.log_sharpness, 1e3)
    assert torch.isfinite(decision(log_probs, QUERIES, CAN_ANSWER)).all()


def test_all_weights_are_zero_where_no_channel_can_answer(decision: DecisionFusion) -> None:
    assert decision.weights(QUERIES, CAN_ANSWER)[3].tolist() == [0.0] * 3


def test_channels_that_can_answer_keep_their_proportions(decision: DecisionFusion) -> None:
    query = torch.tensor([[2, 1]])
    everything = decision.weights(query, CAN_ANSWER[:1])
    some = decision.weights(query, CAN_ANSWER[1:2])
    expected = everything[0, 0] / everything[0, 2]
    torch.testing.assert_close(some[0, 0] / some[0, 2], expected)


def test_untrained_weights_are_equal() -> None:
    weights = DecisionFusion(3, NUM_RELATIONS, DEGREE_BINS, 5).weights(QUERIES[:1], CAN_ANSWER[:1])
    torch.testing.assert_close(weights, torch.full((1, 3), 1 / 3))


def test_pooling_sums_weighted_log_probabilities(
    decision: DecisionFusion, log_probs: Tensor
) -> None:
    weights = decision.weights(QUERIES, CAN_ANSWER)
    own = decision.degree_log_sharpness[DEGREE_BINS[QUERIES[:, 0]]]
    sharpness = (decision.log_sharpness + own).exp().unsqueeze(1)
    expected = (weights.unsqueeze(2) * log_probs).sum(dim=1) * sharpness
    torch.testing.assert_close(decision(log_probs, QUERIES, CAN_ANSWER), expected)


def test_scores_of_a_channel_that_cannot_answer_change_nothing(
    decision: DecisionFusion, log_probs: Tensor
) -> None:
    noisy = torch.where(CAN_ANSWER.unsqueeze(2), log_probs, -7.0)
    before, after = (decision(each, QUERIES, CAN_ANSWER) for each in (log_probs, noisy))
    assert torch.equal(before, after)


def test_relations_and_their_inverses_have_weights_of_their_own(decision: DecisionFusion) -> None:
    weights = decision.weights(QUERIES, CAN_ANSWER[:1].expand(4, 3))
    assert len(weights.unique(dim=0)) == 2 * NUM_RELATIONS


def test_weights_have_finite_gradients_where_no_channel_can_answer(
    decision: DecisionFusion, log_probs: Tensor
) -> None:
    decision(log_probs, QUERIES, CAN_ANSWER).sum().backward()
    assert all(torch.isfinite(each.grad).all() for each in decision.parameters())


def test_further_candidates_get_the_values_at_their_ranks() -> None:
    decided = torch.tensor([[0.0, -4.0, -1.0]])
    scores = torch.tensor([[10.0, 30.0, 20.0]])
    others = torch.tensor([[35.0, 25.0, 20.0, 12.5, 4.0]])
    found = insert_by_rank(decided, scores, others)
    torch.testing.assert_close(found, torch.tensor([[5.0, -0.5, -1.0, -3.25, -10.0]]))


def test_further_candidates_keep_their_order() -> None:
    torch.manual_seed(0)
    decided, scores, others = torch.randn(7, 20), torch.randn(7, 20), torch.randn(7, 9)
    found = insert_by_rank(decided, scores, others)
    assert torch.equal(found.argsort(dim=1), others.argsort(dim=1))
    assert torch.equal(
        (found.unsqueeze(2) > decided.unsqueeze(1)).sum(2),
        (others.unsqueeze(2) > scores.unsqueeze(1)).sum(2),
    )
    assert torch.equal(insert_by_rank(decided[:, :0], scores[:, :0], others), others)


def test_impossible_candidates_have_no_rank() -> None:
    decided = torch.tensor([[0.0, -torch.inf, -1.0]])
    scores = torch.tensor([[30.0, 50.0, 20.0]])
    found = insert_by_rank(decided, scores, torch.tensor([[40.0, 10.0]]))
    torch.testing.assert_close(found, torch.tensor([[10.0, -11.0]]))
