"""Measures whether reasons carry their answers: `python -m recipes.faithfulness`.

Takes test facts of the workspace's graph that the saved model's channel of paths answers with a
reason. Drops the facts of the first path from the graph and scores the answer again; in comparison,
drops as many other random facts, each of the same entity as a fact of the path.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from imf_core.base.errors import DataError
from imf_core.base.terminal import track
from imf_core.graph.known_tails import with_inverses
from imf_core.inference.reasons import find_shown
from imf_core.model.saved import load_model
from imf_core.paths.channel import PathChannel
from imf_core.paths.path_graph import PathGraph
from imf_core.paths.reasons import Reason
from recipes.environment import make_table
from stages.inputs import load_inputs
from stages.paths import MODEL
from stages.runner import run_stage

Edge = tuple[int, int, int]


@dataclass(frozen=True)
class Fall:
    """Fall of an answer's log-probability by paths, in nats, when facts are dropped.

    Attributes:
        path: The facts of the first path.
        random: As many random ones of the same entities.
        edges: Number of facts.
    """

    path: float
    random: float
    edges: int


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        "python -m recipes.faithfulness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--count", type=int, default=300, help="test questions (300)")
    parser.add_argument("--seed", type=int, default=0, help="of questions and facts (0)")
    given = parser.parse_args()
    graph, tables = load_inputs()
    channel = load_model(MODEL, graph, tables).paths
    if channel is None:
        raise DataError(f"{MODEL} has no channel of paths; set paths.use and run `dvc repro`")
    generator = torch.Generator().manual_seed(given.seed)
    facts = with_inverses(graph.triples["test"], graph.num_relations)
    facts = facts[facts[:, 0] != facts[:, 2]]
    asked = facts[torch.randperm(len(facts), generator=generator)[: given.count]]
    falls = [
        fall
        for fact in track(asked.tolist(), "questions", len(asked))
        if (fall := measure(channel, (fact[0], fact[1], fact[2]), generator)) is not None
    ]
    print(
        f"{len(asked)} test questions, {len(falls)} with a reason for the true answer and as many "
        "other facts"
    )
    groups: dict[str, list[Fall]] = {"all": falls}
    for edges in (1, 2, 3):
        groups[f"{edges} facts" if edges > 1 else "1 fact"] = [f for f in falls if f.edges == edges]
    rows = [[name, *summarise(group)] for name, group in groups.items() if group]
    titles = ["first path", "answers", "without its facts", "without random facts", "falls more"]
    print("\n".join(make_table(titles, rows)))


def summarise(falls: Sequence[Fall]) -> list[str]:
    """Returns number, mean falls, and the share where the path's facts matter more."""
    by_path, by_random = (np.array([getattr(f, n) for f in falls]) for n in ("path", "random"))
    return [
        str(len(falls)),
        f"{-by_path.mean():+.2f}",
        f"{-by_random.mean():+.2f}",
        f"{100 * (by_path > by_random).mean():.0f} %",
    ]


def measure(channel: PathChannel, fact: Edge, generator: torch.Generator) -> Fall | None:
    """Returns the falls of one answer, None without a reason or without as many other facts.

    Args:
        channel: The channel of paths.
        fact: (asked entity, relation with inverses, answer), not in the channel's graph.
        generator: Of the random facts.
    """
    network, graph = channel.network, channel.graph
    query = torch.tensor([fact[:2]])
    scores = network.score(graph, query)[0]
    reasons = find_shown(network, graph, fact, 1)
    alike = draw_alike(graph, reasons[0], generator) if reasons else None
    if alike is None:
        return None
    edges = [(edge.head, edge.relation, edge.tail) for edge in reasons[0].edges]
    before = scores.log_softmax(dim=0)[fact[2]]
    falls = []
    for dropped in (torch.tensor(edges), alike):
        after = network.score(graph.without(dropped), query)[0].log_softmax(dim=0)[fact[2]]
        falls.append(float(before - after))
    return Fall(falls[0], falls[1], len(edges))


def draw_alike(graph: PathGraph, reason: Reason, generator: torch.Generator) -> Tensor | None:
    """Draws a random fact of the tail of each step, all different and none of the path.

    Returns:
        (head, relation with inverses, tail), shape: (N, 3), dtype: long; None if an entity has no
        further fact.
    """
    triples, inverse = graph.entities.triples, graph.entities.inverse.tolist()
    drawn: list[Edge] = []
    taken: set[Edge] = set()
    for edge in reason.edges:
        taken |= {(edge.head, edge.relation, edge.tail)}
        taken |= {(edge.tail, inverse[edge.relation], edge.head)}
    for edge in reason.edges:
        own = [tuple(each) for each in triples[triples[:, 0] == edge.tail].tolist()]
        others = [each for each in own if each not in taken]
        if not others:
            return None
        head, relation, tail = others[int(torch.randint(len(others), (), generator=generator))]
        drawn.append((head, relation, tail))
        taken |= {(head, relation, tail), (tail, inverse[relation], head)}
    return torch.tensor(drawn)


if __name__ == "__main__":
    run_stage(main)
