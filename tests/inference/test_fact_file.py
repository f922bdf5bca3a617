"""A file of facts is judged line by line."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_world import tiny_graph, tiny_tables

from imf_core.base.errors import QuestionError
from imf_core.inference.completer import Completer
from imf_core.inference.question_file import JUDGED, judge_file
from imf_core.model.decision import Calibration
from imf_core.model.imf import IMF
from imf_core.model.saved import SavedModel

LINES = "E05\tspeaks\te19\nNobody\tspeaks\te19\ne06\tnext to\te07\ne06\tnext\te07\n?\tin\te00\n"


@pytest.fixture
def completer(trained: IMF) -> Completer:
    calibration = Calibration(slope=1.0, offset=0.0, shown=10, answers=9, true_answers=3)
    config = SavedModel.model_construct()  # not used without unseen entities
    return Completer(tiny_graph(), tiny_tables(), trained, config, calibration)


def test_facts_with_known_names_are_judged_and_the_others_say_why_not(
    completer: Completer, tmp_path: Path
) -> None:
    path = tmp_path / "facts.tsv"
    path.write_text(LINES)
    found = judge_file(completer, path)
    assert found["place"].to_pylist() == [f"line {number}" for number in range(1, 6)]
    scored = completer.score([("e05", "speaks", "e19"), ("e06", "next_to", "e07")])
    judged = found.take([0, 2])
    assert judged.select(scored.column_names).equals(scored)
    assert judged["status"].to_pylist() == [JUDGED] * 2
    unknown = found.take([1, 3, 4])
    assert unknown["head"].to_pylist() == ["Nobody", "e06", "?"]
    assert unknown["is_true"].null_count == unknown["head_name"].null_count == 3
    for status, words in zip(
        unknown["status"].to_pylist(),
        ("no entity has the label or name 'Nobody'", "nearest are 'next_to'", "head is missing"),
        strict=True,
    ):
        assert words in status


def test_a_parquet_file_is_judged_like_lines(completer: Completer, tmp_path: Path) -> None:
    (tmp_path / "facts.tsv").write_text(LINES)
    rows = [line.split("\t") for line in LINES.splitlines()]
    rows[4][0] = None  # type: ignore[call-overload]
    columns = dict(zip(("head", "relation", "tail"), zip(*rows, strict=True), strict=True))
    pq.write_table(pa.table(columns), tmp_path / "facts.parquet")
    one, two = (judge_file(completer, tmp_path / f"facts.{kind}") for kind in ("tsv", "parquet"))
    assert two["place"].to_pylist()[:2] == ["row 0", "row 1"]
    for name in ("relation", "tail", "probability", "is_true", "known_in", "status"):
        assert one[name].equals(two[name])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no fact that can be judged"),
        ("Nobody\tin\te00\n", "can be judged; line 1: no entity .* 'Nobody'"),
        ("e05 speaks e19\n", "line 1: head, relation and tail must be separated by tabs"),
        ("head\trelation\ttail\ne05\tin\te00\n", "line 1: these are the titles of columns"),
    ],
)
def test_a_file_without_a_fact_is_refused(
    content: str, message: str, completer: Completer, tmp_path: Path
) -> None:
    path = tmp_path / "facts.tsv"
    path.write_text(content)
    with pytest.raises(QuestionError, match=message):
        judge_file(completer, path)
