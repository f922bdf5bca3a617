"""The table of relations: what each is like and how well it is completed."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imf_core.data.relation_table import BETWEEN_LABELS
from imf_core.errors import DataError
from imf_core.report.comparison import compare_by_relation
from imf_core.report.ranked import Ranked

MAX_ROWS = 250
MAX_REDUNDANT = 20


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


def read_csv(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    """Reads a table with a line of titles.

    Raises:
        DataError: If there is no such file.
    """
    if not path.exists():
        raise DataError(f"{path} is missing; run `dvc repro`")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def make_relation_rows(
    described: Sequence[Mapping[str, str]], full: Ranked, baseline: Ranked | None
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
            int(described[relation]["train_facts"]),
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


def word_redundancy(described: Sequence[Mapping[str, str]]) -> list[str]:
    """Says which relations train gives away by another one, at most `MAX_REDUNDANT`.

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
