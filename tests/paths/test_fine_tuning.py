"""Fine-tuning of the path network: asked facts are hidden, and a few steps help."""

import torch
from torch import Tensor

from imf_core.graph.known_tails import build_known_tails, with_inverses
from imf_core.paths.fine_tuning import FineTuning, fine_tune, measure_loss
from imf_core.paths.network import PathNetwork, PathSpec
from imf_core.paths.path_graph import build_path_graph

NUM_ENTITIES = 12


def make_network() -> PathNetwork:
    torch.manual_seed(0)
    return PathNetwork(PathSpec(8, relation_layers=2, entity_layers=3))


def make_triples() -> Tensor:
    """Entities on a ring; relation 1 is two steps of relation 0."""
    heads = torch.arange(NUM_ENTITIES)
    steps = [torch.stack([heads, heads * 0 + r, (heads + r + 1) % NUM_ENTITIES], 1) for r in (0, 1)]
    return torch.cat(steps)


def test_the_loss_is_that_of_a_graph_without_the_asked_facts() -> None:
    network, triples = make_network(), make_triples()
    asked, others = triples[:3], triples[3:]
    known = build_known_tails(triples, NUM_ENTITIES, 2)
    whole = build_path_graph(triples, NUM_ENTITIES, 2)
    expected = build_path_graph(others, NUM_ENTITIES, 2).entities
    hidden = whole.without(asked)
    assert torch.equal(hidden.entities.triples, expected.triples)
    torch.testing.assert_close(
        measure_loss(network, whole, asked, known), measure_loss(network, hidden, asked, known)
    )


def test_other_known_tails_take_no_part_in_the_softmax() -> None:
    network, triples = make_network(), torch.tensor([[0, 0, 1], [0, 0, 2], [3, 0, 1]])
    graph = build_path_graph(triples, 4, 1)
    known = build_known_tails(triples, 4, 1)
    asked = triples[:1]
    scores = network(graph.without(asked), asked[:, :2])[0, [0, 1, 3]]
    expected = -scores.log_softmax(dim=0)[1]
    torch.testing.assert_close(measure_loss(network, graph, asked, known), expected)


def test_steps_lower_the_loss_and_repeat_at_one_seed() -> None:
    triples = make_triples()
    graph, facts = build_path_graph(triples, NUM_ENTITIES, 2), with_inverses(triples, 2)
    known = build_known_tails(triples, NUM_ENTITIES, 2)
    settings = FineTuning(steps=60, learning_rate=5e-3)
    traces, after = [], []
    for _ in range(2):
        network = make_network()
        before = float(measure_loss(network, graph, facts[:4], known).detach())
        traces.append(list(fine_tune(network, graph, triples, settings)))
        after.append(float(measure_loss(network, graph, facts[:4], known).detach()))
    assert traces[0] == traces[1]
    assert after[0] == after[1] < 0.75 * before
    assert not network.training
