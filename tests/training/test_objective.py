"""The joint loss: candidates, masked channels, penalty and contrastive term."""

import pytest
import torch
from tiny_world import LONELY, UNSEEN_RELATIONS, small_params, tiny_graph, tiny_model
from torch import Tensor

from imf_core.graph.known_tails import build_known_tails, with_inverses
from imf_core.model.imf import IMF
from imf_core.training.batches import Batch, build_rows
from imf_core.training.objective import Objective, Plan, Planner

PLAIN = {
    "train.n3": 0.0,
    "train.encoder_n3": 0.0,
    "train.fused_n3": 0.0,
    "fusion.contrastive_weight": 0.0,
}
"""The loss of the channels alone."""

ONE_HEAD = {**PLAIN, "model.modalities": ["structure"]}


@pytest.fixture
def batch() -> Batch:
    """All train facts of the tiny graph in whole rows."""
    graph = tiny_graph()
    known = build_known_tails(graph.triples["train"], graph.num_entities, graph.num_relations)
    (batch,) = build_rows(known, None).batches(1000, seed=0)
    return batch


def plan(overrides: dict[str, object], model: IMF, batch: Batch) -> Plan:
    sampled = small_params(overrides).train.sampled_candidates
    return Planner(model, sampled, torch.device("cpu")).plan(batch, torch.Generator())


def loss_of(overrides: dict[str, object], model: IMF, batch: Batch) -> Tensor:
    params = small_params(overrides)
    objective = Objective(model, params, torch.float32)
    return objective(plan(overrides, model, batch))


def rows_of(batch: Batch, chosen: Tensor) -> Batch:
    sizes = batch.offsets.diff()
    kept = sizes[chosen]
    offsets = torch.cat([kept.new_zeros(1), kept.cumsum(0)])
    tails = batch.tails[torch.repeat_interleave(chosen, sizes)]
    return Batch(batch.heads[chosen], batch.relations[chosen], offsets, tails)


def encode_all(model: IMF) -> dict[str, Tensor]:
    return model.encode(torch.arange(model.num_entities))


def is_unseen(batch: Batch) -> Tensor:
    """Returns where neither the query's entity nor its answers have an image, shape: (B,)."""
    return (batch.heads == LONELY) & torch.isin(batch.relations, torch.tensor(UNSEEN_RELATIONS))


def loss(overrides: dict[str, object], batch: Batch) -> Tensor:
    torch.manual_seed(0)
    return loss_of(overrides, tiny_model(overrides), batch).detach()


@pytest.mark.parametrize("sampled", [1, 5, 15])
def test_sampled_candidates_hold_all_positives_and_heads(batch: Batch, sampled: int) -> None:
    offsets = batch.offsets[:4]
    some = Batch(batch.heads[:3], batch.relations[:3], offsets, batch.tails[: int(offsets[-1])])
    found = plan({"train.sampled_candidates": sampled}, tiny_model(), some)
    ids, rows = found.entity_ids, found.rows["structural"]
    assert len(ids) < tiny_graph().num_entities
    assert torch.equal(ids[rows.positives.columns], some.tails)
    assert torch.equal(ids[rows.heads], some.heads)
    assert torch.equal(ids, ids.unique())


@pytest.mark.parametrize("name", ["cross-entropy", "binary-cross-entropy"])
def test_as_many_sampled_candidates_as_entities_give_the_full_loss(name: str, batch: Batch) -> None:
    full = loss({"train.loss": name, "train.sampled_candidates": 0}, batch)
    enough = {"train.loss": name, "train.sampled_candidates": tiny_graph().num_entities}
    assert torch.equal(loss(enough, batch), full)


def test_the_loss_of_one_channel_equals_its_formula(batch: Batch) -> None:
    model = tiny_model(ONE_HEAD)
    head = torch.complex(
        *model.modality_channels["structural"].encoder.table.weight.chunk(2, dim=1)
    )
    relation = torch.complex(*model.modality_channels["structural"].relations.chunk(2, dim=1))
    facts = with_inverses(tiny_graph().triples["train"], 3).T
    scores = ((head[facts[0]] * relation[facts[1]]) @ head.conj().T).real
    scores.scatter_(1, facts[0].unsqueeze(1), -torch.inf)  # train has no loop
    expected = -scores.log_softmax(dim=1)[torch.arange(len(facts[2])), facts[2]].mean()
    torch.testing.assert_close(loss_of(ONE_HEAD, model, batch), expected)


def test_the_n3_penalty_of_one_channel_equals_its_formula(batch: Batch) -> None:
    overrides = {**ONE_HEAD, "train.n3": 0.7}
    model = tiny_model(overrides)
    entity = torch.complex(
        *model.modality_channels["structural"].encoder.table.weight.chunk(2, dim=1)
    )
    relation = torch.complex(*model.modality_channels["structural"].relations.chunk(2, dim=1))
    facts = with_inverses(tiny_graph().triples["train"], 3).T
    cubes = [entity[facts[0]], relation[facts[1]], entity[facts[2]]]
    expected = sum(each.abs().pow(3).sum(dim=1).mean() for each in cubes)
    without = loss_of(ONE_HEAD, model, batch)
    found = loss_of(overrides, model, batch) - without
    torch.testing.assert_close(found, 0.7 * expected, rtol=1e-4, atol=1e-4)


def test_the_relation_loss_equals_its_formula(batch: Batch) -> None:
    overrides = {**ONE_HEAD, "train.relation_weight": 0.7}
    model = tiny_model(overrides)
    entity = torch.complex(
        *model.modality_channels["structural"].encoder.table.weight.chunk(2, dim=1)
    )
    relation = torch.complex(*model.modality_channels["structural"].relations.chunk(2, dim=1))
    expected = []
    for head, true, tail in with_inverses(tiny_graph().triples["train"], 3).tolist():
        scores = [(entity[head] * each * entity[tail].conj()).sum().real for each in relation]
        expected.append(-torch.stack(scores).log_softmax(dim=0)[true])
    found = loss_of(overrides, model, batch) - loss_of(ONE_HEAD, model, batch)
    torch.testing.assert_close(found, 0.7 * torch.stack(expected).mean(), rtol=1e-4, atol=1e-5)


def test_the_relation_loss_does_not_depend_on_sampled_candidates(batch: Batch) -> None:
    terms = []
    for sampled in (0, 2):
        plain = {**ONE_HEAD, "train.sampled_candidates": sampled}
        model = tiny_model(plain)
        with_relations = {**plain, "train.relation_weight": 1.0}
        terms.append(loss_of(with_relations, model, batch) - loss_of(plain, model, batch))
    torch.testing.assert_close(terms[0], terms[1], rtol=1e-4, atol=1e-5)


def test_the_relation_loss_moves_entities_and_relations_of_the_structural_channel_alone(
    batch: Batch,
) -> None:
    overrides = {**PLAIN, "train.relation_weight": 1.0}
    model = tiny_model(overrides)
    (loss_of(overrides, model, batch) - loss_of(PLAIN, model, batch)).backward()
    moved = {
        name
        for name, each in model.named_parameters()
        if each.grad is not None and each.grad.abs().max() > 1e-5
    }
    assert moved == {"channels.structural.encoder.table.weight", "channels.structural.relations"}


def test_without_a_structural_channel_there_is_no_relation_loss(batch: Batch) -> None:
    alone = {**PLAIN, "model.modalities": ["text"]}
    model = tiny_model(alone)
    weighted = {**alone, "train.relation_weight": 1.0}
    assert torch.equal(loss_of(weighted, model, batch), loss_of(alone, model, batch))


@pytest.mark.parametrize(
    "overrides",
    [{"train.encoder_n3": 0.1}, {"train.fused_n3": 0.1}, {"fusion.contrastive_weight": 0.1}],
)
def test_a_term_is_added_where_its_weight_is_not_zero(
    overrides: dict[str, object], batch: Batch
) -> None:
    assert loss({**PLAIN, **overrides}, batch) > loss(PLAIN, batch)


def test_the_fused_channel_learns_to_correct_image_and_text(batch: Batch) -> None:
    model = tiny_model(PLAIN).eval()
    entities, tables = encode_all(model), model.relation_tables()
    heads, relations = batch.heads, batch.relations

    def logits(name: str) -> Tensor:
        context = model.channels[name].context(entities[name][heads], tables[name], relations)
        return context @ entities[name].T

    def mean_loss(logits: Tensor) -> Tensor:
        logits[torch.arange(len(heads)), heads] = -1e9  # no relation has a loop
        rows = torch.repeat_interleave(torch.arange(len(heads)), batch.offsets.diff())
        return -logits.log_softmax(dim=1)[rows, batch.tails].mean()

    others = ("visual", "textual")
    takes_part = model.takes_part(torch.stack([heads, relations], dim=1)).float()
    takes_part = [takes_part[:, model.channel_names.index(name)] for name in others]
    total = sum(each[:, None] * logits(name) for each, name in zip(takes_part, others, strict=True))
    mean = total / sum(takes_part).clamp_min(1.0)[:, None]
    expected = mean_loss(logits("fused") + mean) - mean_loss(logits("fused"))
    complement = {**PLAIN, "fusion.complement": True}
    found = loss_of(complement, model, batch) - loss_of(PLAIN, model, batch)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["cross-entropy", "binary-cross-entropy"])
def test_the_correction_moves_no_other_channel(name: str, batch: Batch) -> None:
    gradients = []
    for complement in (False, True):
        values = {**PLAIN, "train.loss": name, "fusion.detach": True}
        values["fusion.complement"] = complement
        model = tiny_model(values)
        loss_of(values, model, batch).backward()
        gradients.append({key: each.grad for key, each in model.named_parameters()})
    moved = {
        key
        for key, each in gradients[0].items()
        if each is not None and not torch.equal(each, gradients[1][key])
    }
    assert moved
    assert all(key.split(".")[0] in {"fusion"} for key in moved)


def test_without_a_fused_channel_there_is_no_contrastive_term(batch: Batch) -> None:
    alone = {**PLAIN, "fusion.rank": 0}
    model = tiny_model(alone)
    contrastive = {**alone, "fusion.contrastive_weight": 0.1}
    assert torch.equal(loss_of(contrastive, model, batch), loss_of(alone, model, batch))


@pytest.mark.parametrize("name", ["cross-entropy", "binary-cross-entropy"])
def test_queries_with_nothing_of_the_modality_train_no_channel_of_it(
    name: str, batch: Batch
) -> None:
    overrides = {**PLAIN, "train.loss": name, "model.modalities": ["image"]}
    unseen = is_unseen(batch)
    assert unseen.any()
    without = rows_of(batch, ~unseen)
    torch.testing.assert_close(loss(overrides, batch), loss(overrides, without))


@pytest.mark.parametrize("name", ["cross-entropy", "binary-cross-entropy"])
def test_queries_whose_answers_have_the_modality_train_its_channel(name: str, batch: Batch) -> None:
    overrides = {**PLAIN, "train.loss": name, "model.modalities": ["image"]}
    model = tiny_model(overrides)
    asked = rows_of(batch, (batch.heads == LONELY) & ~is_unseen(batch))
    loss_of(overrides, model, asked).backward()
    encoder = model.modality_channels["visual"].encoder
    assert encoder.linear.weight.grad.abs().sum() > 0
    assert encoder.absent.weight.grad[encoder.absent_row[LONELY]].abs().sum() > 0


def test_a_batch_that_no_channel_can_answer_has_a_loss_of_zero(batch: Batch) -> None:
    overrides = {"model.modalities": ["image"]}
    model = tiny_model(overrides)
    value = loss_of(overrides, model, rows_of(batch, is_unseen(batch)))
    value.backward()
    assert value.item() == 0.0
    assert all(each.grad is None or (each.grad == 0).all() for each in model.parameters())


def test_a_channel_keeps_the_positives_of_its_rows() -> None:
    batch = Batch(
        heads=torch.tensor([4, LONELY, 6]),
        relations=torch.tensor([1, UNSEEN_RELATIONS[0], 3]),
        offsets=torch.tensor([0, 2, 3, 6]),
        tails=torch.tensor([7, 8, 9, 10, 11, 12]),
    )
    kept = plan({}, tiny_model(), batch).rows["visual"]
    assert kept.heads.tolist() == [4, 6]
    assert kept.relations.tolist() == [1, 3]
    assert kept.positives.offsets.tolist() == [0, 2, 5]
    assert kept.positives.rows.tolist() == [0, 0, 1, 1, 1]
    assert kept.positives.counts.tolist() == [2, 3]
    assert kept.positives.columns.tolist() == [7, 8, 10, 11, 12]


def test_structure_alone_has_no_contrastive_term(batch: Batch) -> None:
    with_weight = {**ONE_HEAD, "fusion.contrastive_weight": 5.0}
    assert torch.equal(loss(with_weight, batch), loss(ONE_HEAD, batch))
