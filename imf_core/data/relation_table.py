"""Describes every relation in a table.

In: the prepared graph and its redundant relations. Out: one row per relation in id order.
"""

from typing import Any

import numpy as np

from imf_core.data.cardinality import Cardinality
from imf_core.data.graph import BETWEEN_LABELS, SPLITS, Graph
from imf_core.data.redundancy import Redundancy, RelationPairs


def relation_rows(
    graph: Graph, redundancy: Redundancy, cardinality: Cardinality
) -> list[dict[str, Any]]:
    """Returns label, name, facts per split, cardinality and redundancy of every relation.

    Args:
        graph: The prepared graph.
        redundancy: Its redundant relations.
        cardinality: Cardinality of its train facts.
    """
    facts = {
        split: np.bincount(graph.triples[split][:, 1].numpy(), minlength=graph.num_relations)
        for split in SPLITS
    }
    inverse_of = _partner_labels(redundancy.inverse, graph.relation_labels)
    duplicate_of = _partner_labels(redundancy.duplicate, graph.relation_labels)
    return [
        {
            "relation": label,
            "name": graph.relation_names[relation],
            **{f"{split}_facts": int(facts[split][relation]) for split in SPLITS},
            "tails_per_head": float(cardinality.tails_per_head[relation]),
            "heads_per_tail": float(cardinality.heads_per_tail[relation]),
            "cardinality": cardinality.classes[relation],
            "symmetric": "yes" if redundancy.is_symmetric[relation] else "no",
            "inverse_of": inverse_of[relation],
            "duplicate_of": duplicate_of[relation],
        }
        for relation, label in enumerate(graph.relation_labels)
    ]


def _partner_labels(pairs: RelationPairs, labels: list[str]) -> list[str]:
    """Returns the labels of each relation's partners, "" if there are none."""
    partners: list[list[str]] = [[] for _ in labels]
    for one, other in pairs.tolist():
        partners[one].append(labels[other])
        partners[other].append(labels[one])
    return [BETWEEN_LABELS.join(found) for found in partners]
