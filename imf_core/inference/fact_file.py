"""Judges a file of facts: a TSV or Parquet file in, a table of verdicts out.

A line of the TSV is `head <tab> relation <tab> tail`, by labels or names; the Parquet file has
columns of these names. A fact with an unknown name has no verdict; its status is the error, which
lists the nearest names.
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from imf_core.base.errors import QuestionError
from imf_core.inference.answers import ASKED
from imf_core.inference.completer import Completer
from imf_core.inference.question_file import ROLES, read_rows

JUDGED = "judged"
"""Status of a fact with a verdict."""


def judge_file(completer: Completer, path: Path) -> pa.Table:
    """Judges all facts of a file.

    Args:
        completer: The model that judges.
        path: `.parquet` in either case, or else TSV.

    Returns:
        One row per fact, in the order of the file: `place` (`line 3`, from 1, or `row 2`, from 0),
        the columns of `Completer.score`, and `status`: `judged`, or an error. A fact with an error
        has the words of the file as head, relation and tail, and nulls otherwise.

    Raises:
        QuestionError: If the file cannot be read, a line does not have its three parts, or no fact
            can be judged.
    """
    rows = list(read_rows(path))
    statuses = [_find_status(completer, row) for _, row in rows]
    triples: list[tuple[str, str, str]] = []
    positions = []
    for (_, (head, relation, tail)), status in zip(rows, statuses, strict=True):
        positions.append(len(triples) if status == JUDGED else None)
        if status == JUDGED:
            triples.append((str(head), str(relation), str(tail)))
    if not triples:
        first = f"; {rows[0][0]}: {statuses[0]}" if rows else ""
        raise QuestionError(f"{path} holds no fact that can be judged{first}")
    table = completer.score(triples).take(pa.array(positions, pa.int64()))
    for number, role in enumerate(ROLES):
        words = pa.array([row[number] for _, row in rows], pa.string())
        table = table.set_column(
            table.column_names.index(role), role, pc.coalesce(table[role], words)
        )
    table = table.add_column(0, "place", pa.array([place for place, _ in rows], pa.string()))
    return table.append_column("status", pa.array(statuses, pa.string()))


def _find_status(completer: Completer, row: Sequence[str | None]) -> str:
    for role, word in zip(ROLES, row, strict=True):
        if word in {None, ASKED}:
            return f"the {role} is missing; to ask for it, run `imf ask --queries FILE`"
        try:
            (completer.relations if role == "relation" else completer.entities).find(str(word))
        except QuestionError as error:
            return str(error)
    return JUDGED
