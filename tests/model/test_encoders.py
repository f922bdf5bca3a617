"""From ids and frozen features to embeddings."""

import pytest
import torch

from imf_core.model import encoders
from imf_core.model.encoders import INITIAL_NORM, FeatureEncoder, StructuralEncoder


@pytest.fixture
def encoder() -> FeatureEncoder:
    torch.manual_seed(0)
    is_present = torch.tensor([True, False, True, False, True])
    return FeatureEncoder(torch.randn(5, 5), is_present, hidden_dim=4, dim=6, dropout=0.0)


def test_the_features_of_an_entity_without_the_modality_do_not_matter(
    encoder: FeatureEncoder,
) -> None:
    everything = torch.arange(5)
    before = encoder(everything)
    encoder.features[~encoder.is_present] = 1e3
    torch.testing.assert_close(encoder(everything), before)


def test_every_entity_without_the_modality_has_a_stand_in_of_its_own(
    encoder: FeatureEncoder,
) -> None:
    ids = torch.tensor([3, 1, 3])
    assert torch.equal(encoder(ids), encoder.absent.weight[[1, 0, 1]])


def test_stand_ins_are_learned_from_the_entities_without_the_modality_alone(
    encoder: FeatureEncoder,
) -> None:
    encoder(torch.tensor([0, 3, 4])).sum().backward()
    assert encoder.absent.weight.grad.tolist() == [[0.0] * 6, [1.0] * 6]


def test_the_gradient_of_few_entities_holds_their_rows_alone() -> None:
    torch.manual_seed(0)
    table, outer = StructuralEncoder(num_entities=9, dim=3), torch.randn(9, 3)
    some = torch.tensor([5, 2])
    (table(some) * outer[some]).sum().backward()
    found = table.table.weight.grad
    assert found.coalesce().indices().tolist() == [[2, 5]]
    expected = torch.zeros(9, 3)
    expected[some] = outer[some]
    assert torch.equal(found.to_dense(), expected)


def test_an_entity_without_the_modality_moves_no_weight_of_the_encoder(
    encoder: FeatureEncoder,
) -> None:
    encoder(torch.tensor([1, 3])).sum().backward()
    for name, weight in encoder.named_parameters():
        if name != "absent.weight":
            assert weight.grad is None or (weight.grad == 0).all(), name


def test_few_entities_with_the_modality_are_encoded_apart_on_a_large_graph(
    encoder: FeatureEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    some, outer = torch.tensor([1, 0, 3]), torch.randn(3, 6)
    expected = encoder(some)
    (expected * outer).sum().backward()
    gradients = {name: weight.grad.clone() for name, weight in encoder.named_parameters()}
    encoder.zero_grad()
    monkeypatch.setattr(encoders, "LARGE_GRAPH", 1)
    found = encoder(some)
    (found * outer).sum().backward()
    torch.testing.assert_close(found, expected)
    for name, weight in encoder.named_parameters():
        torch.testing.assert_close(weight.grad, gradients[name])


def test_a_modality_that_nobody_lacks_is_encoded() -> None:
    everybody = torch.ones(3, dtype=torch.bool)
    encoder = FeatureEncoder(torch.randn(3, 5), everybody, hidden_dim=4, dim=6, dropout=0.0)
    assert encoder(torch.arange(3)).shape == (3, 6)


def test_entities_start_as_similar_as_their_features() -> None:
    torch.manual_seed(0)
    features, everybody = torch.randn(8, 5), torch.ones(8, dtype=torch.bool)
    encoder = FeatureEncoder(features, everybody, hidden_dim=16, dim=12, dropout=0.0)
    normalized = torch.nn.functional.layer_norm(features, (5,))
    expected = normalized @ normalized.T * INITIAL_NORM**2 / 5
    encoded = encoder(torch.arange(8))
    torch.testing.assert_close(encoded @ encoded.T, expected, atol=0.3, rtol=0.0)


def test_the_features_of_an_entity_with_the_modality_matter(encoder: FeatureEncoder) -> None:
    before = encoder(torch.tensor([2]))
    encoder.features[2] = encoder.features[0]
    assert not torch.allclose(encoder(torch.tensor([2])), before)


def test_features_are_inputs_and_not_weights(encoder: FeatureEncoder) -> None:
    inputs = ("features", "is_present", "absent_row")
    assert not set(inputs) & encoder.state_dict().keys()


def test_features_of_another_scale_are_encoded_alike() -> None:
    features, everybody, encoded = torch.randn(3, 5), torch.ones(3, dtype=torch.bool), []
    for scale in (1, 100):
        torch.manual_seed(0)
        encoder = FeatureEncoder(scale * features, everybody, hidden_dim=4, dim=6, dropout=0.0)
        encoded.append(encoder(torch.arange(3)))
    torch.testing.assert_close(*encoded, atol=1e-4, rtol=1e-3)


def test_the_structural_encoder_looks_rows_up() -> None:
    encoder = StructuralEncoder(num_entities=4, dim=3)
    ids = torch.tensor([2, 0, 2])
    assert torch.equal(encoder(ids), encoder.table.weight[ids])
