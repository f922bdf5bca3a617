"""Files of questions and of facts, TSV or Parquet: questions are answered, facts are judged.

A line of the TSV is `head <tab> relation <tab> tail`, by labels or names; the Parquet file has
columns of these names. A question has `?`, or null in Parquet, as its missing part; all questions
of a file ask for entities, or all for relations, since their answers have other columns. Answers go
to a Parquet file, a batch at a time. A fact with an unknown name has no verdict; its status is the
error, which lists the nearest names.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imf_core.base.artifacts import atomic_path
from imf_core.base.errors import DataError, QuestionError
from imf_core.base.line_causes import explain_line
from imf_core.inference.answers import ASKED, Question, parse_question
from imf_core.inference.completer import Completer
from imf_core.inference.fact_table import ROLES
from imf_core.inference.names import Names, find_pairs
from imf_core.sources.folder import is_title
from imf_core.sources.formats import read_lines

QUESTIONS_AT_ONCE = 1024

JUDGED = "judged"
"""Status of a fact with a verdict."""


@dataclass(frozen=True)
class PlacedQuestion:
    """A question and its place in the file, `line 3` (from 1) or `row 2` (from 0)."""

    place: str
    question: Question

    @property
    def asks_relation(self) -> bool:
        """Whether it has head and tail, and no relation."""
        asked = self.question
        return asked.relation is None and asked.head is not None and asked.tail is not None

    @property
    def pair(self) -> tuple[str, str]:
        """Head and tail of a question that asks for the relation."""
        return str(self.question.head), str(self.question.tail)


def answer_file(
    completer: Completer, path: Path, output: Path, count: int, with_known: bool
) -> tuple[int, int]:
    """Answers all questions of a file.

    Args:
        completer: Who answers.
        path: `.parquet` in either case, or else TSV.
        output: Parquet with the columns of `Completer.answer`, or of `Completer.answer_relations`;
            `question` counts from 0.
        count: Answers to each, at most.
        with_known: Whether answers that train gives are among them.

    Returns:
        How many questions were answered, and how many answers written.

    Raises:
        QuestionError: If the file cannot be read or is empty, or a question cannot be answered;
            nothing is written then.
    """
    num_questions = num_answers = 0
    first: PlacedQuestion | None = None
    with atomic_path(output) as temporary:
        writer: pq.ParquetWriter | None = None
        try:
            for batch in _batches(read_questions(path)):
                first = first or batch[0]
                _check(completer, path, batch, first)
                table = _answer(completer, batch, count, with_known)
                rows = [row + num_questions for row in table["question"].to_pylist()]
                position = pa.array(rows, pa.int64())
                table = table.set_column(0, "question", position)
                writer = writer or pq.ParquetWriter(temporary, table.schema, compression="zstd")
                writer.write_table(table)
                num_questions += len(batch)
                num_answers += len(table)
        finally:
            if writer is not None:
                writer.close()
        if not num_questions:
            raise QuestionError(f"{path} holds no question")
    return num_questions, num_answers


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


def read_questions(path: Path) -> Iterator[PlacedQuestion]:
    """Reads the questions of a file one by one.

    Raises:
        QuestionError: If the file cannot be read, or a line does not have its three parts.
    """
    for place, (head, relation, tail) in read_rows(path):
        yield PlacedQuestion(place, parse_question(head, relation, tail))


def read_rows(path: Path) -> Iterator[tuple[str, Sequence[str | None]]]:
    """Reads head, relation and tail of each line or row, with its place.

    Args:
        path: `.parquet` in either case, or else TSV.

    Raises:
        QuestionError: If the file cannot be read, or a line does not have its three parts.
    """
    if path.exists() and not path.is_file():
        raise QuestionError(f"{path} is not a regular file; give a TSV or Parquet file")
    try:
        yield from _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_lines(path)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise QuestionError(f"{path} cannot be read ({error})") from error


def read_facts(path: Path, relations: Names) -> list[tuple[str, str, str]]:
    """Reads a file of facts by labels or names.

    Args:
        path: `.parquet` in either case, or else TSV.
        relations: Finds the graph's relations.

    Raises:
        QuestionError: If the file cannot be read or has no facts, or one lacks a part or has an
            unknown relation.
    """
    facts = []
    for place, (head, relation, tail) in read_rows(path):
        if ASKED in {head, relation, tail}:
            raise QuestionError(
                f"{path}, {place}: a fact has no missing part, but a question may have a ?"
            )
        if not (head and relation and tail):
            raise QuestionError(f"{path}, {place}: a fact needs head, relation and tail")
        try:
            relations.find(relation)
        except QuestionError as error:
            raise QuestionError(f"{path}, {place}: {error}") from error
        facts.append((head, relation, tail))
    if not facts:
        raise QuestionError(f"{path} has no facts; give lines of head, relation and tail")
    return facts


def _batches(questions: Iterator[PlacedQuestion]) -> Iterator[list[PlacedQuestion]]:
    return iter(lambda: list(islice(questions, QUESTIONS_AT_ONCE)), [])


def _check(
    completer: Completer, path: Path, batch: list[PlacedQuestion], first: PlacedQuestion
) -> None:
    """Names the first question of a batch that cannot be answered."""
    for each in batch:
        try:
            if each.asks_relation:
                find_pairs([each.pair], completer.entities)
            else:
                completer.find_query(each.question)
        except QuestionError as error:
            raise QuestionError(f"{path}, {each.place}: {error}") from error
        if each.asks_relation != first.asks_relation:
            raise QuestionError(
                f"{path}, {each.place}: this question asks for {_name_asked(each)}, that of "
                f"{first.place} for {_name_asked(first)}; put them into two files, since their "
                "answers have other columns"
            )


def _name_asked(placed: PlacedQuestion) -> str:
    return "a relation" if placed.asks_relation else "an entity"


def _answer(
    completer: Completer, batch: list[PlacedQuestion], count: int, with_known: bool
) -> pa.Table:
    if batch[0].asks_relation:
        found = completer.answer_relations([each.pair for each in batch], count, with_known)
        return found.filter(pc.field("affinity") > 0)
    return completer.answer([each.question for each in batch], count, with_known)


def _find_status(completer: Completer, row: Sequence[str | None]) -> str:
    for role, word in zip(ROLES, row, strict=True):
        if word in {None, ASKED}:
            return f"the {role} is missing; to ask for it, run `imf ask --queries FILE`"
        try:
            (completer.relations if role == "relation" else completer.entities).find(str(word))
        except QuestionError as error:
            return str(error)
    return JUDGED


def _read_lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    try:
        lines, _ = read_lines(path)
    except DataError as error:
        raise QuestionError(str(error)) from error
    for number, line in lines:
        parts = line.split("\t")
        if len(parts) != len(ROLES) or not all(part.strip() for part in parts):
            raise QuestionError(
                f"{path}, line {number}: head, relation and tail must be separated by tabs, "
                f"{explain_line(line, ROLES)}"
            )
        if number == 1 and ASKED not in parts and all(map(is_title, parts)):
            raise QuestionError(f"{path}, line 1: these are the titles of columns; delete the line")
        yield f"line {number}", parts


def _read_parquet(path: Path) -> Iterator[tuple[str, tuple[str | None, ...]]]:
    with pq.ParquetFile(path) as file:
        columns = file.schema_arrow.names
        missing = sorted(set(ROLES) - set(columns))
        if missing:
            raise QuestionError(
                f"{path} has no column {', '.join(missing)} (its columns are "
                f"{', '.join(columns)}); name the columns {', '.join(ROLES)}"
            )
        for role in ROLES:
            if columns.count(role) > 1:
                raise QuestionError(
                    f"{path} has {columns.count(role)} columns {role}; keep one of them"
                )
            kind = file.schema_arrow.field(role).type
            if not _holds_text(kind):
                raise QuestionError(f"{path}: column {role} must hold labels or names, not {kind}")
        number = 0
        for batch in file.iter_batches(QUESTIONS_AT_ONCE, columns=list(ROLES)):
            for row in zip(*(batch[role].to_pylist() for role in ROLES), strict=True):
                yield f"row {number}", row
                number += 1


def _holds_text(kind: pa.DataType) -> bool:
    """Returns whether a column has text, categories of text, or only nulls."""
    if pa.types.is_dictionary(kind):
        return _holds_text(kind.value_type)
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_null(kind)
    )
