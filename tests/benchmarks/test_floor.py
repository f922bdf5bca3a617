"""The floor counts the matrix products of a step, checked by hand."""

import pytest
from tiny_world import small_params

from benchmarks.floor import Asked, Product, count_flops, list_products, run_products

DENSE = {
    "model.context": "dense",
    "model.dim": 4,
    "model.relation_dim": 3,
    "model.hidden_dim": 5,
    "fusion.rank": 2,
}


def test_a_product_counts_with_the_gradients_that_are_needed() -> None:
    assert Product("any", 2, 3, 5).flops == 3 * 2 * (2 * 3 * 5)
    assert Product("any", 2, 3, 5, is_left_given=True).flops == 2 * 2 * (2 * 3 * 5)


def test_a_channel_without_features_has_matrices_application_and_scores() -> None:
    params = small_params({**DENSE, "model.modalities": ["structure"]})
    products = list_products(params, 10, 7, {}, [Asked(queries=6, relations=2)])
    assert count_flops(products) == {
        "relation matrices": 6 * (2 * 3 * 16),
        "their application": 6 * (6 * 4 * 4),
        "scoring": 6 * (6 * 4 * 10),
    }


def test_encoders_count_present_entities_and_fusion_counts_all() -> None:
    params = small_params({**DENSE, "model.modalities": ["structure", "text"]})
    heads = [Asked(6, 2), Asked(5, 1), Asked(6, 2)]
    flops = count_flops(list_products(params, 10, 7, {"text": (8, 11)}, heads))
    assert flops["encoders"] == 4 * 8 * (11 * 4 + 11 * 5) + 6 * 8 * 5 * 4
    assert flops["fusion"] == 6 * 2 * (10 * 4 * 8 + 14 * 3 * 6)
    assert flops["scoring"] == 6 * (6 + 5 + 6) * 4 * 10


def test_narrow_terms_of_the_fusion_are_refused() -> None:
    params = small_params({**DENSE, "model.modalities": ["structure", "text"], "fusion.rank": 3})
    with pytest.raises(ValueError, match="at most the number of modalities, got 3"):
        list_products(params, 10, 7, {"text": (8, 11)}, [])


def test_the_products_run_on_their_shapes() -> None:
    run_products(
        [Product("wide", 2, 3, 50), Product("tall", 40, 3, 2), Product("wide", 2, 3, 50)]
    )()
