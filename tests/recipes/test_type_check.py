"""New facts are checked against types that the model never saw."""

from pathlib import Path

import pyarrow as pa
import pytest
from tiny_world import small_params, tiny_graph

from imf_core.base.errors import DataError
from recipes.type_check import facts_of_odd_type, reachable_shares, read_types


def test_facts_of_types_that_train_links_are_not_odd() -> None:
    graph = tiny_graph()
    types = dict.fromkeys(graph.entity_labels, "other")
    types |= dict.fromkeys(graph.entity_labels[:3], "continent")
    facts = pa.table({"head": ["e05", "e00"], "relation": ["in", "in"], "tail": ["e00", "e01"]})
    assert facts_of_odd_type(facts, graph, types) == [("e00", "in", "e01")]


def test_an_entity_without_a_type_is_named() -> None:
    types = dict.fromkeys(tiny_graph().entity_labels[1:], "other")
    with pytest.raises(DataError, match="1 entities have no type, among them 'e00'"):
        facts_of_odd_type(pa.table({}), tiny_graph(), types)


def test_a_line_without_a_type_is_named(tmp_path: Path) -> None:
    (tmp_path / "types.txt").write_text("e00\tcontinent\ne01\n")
    with pytest.raises(DataError, match="line 2: must be a label, a tab and a type"):
        read_types(tmp_path / "types.txt")


def test_the_reachable_share_is_given_for_valid_and_test() -> None:
    shares = reachable_shares(tiny_graph(), small_params().predict)
    assert set(shares) == {"valid", "test"}
    assert all(0.5 < share <= 1 for share in shares.values())
