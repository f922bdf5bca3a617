"""Fine-tunes the path network on a graph: a few steps, each with its asked facts out of the graph.

The loss of a query (h, q) with the true tail t is the cross entropy of a softmax over all entities
without the query's other known tails (filtered, as in ranking). The asked facts of a step are
removed in both directions, since the network would otherwise only learn to read them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from imf_core.base.device import fitting_threads, to_device
from imf_core.graph.known_tails import KnownTails, build_known_tails, with_inverses
from imf_core.paths.network import PathNetwork
from imf_core.paths.path_graph import PathGraph


@dataclass(frozen=True)
class FineTuning:
    """Parameters of a fine-tuning.

    Attributes:
        steps: Steps of the optimiser.
        batch_size: Queries per step; the graph of the step lacks their facts.
        learning_rate: Learning rate of AdamW.
        clip_norm: Largest norm of the gradient.
        seed: Seed of the order of the facts.
    """

    steps: int = 50
    batch_size: int = 8
    learning_rate: float = 2e-3
    clip_norm: float = 1.0
    seed: int = 0


def fine_tune(
    network: PathNetwork, graph: PathGraph, triples: Tensor, settings: FineTuning
) -> Iterator[float]:
    """Trains the network in place, a step at a time, so that a caller can select on valid.

    Args:
        network: The network.
        graph: The graph of `triples`, on the network's device.
        triples: Train facts (head, relation, tail), shape: (N, 3), dtype: long, on the CPU.
        settings: Parameters of the training.

    Yields:
        The loss of each step, before its update.
    """
    num_relations = len(graph.entities.inverse) // 2
    known = build_known_tails(triples, graph.entities.num_nodes, num_relations)
    facts = with_inverses(triples, num_relations)
    generator = torch.Generator().manual_seed(settings.seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate)
    batches: list[Tensor] = []
    network.train()
    for _ in range(settings.steps):
        if not batches:
            order = torch.randperm(len(facts), generator=generator)
            batches = list(order.split(settings.batch_size))
        asked = facts[batches.pop()]
        optimizer.zero_grad()
        with fitting_threads(len(asked) * graph.entities.num_nodes * network.spec.dim):
            loss = measure_loss(network, graph, asked, known)
            torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
        optimizer.step()
        yield float(loss.detach())
    network.eval()


def measure_loss(
    network: PathNetwork, graph: PathGraph, asked: Tensor, known: KnownTails
) -> Tensor:
    """Returns the mean cross entropy of facts that the graph is not shown.

    Args:
        network: The network.
        graph: The graph, on the network's device.
        asked: (head, relation with inverses, tail), shape: (B, 3), dtype: long, on the CPU.
        known: Known tails, all left out of the softmax but the true one.
    """
    facts = to_device(asked, graph.entities.inverse.device)
    return compare_tails(network(graph.without(facts), facts[:, :2]), asked, known)


def compare_tails(scores: Tensor, asked: Tensor, known: KnownTails) -> Tensor:
    """Returns the mean cross entropy of true tails, without the other known ones.

    Args:
        scores: Logits of all entities, shape: (B, E), dtype: float32.
        asked: (head, relation with inverses, tail), shape: (B, 3), dtype: long, on the CPU.
        known: Known tails, all left out of the softmax but the true one.
    """
    rows, tails = known.lookup(asked[:, :2])
    is_other = tails != asked[rows, 2]
    others = tuple(to_device(each[is_other], scores.device) for each in (rows, tails))
    scores = scores.index_put(others, scores.new_tensor(-torch.inf))
    return F.cross_entropy(scores, to_device(asked[:, 2], scores.device))
