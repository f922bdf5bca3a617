"""The table of relations."""

import numpy as np
from tiny_world import tiny_graph

from imf_core.graph.labels import SPLITS
from imf_core.prepare.facts import find_cardinality
from imf_core.prepare.redundancy import Redundancy
from imf_core.prepare.summary import relation_rows


def test_a_row_says_what_its_relation_is_like() -> None:
    graph = tiny_graph()
    redundancy = Redundancy(
        is_symmetric=np.array([False, True, False]),
        inverse=np.array([[0, 1], [0, 2]]),
        duplicate=np.array([[1, 2]]),
    )
    train = graph.facts["train"]
    cardinality = find_cardinality(train, graph.num_entities, graph.num_relations)
    rows = relation_rows(graph, graph.facts, redundancy, cardinality)
    assert [row["relation"] for row in rows] == graph.relation_labels
    assert rows[1]["name"] == "next to"
    assert [row["cardinality"] for row in rows] == ["n-1", "1-1", "n-1"]
    assert rows[0]["heads_per_tail"] > 1.5
    assert [row["symmetric"] for row in rows] == ["no", "yes", "no"]
    assert [row["inverse_of"] for row in rows] == ["next_to | speaks", "in", "in"]
    assert [row["duplicate_of"] for row in rows] == ["", "speaks", "next_to"]
    for split in SPLITS:
        assert sum(row[f"{split}_facts"] for row in rows) == len(graph.triples[split])
