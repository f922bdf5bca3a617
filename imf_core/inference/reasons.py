"""Reasons in words: the paths of facts that carry answers of a path network.

In: answers by ids. Out: for each answer its paths, as an Arrow array with labels, names, splits and
weights. `imf_core.paths.reasons` finds the paths and defines their weights;
`imf_core.base.path_text` formats one.
"""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from imf_core.base.device import fitting_threads
from imf_core.base.errors import QuestionError
from imf_core.base.path_text import format_path
from imf_core.base.terminal import track
from imf_core.graph.graph import Graph
from imf_core.inference.fact_table import ROLES, FactTable
from imf_core.inference.names import Names, require_type
from imf_core.paths.network import PathNetwork
from imf_core.paths.path_graph import PathGraph
from imf_core.paths.reasons import Reason, find_reasons

LEAST_WEIGHT = 0.05
"""Least weight of a path that is a reason: nine of ten random entities have no such path, seven of
ten first answers have one (`atlas`, `countries-mm`)."""

CANDIDATES = 1 << 10
"""Paths among which different ones are sought."""

NO_PATH = "no path"
"""Text of an answer without a reason."""

EDGE = pa.struct(
    [(f"{role}{suffix}", pa.string()) for role in ROLES for suffix in ("", "_name")]
    + [("known_in", pa.string()), ("weight", pa.float64())]
)
"""A fact of a path in its true direction: labels, names, split and weight."""

PATH = pa.struct([("weight", pa.float64()), ("facts", pa.list_(EDGE))])
"""A path: its weight, that of its weakest fact, and its facts from the asked entity on."""


REASONS = pa.schema(
    {"answer": pa.int64(), "weight": pa.float64(), "text": pa.string(), "facts": pa.list_(EDGE)}
)
"""A row per path: row of the answer, weight, text and facts."""


def explain(
    network: PathNetwork, path_graph: PathGraph, graph: Graph, answers: Tensor, limit: int = 3
) -> pa.ListArray:
    """Finds the reasons of answers.

    An answer that is a fact of `path_graph` is explained without this fact.

    Args:
        network: The network.
        path_graph: Facts of the graph, on the network's device.
        graph: Gives labels, names and splits.
        answers: (asked entity, relation with inverses, answer), shape: (N, 3), dtype: long, on the
            CPU.
        limit: Paths per answer, at most; nothing is computed for 0.

    Returns:
        For each answer a list of `PATH`, best first; empty if no path has `LEAST_WEIGHT`.
    """
    if limit < 1:
        return pa.array([[]] * len(answers), pa.list_(PATH))
    table = FactTable(graph, ())
    paths = []
    with fitting_threads(graph.num_entities * network.spec.dim):
        for row in track(answers.tolist(), "reasons, answers", len(answers)):
            found = find_shown(network, path_graph, row, limit)
            paths.append([_describe(reason, table, graph) for reason in found])
    return pa.array(paths, pa.list_(PATH))


def explain_table(
    network: PathNetwork, path_graph: PathGraph, graph: Graph, answers: Tensor, limit: int = 3
) -> pa.Table:
    """Explains answers, a row per path; arguments as in `explain`.

    Returns:
        By answer, then best first, with the columns of `REASONS`. An answer without a path has no
        row.

    Raises:
        QuestionError: If the limit is no whole number, or negative.
    """
    require_type(limit, Integral, "k", "a whole number")
    if limit < 0:
        raise QuestionError(f"the number of paths per answer must be at least 0, got k = {limit}")
    paths = explain(network, path_graph, graph, answers, limit)
    flat = paths.flatten()
    return pa.table(
        {
            "answer": pc.list_parent_indices(paths).cast(pa.int64()),
            "weight": flat.field("weight"),
            "text": pa.array([format_path(path) for path in flat.to_pylist()], pa.string()),
            "facts": flat.field("facts"),
        },
        schema=REASONS,
    )


def find_answered(answers: pa.Table, entities: Names, relations: Names) -> Tensor:
    """Returns (asked entity, relation with inverses, answer) of a table of answers, shape: (N, 3).

    Args:
        answers: Columns `head`, `relation`, `tail` (labels) and `asked_for`.
        entities: Finds the ids of entities.
        relations: Finds the ids of relations.

    Raises:
        QuestionError: If a column is missing, or a label is unknown.
    """
    needed = [*ROLES, "asked_for"]
    if missing := [name for name in needed if name not in answers.column_names]:
        raise QuestionError(
            f"a table of answers needs the columns {', '.join(needed)}, this one has no "
            f"{', '.join(missing)}; give the table that an answering method returned"
        )
    found = []
    for row in answers.select(needed).to_pylist():
        head, tail = entities.find(row["head"]), entities.find(row["tail"])
        relation = relations.find(row["relation"])
        if row["asked_for"] == "head":
            found.append((tail, relation + len(relations), head))
        else:  # a relation is explained by paths from the head to the tail
            found.append((head, relation, tail))
    return torch.tensor(found, dtype=torch.long).view(-1, 3)


def find_shown(
    network: PathNetwork, path_graph: PathGraph, answer: Sequence[int], limit: int
) -> list[Reason]:
    """Finds the reasons that are shown for an answer: different paths of at least `LEAST_WEIGHT`.

    Of paths with the same last fact the best is kept, and none that visits all entities of a better
    one on a detour.

    Args:
        network: The network.
        path_graph: The facts, on the network's device; the answer itself is left out.
        answer: (asked entity, relation with inverses, answer).
        limit: Paths, at most.

    Returns:
        Best first.
    """
    head, relation, tail = answer
    if head == tail:  # a path names no entity twice
        return []
    fact = torch.tensor([answer], device=path_graph.entities.inverse.device)
    if bool((path_graph.entities.triples == fact).all(dim=1).any()):
        path_graph = path_graph.without(fact)
    kept: list[Reason] = []
    visited: list[set[int]] = []
    last_facts: set[tuple[int, int]] = set()
    for reason in find_reasons(network, path_graph, (head, relation, tail), CANDIDATES):
        if len(kept) == limit or reason.weight < LEAST_WEIGHT:
            break
        entities = {edge.tail for edge in reason.edges}
        last = reason.edges[-1].head, reason.edges[-1].relation
        if last not in last_facts and not any(earlier < entities for earlier in visited):
            kept.append(reason)
            visited.append(entities)
            last_facts.add(last)
    return kept


def _describe(reason: Reason, table: FactTable, graph: Graph) -> dict[str, Any]:
    """Turns a path into a value of `PATH`."""
    facts = np.array(
        [
            (edge.head, edge.relation, edge.tail)
            if edge.relation < graph.num_relations
            else (edge.tail, edge.relation - graph.num_relations, edge.head)
            for edge in reason.edges
        ]
    )
    columns = {
        **table.name(facts),
        "known_in": table.find_split(facts),
        "weight": [edge.weight for edge in reason.edges],
    }
    return {"weight": reason.weight, "facts": pa.table(columns).to_pylist()}
