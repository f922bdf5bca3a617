"""The whole model: its channels, missing media, and gradients."""

from itertools import combinations

import pytest
import torch
import torch.nn.functional as F
from tiny_world import (
    LONELY,
    UNSEEN_RELATIONS,
    every_query,
    looped_graph,
    small_params,
    tiny_graph,
    tiny_model,
    tiny_paths,
    tiny_tables,
)
from torch import Tensor, nn

from imf_core.evaluation.ranking import COMBINED, rank_triples
from imf_core.graph.known_tails import build_known_tails, known_tails_in
from imf_core.model.imf import IMF
from imf_core.model.kernels import NO_ANSWER_LOGIT
from imf_core.model.saved import build_model
from imf_core.model.scorer import Scorer
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
    Objective(model, params, torch.float32)(plan).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def encode_everything(model: IMF) -> dict[str, Tensor]:
    return model.eval().encode(torch.arange(model.num_entities))


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
    moved = {
        weight.grad is not None
        for channel in model.modality_channels.values()
        for weight in channel.encoder.parameters()
    }
    assert moved == {not detach}


@pytest.mark.parametrize("form", ["full", "narrow"])
def test_a_larger_rank_makes_more_fusion_weights(form: str) -> None:
    models = [tiny_model({"fusion.form": form, "fusion.rank": rank}) for rank in (2, 5)]
    sizes = [{name: each.shape for name, each in model.named_parameters()} for model in models]
    changed = {name for name in sizes[0] if sizes[0][name] != sizes[1][name]}
    assert changed
    assert all(name.split(".")[0] in {"fusion"} for name in changed)


def test_an_entity_with_structure_alone_still_has_a_fused_embedding() -> None:
    model = tiny_model()
    assert [bool(model.channels[name].is_present[LONELY]) for name in model.channel_names] == [
        1,
        0,
        0,
        1,
    ]
    assert encode_everything(model)["fused"][LONELY].abs().sum() > 0


def test_an_entity_with_no_modality_at_all_has_a_fused_embedding_of_zeros() -> None:
    model = tiny_model({"model.modalities": ["image", "text"]})
    assert not model.channels["fused"].is_present[LONELY]
    assert (encode_everything(model)["fused"][LONELY] == 0).all()


def test_some_entities_are_embedded_as_they_are_among_all() -> None:
    model = tiny_model()
    whole, some = encode_everything(model), model.encode(torch.tensor([7, 2]))
    for name, each in some.items():
        torch.testing.assert_close(each, whole[name][[7, 2]])


@pytest.mark.parametrize("context", ["block-diagonal", "dense"])
def test_every_channel_has_a_relation_table_with_inverses(context: str) -> None:
    model = tiny_model({"model.context": context})
    dim = {"block-diagonal": 8, "dense": 4}[context]
    shapes = {name: tuple(table.shape) for name, table in model.relation_tables().items()}
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
        model.fusion.residual.table.weight[3] += 1.0
    torch.testing.assert_close(encode_everything(model)["fused"][3], before[3] + 1.0)


def takes_part(model: IMF, head: str) -> Tensor:
    """Returns whether the channel takes part, by (entity, relation), shape: (E, 2R)."""
    found = model.takes_part(every_query())[:, model.channel_names.index(head)]
    return found.view(model.num_entities, 2 * model.num_relations)


def test_a_channel_takes_part_where_the_entity_or_most_answers_have_its_modality() -> None:
    found = takes_part(tiny_model(), "visual")
    is_unseen = torch.tensor([relation in UNSEEN_RELATIONS for relation in range(6)])
    expected = tiny_tables()["image"].is_present.unsqueeze(1) | ~is_unseen
    assert torch.equal(found, expected)
    assert len(found.unique()) == 2


def test_the_structural_channel_takes_part_in_every_query() -> None:
    assert takes_part(tiny_model(), "structural").all()


def test_the_fused_channel_takes_part_where_the_entity_has_any_modality() -> None:
    found = takes_part(tiny_model({"model.modalities": ["image", "text"]}), "fused")
    tables = tiny_tables()
    expected = tables["image"].is_present | tables["text"].is_present
    assert not expected[LONELY]
    assert torch.equal(found, expected.unsqueeze(1).expand_as(found))


def test_a_context_vector_does_not_depend_on_who_else_is_asked_about() -> None:
    model = tiny_model()
    vectors = encode_everything(model)["textual"]
    table, relations = model.relation_tables()["textual"], torch.tensor([0, 4, 2])
    channel = model.channels["textual"]
    whole = channel.context(vectors[[5, 6, 7]], table, relations)
    assert whole.shape == (3, 8)
    torch.testing.assert_close(channel.context(vectors[[6]], table, relations[1:2]), whole[1:2])


WITH_PATHS = "with paths"

FORMS: list[dict[str, object]] = [
    {},
    {"model.context": "dense", "model.encoder_dim": 4},
    {"fusion.form": "narrow", "fusion.residual": True, "fusion.rank": 4},
    {"model.modalities": ["image", "text"]},
    {"fusion.rank": 0},
]
"""Forms of the model; the graph lacks media and, as `looped_graph`, has a loop in train."""

DECIDING = [*FORMS, {WITH_PATHS: True}]
"""The same, and one with a channel that training does not touch."""


def form_of(overrides: dict[str, object]) -> IMF:
    """Makes a model with moderate logits."""
    overrides = dict(overrides)
    has_paths = overrides.pop(WITH_PATHS, False)
    model = tiny_model(overrides, graph=looped_graph())
    if has_paths:
        model.set_paths(tiny_paths(looped_graph()))
        nn.init.normal_(model.decision.relation_logits)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)
    return model.eval()


@pytest.mark.parametrize("overrides", DECIDING)
def test_the_scorer_gives_the_log_probabilities_of_the_model(overrides: dict[str, object]) -> None:
    model = form_of(overrides)
    model.mark_unlearned(torch.tensor([9]))
    expected = model(every_query(), torch.arange(model.num_entities))
    found = Scorer(model).score_all_tails(every_query()).combined
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    # It has facts in this graph, so paths find it.
    assert bool((expected[:, 9] == -torch.inf).all()) == (WITH_PATHS not in overrides)


@pytest.mark.parametrize("overrides", DECIDING)
def test_the_scorer_ranks_by_the_logits_of_each_channel(overrides: dict[str, object]) -> None:
    model, queries = form_of(overrides), every_query()
    entities = torch.arange(model.num_entities)
    is_own = (queries[:, :1] == entities) & ~model.has_loops[queries[:, 1:]]
    expected = zip(
        model.logits(queries, entities).values(), model.takes_part(queries).T, strict=True
    )
    for (z, takes_part), found in zip(expected, Scorer(model).scores(queries), strict=False):
        z = (z * takes_part.unsqueeze(1)).masked_fill(is_own, NO_ANSWER_LOGIT)  # noqa: PLW2901
        torch.testing.assert_close(found, z, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("overrides", DECIDING)
def test_ranks_are_those_of_the_models_log_probabilities(overrides: dict[str, object]) -> None:
    model, graph = form_of(overrides), looped_graph()
    known = known_tails_in(graph, ("train", "valid", "test"))
    ranked = rank_triples(Scorer(model), graph.triples["test"], known, graph.num_relations, 7)
    queries, answers = torch.from_numpy(ranked.queries), torch.from_numpy(ranked.answers)
    log_p = model(queries, torch.arange(model.num_entities))
    truth = log_p.gather(1, answers.unsqueeze(1))
    rows, tails = known.lookup(queries)
    log_p[rows, tails] = -torch.inf
    expected = 1 + (log_p > truth).sum(dim=1)
    assert ranked.ranks[COMBINED].tolist() == expected.tolist()


@pytest.mark.parametrize("overrides", DECIDING)
def test_some_candidates_have_the_log_probabilities_of_all_but_for_a_shift(
    overrides: dict[str, object],
) -> None:
    model = form_of(overrides)
    some = torch.tensor([12, 4, 20])
    whole = model(every_query(), torch.arange(model.num_entities))[:, some]
    found = model(every_query(), some)
    assert torch.equal(found.isfinite(), whole.isfinite())
    torch.testing.assert_close(found.exp().sum(dim=1), torch.ones(len(found)))


@pytest.mark.parametrize("overrides", FORMS)
@pytest.mark.parametrize("name", ["cross-entropy", "binary-cross-entropy"])
def test_the_training_loss_is_that_of_the_models_logits(
    name: str, overrides: dict[str, object]
) -> None:
    params = small_params(
        {
            **overrides,
            "train.loss": name,
            "train.label_smoothing": 0.0,
            "fusion.contrastive_weight": 0.0,
            **{f"train.{key}": 0.0 for key in ("n3", "encoder_n3", "fused_n3")},
        }
    )
    model, graph = form_of(overrides), looped_graph()
    known = known_tails_in(graph, ("train",))
    (batch,) = build_rows(known, None).batches(1000, seed=0)
    plan = Planner(model, 0, torch.device("cpu")).plan(batch, torch.Generator())
    found = Objective(model, params, torch.float32)(plan)

    queries = torch.stack([batch.heads, batch.relations], dim=1)
    entities = torch.arange(model.num_entities)
    is_own = (queries[:, :1] == entities) & ~model.has_loops[queries[:, 1:]]
    rows = torch.repeat_interleave(torch.arange(len(queries)), batch.offsets.diff())
    labels = torch.zeros(len(queries), len(entities))
    labels[rows, batch.tails] = 1.0
    expected = torch.zeros(())
    takes_part = model.takes_part(queries)
    for z, is_part in zip(model.logits(queries, entities).values(), takes_part.T, strict=True):
        if name == "cross-entropy":
            log_p = z.masked_fill(is_own, -torch.inf).log_softmax(dim=1)
            expected = expected - log_p[rows, batch.tails][is_part[rows]].mean()
        else:
            each = F.binary_cross_entropy_with_logits(z, labels, reduction="none").sum(dim=1)
            expected = expected + each[is_part].mean()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
