"""The whole model: its channels, missing media, and gradients."""

from itertools import combinations

import pytest
import torch
from tiny_world import (
    LONELY,
    UNSEEN_RELATIONS,
    every_query,
    small_params,
    tiny_graph,
    tiny_model,
    tiny_tables,
)
from torch import Tensor

from imf_core.graph.known_tails import build_known_tails
from imf_core.model.imf import IMF
from imf_core.model.saved import build_model
from imf_core.training.batches import build_rows
from imf_core.training.objective import Objective, Planner

HEADS = {"structure": "structural", "image": "visual", "text": "textual"}
SUBSETS = [list(chosen) for size in (1, 2, 3) for chosen in combinations(HEADS, size)]


def gradients(overrides: dict[str, object]) -> dict[str, Tensor | None]:
    """Runs all train facts of the tiny graph through the loss and back."""
    params, graph = small_params(overrides), tiny_graph()
    model = tiny_model(overrides)
    known = build_known_tails(graph.triples["train"], graph.num_entities, graph.num_relations)
    (batch,) = build_rows(known, None).batches(1000, seed=0)
    plan = Planner(model, 0, torch.device("cpu")).plan(batch, torch.Generator())
    Objective(model, params.train, params.fusion, torch.float32)(plan).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def encode_everything(model: IMF) -> dict[str, Tensor]:
    return model.eval().embed_entities(torch.arange(model.num_entities))


@pytest.mark.parametrize("modalities", SUBSETS)
def test_every_subset_of_modalities_has_its_channels(modalities: list[str]) -> None:
    expected = tuple(HEADS[name] for name in modalities)
    expected += ("fused",) if len(modalities) > 1 else ()
    assert tiny_model({"model.modalities": modalities}).channel_names == expected


def test_the_order_of_modalities_in_the_parameters_does_not_matter() -> None:
    states = []
    for modalities in (["structure", "image", "text"], ["text", "structure", "image"]):
        torch.manual_seed(0)
        params = small_params({"model.modalities": modalities})
        model = build_model(tiny_graph(), tiny_tables(), params.model, params.fusion)
        states.append(model.state_dict())
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("form", ["full", "narrow"])
@pytest.mark.parametrize("context", ["block-diagonal", "dense"])
@pytest.mark.parametrize("loss", ["cross-entropy", "binary-cross-entropy"])
@pytest.mark.parametrize("detach", [True, False])
def test_every_parameter_but_the_decision_receives_a_gradient(
    form: str, context: str, loss: str, detach: bool
) -> None:
    found = gradients(
        {
            "fusion.form": form,
            "model.context": context,
            "train.loss": loss,
            "fusion.detach": detach,
        }
    )
    for name, gradient in found.items():
        if name.startswith("decision."):
            assert gradient is None
        else:
            assert gradient is not None, name
            assert gradient.abs().sum() > 0, name


@pytest.mark.parametrize("detach", [True, False])
def test_the_fused_channel_moves_the_encoders_only_where_it_is_not_detached(detach: bool) -> None:
    model = tiny_model({"fusion.detach": detach})
    encode_everything(model)["fused"].sum().backward()
    moved = {name: weight.grad is not None for name, weight in model.encoders.named_parameters()}
    assert set(moved.values()) == {not detach}


@pytest.mark.parametrize("form", ["full", "narrow"])
def test_a_larger_rank_makes_more_fusion_weights(form: str) -> None:
    models = [tiny_model({"fusion.form": form, "fusion.rank": rank}) for rank in (2, 5)]
    sizes = [{name: each.shape for name, each in model.named_parameters()} for model in models]
    changed = {name for name in sizes[0] if sizes[0][name] != sizes[1][name]}
    assert changed
    assert all(name.split(".")[0] in {"entity_fusion", "relation_fusion"} for name in changed)


def test_an_entity_with_structure_alone_still_has_a_fused_embedding() -> None:
    model = tiny_model()
    assert [bool(model.is_present(name)[LONELY]) for name in model.channel_names] == [1, 0, 0, 1]
    assert encode_everything(model)["fused"][LONELY].abs().sum() > 0


def test_an_entity_with_no_modality_at_all_has_a_fused_embedding_of_zeros() -> None:
    model = tiny_model({"model.modalities": ["image", "text"]})
    assert not model.is_present("fused")[LONELY]
    assert (encode_everything(model)["fused"][LONELY] == 0).all()


def test_some_entities_are_embedded_as_they_are_among_all() -> None:
    model = tiny_model()
    whole, some = encode_everything(model), model.embed_entities(torch.tensor([7, 2]))
    for name, each in some.items():
        torch.testing.assert_close(each, whole[name][[7, 2]])


@pytest.mark.parametrize("context", ["block-diagonal", "dense"])
def test_every_channel_has_a_relation_table_with_inverses(context: str) -> None:
    model = tiny_model({"model.context": context})
    dim = {"block-diagonal": 8, "dense": 4}[context]
    shapes = {name: tuple(table.shape) for name, table in model.embed_relations().items()}
    assert shapes == dict.fromkeys(model.channel_names, (2 * model.num_relations, dim))


def test_without_a_rank_there_is_no_fused_channel() -> None:
    model = tiny_model({"fusion.rank": 0})
    assert model.channel_names == ("structural", "visual", "textual")
    assert not any("fus" in name for name, _ in model.named_parameters())


def test_channels_other_than_the_structural_one_may_be_of_another_size() -> None:
    model = tiny_model({"model.encoder_dim": 4})
    sizes = {name: each.shape[1] for name, each in encode_everything(model).items()}
    assert sizes == {"structural": 8, "visual": 4, "textual": 4, "fused": 4}


def test_a_fused_entity_may_have_a_vector_of_its_own() -> None:
    model = tiny_model({"fusion.residual": True})
    before = encode_everything(model)["fused"]
    with torch.no_grad():
        model.fused_residual.table.weight[3] += 1.0
    torch.testing.assert_close(encode_everything(model)["fused"][3], before[3] + 1.0)


def can_answer(model: IMF, head: str) -> Tensor:
    """Returns whether the channel takes part, by (entity, relation), shape: (E, 2R)."""
    entities, relations = every_query().T
    found = model.can_answer(head, entities, relations)
    return found.view(model.num_entities, 2 * model.num_relations)


def test_a_channel_takes_part_where_the_entity_or_most_answers_have_its_modality() -> None:
    found = can_answer(tiny_model(), "visual")
    is_unseen = torch.tensor([relation in UNSEEN_RELATIONS for relation in range(6)])
    expected = tiny_tables()["image"].is_present.unsqueeze(1) | ~is_unseen
    assert torch.equal(found, expected)
    assert len(found.unique()) == 2


def test_the_structural_channel_takes_part_in_every_query() -> None:
    assert can_answer(tiny_model(), "structural").all()


def test_the_fused_channel_takes_part_where_the_entity_has_any_modality() -> None:
    found = can_answer(tiny_model({"model.modalities": ["image", "text"]}), "fused")
    tables = tiny_tables()
    expected = tables["image"].is_present | tables["text"].is_present
    assert not expected[LONELY]
    assert torch.equal(found, expected.unsqueeze(1).expand_as(found))


def test_a_context_vector_does_not_depend_on_who_else_is_asked_about() -> None:
    model = tiny_model()
    vectors = encode_everything(model)["textual"]
    table, relations = model.embed_relations()["textual"], torch.tensor([0, 4, 2])
    scorer = model.scorer("textual")
    whole = scorer(vectors[[5, 6, 7]], table, relations)
    assert whole.shape == (3, 8)
    torch.testing.assert_close(scorer(vectors[[6]], table, relations[1:2]), whole[1:2])
