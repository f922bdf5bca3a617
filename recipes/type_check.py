"""Checks the new facts of the last run against entity types that the model never saw.

    python -m recipes.type_check FOLDER/entity2type.txt

Each line of the file has a label and a type. Prints the number of the most probable new facts with
a (type of head, relation, type of tail) that no train fact has, lists them, and prints the share of
valid and test facts that `predict` can reach: it asks for their head or tail and accepts both
entities.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from imf_core.base.artifacts import read_parquet
from imf_core.base.config import PredictParams
from imf_core.base.errors import DataError
from imf_core.base.params_file import load_params
from imf_core.graph.graph import Graph, load_graph
from imf_core.graph.known_tails import known_tails_in
from imf_core.inference.fact_table import select_new
from imf_core.inference.plausibility import FurtherAnswers, estimate_affinities
from imf_core.inference.predict import Acceptance, plausible_queries
from recipes.environment import make_table
from stages.paths import GRAPH, PARAMS, PREDICTIONS
from stages.runner import run_stage

Fact = tuple[str, str, str]

BATCH = 512


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("types", type=Path, help="TSV of labels and types")
    parser.add_argument("--first", type=int, default=100, help="number of new facts examined (100)")
    chosen = parser.parse_args()
    types, graph = read_types(chosen.types), load_graph(GRAPH)
    new = select_new(read_parquet(PREDICTIONS), 0).slice(0, chosen.first)
    odd = facts_of_odd_type(new, graph, types)
    rows = [[f"of {len(new)} new facts, those of a type that train lacks", str(len(odd))]]
    for split, share in reachable_shares(graph, load_params(PARAMS).predict).items():
        rows.append([f"facts of {split} that predict can reach", f"{share:.1%}"])
    print("\n".join(make_table(["", "predict"], rows)))
    for fact in odd:
        print(" - ".join(fact))


def read_types(path: Path) -> dict[str, str]:
    """Reads the type of each label.

    Raises:
        DataError: If the file is missing, or a line does not have two columns.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error})") from error
    types = {}
    for number, line in enumerate(lines, start=1):
        label, tab, kind = line.partition("\t")
        if not tab:
            raise DataError(f"{path}, line {number}: must be a label, a tab and a type")
        types[label] = kind
    return types


def facts_of_odd_type(facts: pa.Table, graph: Graph, types: Mapping[str, str]) -> list[Fact]:
    """Returns the facts with a (type of head, relation, type of tail) that no train fact has.

    Raises:
        DataError: If an entity of the graph has no type.
    """
    if missing := set(graph.entity_labels) - set(types):
        raise DataError(f"{len(missing)} entities have no type, among them {min(missing)!r}")

    def type_of(fact: Fact) -> Fact:
        return types[fact[0]], fact[1], types[fact[2]]

    labels, relations = graph.entity_labels, graph.relation_labels
    usual = {
        type_of((labels[head], relations[relation], labels[tail]))
        for head, relation, tail in graph.triples["train"].tolist()
    }
    columns = (facts[role].to_pylist() for role in ("head", "relation", "tail"))
    return [fact for fact in zip(*columns, strict=True) if type_of(fact) not in usual]


def reachable_shares(graph: Graph, params: PredictParams) -> dict[str, float]:
    """Returns the share of the facts of valid and test that `predict` can reach, by split.

    Args:
        graph: The prepared graph.
        params: Section `predict` of the parameters.
    """
    train, least = known_tails_in(graph, ["train"]), params.min_relation_affinity
    affinities = estimate_affinities(train, graph.num_relations)
    asked = plausible_queries(train, graph.num_relations, least, params.max_queries, affinities)
    keys = asked[:, 1] * graph.num_entities + asked[:, 0]
    acceptance = Acceptance(graph, affinities, FurtherAnswers(graph), least)
    shares = {}
    for split in ("valid", "test"):
        reached: list[np.ndarray] = []
        for facts in graph.triples[split].split(BATCH):
            head, relation, tail = facts.unbind(dim=1)
            queries = torch.stack([head, relation], dim=1)
            inverse = torch.stack([tail, relation + graph.num_relations], dim=1)
            is_asked = torch.zeros(len(facts), dtype=torch.bool)
            is_accepted = torch.ones(len(facts), dtype=torch.bool)
            for each, answer in ((queries, tail), (inverse, head)):
                is_asked |= torch.isin(each[:, 1] * graph.num_entities + each[:, 0], keys)
                is_accepted &= acceptance.accepted(each)[torch.arange(len(facts)), answer]
            reached.append((is_asked & is_accepted).numpy())
        shares[split] = float(np.concatenate(reached).mean())
    return shares


if __name__ == "__main__":
    run_stage(main)
