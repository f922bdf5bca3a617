"""A file of questions is answered in batches."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tiny_world import tiny_graph, tiny_tables

from imf_core.base.errors import QuestionError
from imf_core.inference import question_file
from imf_core.inference.answers import Question
from imf_core.inference.completer import Completer
from imf_core.inference.question_file import answer_file, read_questions
from imf_core.model.decision import Calibration
from imf_core.model.imf import IMF
from imf_core.model.saved import SavedModel

LINES = "E05\tspeaks\t?\n?\tnext to\te07\ne06\tin\t?\n"
ROWS = {"head": ["E05", None, "e06"], "relation": ["speaks", "next to", "in"]}


@pytest.fixture
def completer(trained: IMF) -> Completer:
    calibration = Calibration(slope=1.0, offset=0.0, shown=10, answers=9, true_answers=3)
    config = SavedModel.model_construct()  # not used without unseen entities
    return Completer(tiny_graph(), tiny_tables(), trained, config, calibration)


def test_lines_and_parquet_rows_are_answered_alike(
    completer: Completer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.tsv").write_text(LINES)
    pq.write_table(pa.table({**ROWS, "tail": ["?", "e07", None]}), tmp_path / "two.parquet")
    found = []
    for name in ("one.tsv", "two.parquet"):
        output = tmp_path / f"answers of {name}.parquet"
        assert answer_file(completer, tmp_path / name, output, 4, False) == (3, 12)
        found.append(pq.read_table(output))
    assert found[0].equals(found[1])
    assert found[0]["question"].to_pylist() == [0] * 4 + [1] * 4 + [2] * 4
    monkeypatch.setattr(question_file, "QUESTIONS_AT_ONCE", 2)
    answer_file(completer, tmp_path / "one.tsv", tmp_path / "in batches", 4, False)
    in_batches = pq.read_table(tmp_path / "in batches")
    for column in ("question", "head", "tail"):
        assert in_batches[column].to_pylist() == found[0][column].to_pylist()


def test_questions_for_relations_are_answered_with_the_columns_of_relations(
    completer: Completer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [("E05", "e19"), ("e06", "e02"), ("e07", "e08")]
    (tmp_path / "one.tsv").write_text("".join(f"{head}\t?\t{tail}\n" for head, tail in pairs))
    heads, tails = zip(*pairs, strict=True)
    columns = {"head": heads, "relation": [None, "?", None], "tail": tails}
    pq.write_table(
        pa.table({name: list(each) for name, each in columns.items()}), tmp_path / "q.parquet"
    )
    expected = completer.answer_relations(pairs, 2).filter(pc.field("affinity") > 0)
    monkeypatch.setattr(question_file, "QUESTIONS_AT_ONCE", 2)
    for name in ("one.tsv", "q.parquet"):
        assert answer_file(completer, tmp_path / name, tmp_path / "out", 2, False)[0] == 3
        found = pq.read_table(tmp_path / "out")
        assert found.column_names == expected.column_names
        for column in ("question", "relation", "asked_for"):
            assert found[column].to_pylist() == expected[column].to_pylist()


NO_TAIL = pa.array([None, None, None])
LABELS, RELATIONS = ["E05", "e06", "e07"], ["speaks", "in", "next to"]


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())],
    ids=str,
)
@pytest.mark.parametrize("name", ["q.parquet", "Q.PARQUET"])
def test_text_of_every_arrow_type_and_a_column_of_nulls_are_read(
    name: str, kind: pa.DataType, tmp_path: Path
) -> None:
    columns = {"head": LABELS, "relation": RELATIONS}
    table = pa.table({key: pa.array(each).cast(kind) for key, each in columns.items()})
    pq.write_table(table.append_column("tail", NO_TAIL), tmp_path / name)
    read = [each.question for each in read_questions(tmp_path / name)]
    assert read == [Question(*row, None) for row in zip(LABELS, RELATIONS, strict=True)]


def test_a_file_of_two_columns_of_one_name_is_refused(tmp_path: Path) -> None:
    table = pa.table(
        [LABELS, RELATIONS, NO_TAIL, LABELS], names=["head", "relation", "tail", "head"]
    )
    pq.write_table(table, tmp_path / "q.parquet")
    with pytest.raises(QuestionError, match=r"q\.parquet has 2 columns head; keep one"):
        list(read_questions(tmp_path / "q.parquet"))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(40) + b"PAR1"])
def test_a_broken_parquet_file_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "q.parquet").write_bytes(content)
    with pytest.raises(QuestionError, match=r"q\.parquet cannot be read"):
        list(read_questions(tmp_path / "q.parquet"))


def test_a_file_of_answers_says_where_a_relation_is_used_up(
    completer: Completer, tmp_path: Path
) -> None:
    (tmp_path / "one.tsv").write_text("e05\tin\t?\n")  # train gives its one continent
    answer_file(completer, tmp_path / "one.tsv", tmp_path / "out.parquet", 4, False)
    for row in pq.read_table(tmp_path / "out.parquet").to_pylist():
        assert row["used_up"] in {"head", "both"}
        assert row["probability"] <= row["further"] < 0.5


def test_a_batch_without_answers_leaves_the_others_as_they_are(
    completer: Completer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.tsv").write_text(LINES)
    answer = completer.answer

    def answer_all_but_the_first(
        questions: Sequence[Question], count: int, with_known: bool
    ) -> pa.Table:
        found = answer(questions, count, with_known)
        return found.slice(0, 0) if questions[0].head == "E05" else found

    monkeypatch.setattr(question_file, "QUESTIONS_AT_ONCE", 1)
    monkeypatch.setattr(completer, "answer", answer_all_but_the_first)
    assert answer_file(completer, tmp_path / "one.tsv", tmp_path / "out", 4, False) == (3, 8)
    assert pq.read_table(tmp_path / "out")["question"].to_pylist() == [1] * 4 + [2] * 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "E05\tspeaks\t?\ne05 speaks ?\n",
            "line 2: head, relation and tail .* seem to be separated by spaces",
        ),
        ("E05\tspeaks\t?\nNobody\tspeaks\t?\n", "line 2: no entity .* 'Nobody'"),
        ("E05\t?\t?\n", r"line 1: .* exactly one of them must be '\?', got E05 - \? - \?"),
        ("E05\t?\te99\n", "line 1: no entity .* 'e99'"),
        (
            "E05\t?\te06\nE05\tspeaks\t?\n",
            "line 2: this question asks for an entity, that of line 1 for a relation; put them",
        ),
        ("E05\tspeaks\te06\n", r"line 1: .* exactly one of them must be '\?'"),
        ("head\trelation\ttail\nE05\tspeaks\t?\n", "line 1: these are the titles of columns"),
        ("E05\tspeaks\t?\n\u201ce05\u201d\tspeaks\t?\n", r"line 2: .* the quotes out \(e05\)"),
        ("", "holds no question"),
    ],
)
def test_a_file_that_cannot_be_answered_is_refused_and_nothing_is_written(
    content: str, message: str, completer: Completer, tmp_path: Path
) -> None:
    path, output = tmp_path / "questions.tsv", tmp_path / "answers.parquet"
    path.write_text(content)
    with pytest.raises(QuestionError, match=message):
        answer_file(completer, path, output, 3, False)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.tsv", "cannot be read"), ("none.parquet", "cannot be read"), ("odd.parquet", "tail")],
)
def test_a_file_that_cannot_be_read_is_named(
    name: str, message: str, completer: Completer, tmp_path: Path
) -> None:
    pq.write_table(pa.table(ROWS), tmp_path / "odd.parquet")
    with pytest.raises(QuestionError, match=rf"{name} .*{message}"):
        answer_file(completer, tmp_path / name, tmp_path / "out.parquet", 3, False)
