"""The table of relations: what each is like and how well it is completed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imf_core.data.graph import BETWEEN_LABELS, Graph
from imf_core.errors import DataError
from imf_core.report.comparison import compare_by_relation
from imf_core.report.csv_table import read_csv
from imf_core.report.ranked import Ranked

MAX_ROWS = 250
MAX_REDUNDANT = 20

_COLUMNS = {
    "relation": str,
    "name": str,
    "train_facts": int,
    "cardinality": str,
    "symmetric": str,
    "inverse_of": str,
    "duplicate_of": str,
}


@dataclass(frozen=True)
class RelationRow:
    """One relation of test; figures are MRR, None where nothing was asked.

    Attributes:
        name: For people.
        cardinality: 1-1, 1-n, n-1 or n-n, as counted in train.
        train_facts: How many.
        questions: Of test, both directions.
        mrr: Of the full model.
        tail: Where the tail was asked for.
        head: Where the head was asked for.
        baseline: Of structure alone.
        gain: Of the full model over structure alone.
    """

    name: str
    cardinality: str
    train_facts: int
    questions: int
    mrr: float
    tail: float | None
    head: float | None
    baseline: float | None
    gain: float | None


def read_relations(path: Path, graph: Graph) -> list[dict[str, Any]]:
    """Reads what each relation is like; those of one name get their label added to it.

    Args:
        path: `results/data_relations.csv`.
        graph: The prepared graph.

    Returns:
        Rows in id order.

    Raises:
        DataError: If the file is missing, damaged or of another graph.
    """
    described = read_csv(path, _COLUMNS)
    if [row["relation"] for row in described] != graph.relation_labels:
        raise DataError(
            f"{path} has other relations than the graph; delete it and run `dvc repro` to make it "
            "again"
        )
    counts = Counter(row["name"] for row in described)
    for row in described:
        if counts[row["name"]] > 1:
            row["name"] = f"{row['name']} ({row['relation']})"
    return described


def make_relation_rows(
    described: Sequence[Mapping[str, Any]], full: Ranked, baseline: Ranked | None
) -> list[RelationRow]:
    """Returns a row per relation that test asks about, most questions first.

    Args:
        described: Of `results/data_relations.csv`, in id order.
        full: Ranks of the full model.
        baseline: Ranks of structure alone, of the same facts.
    """
    rows = [
        RelationRow(
            described[relation]["name"],
            described[relation]["cardinality"],
            described[relation]["train_facts"],
            both.queries,
            both.full,
            tail.full if tail.queries else None,
            head.full if head.queries else None,
            both.baseline,
            both.gain,
        )
        for relation, both, tail, head in compare_by_relation(full, baseline, len(described))
    ]
    return sorted(rows, key=lambda row: -row.questions)


def format_redundancy(described: Sequence[Mapping[str, Any]]) -> list[str]:
    """Says which relations are symmetric, inverse or duplicate, at most `MAX_REDUNDANT`.

    Args:
        described: Of `results/data_relations.csv`.
    """
    names = {row["relation"]: row["name"] for row in described}
    told = []
    for row in described:
        if row["symmetric"] == "yes":
            told.append(f"{row['name']} is symmetric")
        for key, words in (
            ("inverse_of", "is the inverse of"),
            ("duplicate_of", "says the same as"),
        ):
            others = [names.get(each, each) for each in row[key].split(BETWEEN_LABELS) if each]
            if others:
                told.append(f"{row['name']} {words} {', '.join(others)}")
    return told[:MAX_REDUNDANT]
