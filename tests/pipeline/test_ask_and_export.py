"""The commands that ask the trained model of a finished workspace, and export from it."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from workspace import Workspace

from cli.__main__ import call

Command = Callable[..., list[str]]


@pytest.fixture
def command(
    finished: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Returns a function that runs a command in the workspace and returns what it prints."""
    monkeypatch.chdir(finished.folder)
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, getattr(sys, stream))

    def run(*words: str) -> list[str]:
        call(words)
        return capsys.readouterr().out.splitlines()

    return run


def test_a_question_is_answered_by_a_table(command: Command) -> None:
    lines = command("ask", "Earth", "orbits", "-k", "3", "--known")
    assert "Earth - orbits - ?" in lines
    assert len([line for line in lines if "[" in line]) == 3


def test_the_head_is_asked_for_by_a_question_mark(command: Command) -> None:
    lines = command("ask", "?", "orbits", "jupiter", "-k", "2")
    assert "? - orbits - jupiter" in lines
    assert any(line.startswith("Train gives ") for line in lines)


def test_the_relation_is_asked_for_by_a_question_mark(command: Command) -> None:
    lines = command("ask", "Io", "?", "Jupiter", "-k", "2")
    assert lines[1:4] == ["Io - ? - Jupiter", "", "Train gives 1: orbits"]
    assert (
        "  no other relation is likely: similar entities have none that could join these two"
        in lines
    )
    every = command("ask", "Io", "?", "Jupiter", "--known", "-k", "1")
    assert any("orbits" in line and " affinity " in line for line in every), every[-3:]


def test_the_relation_of_a_new_entity_is_asked_for(command: Command) -> None:
    given = ("--name", "Newmoon", "--description", "A small moon of rock and ice.")
    lines = command("ask", *given, "Newmoon", "?", "Jupiter", "-k", "3")
    assert "Newmoon - ? - Jupiter" in lines
    assert not any(line.startswith("Train gives") for line in lines)


def test_a_file_of_questions_for_relations_is_answered(command: Command, tmp_path: Path) -> None:
    (tmp_path / "questions.tsv").write_text("earth\t?\tsun\nIo\t?\tjupiter\n")
    files = ("--queries", str(tmp_path / "questions.tsv"), "--out", str(tmp_path / "out.parquet"))
    assert command("ask", *files, "--known", "-k", "1")[0].startswith(
        "questions: 2, answers: 2, in"
    )
    found = pq.read_table(tmp_path / "out.parquet")
    assert found["asked_for"].to_pylist() == ["relation"] * 2
    assert found["known_in"].to_pylist() == ["train"] * 2


def test_the_command_says_where_a_relation_is_used_up(command: Command) -> None:
    lines = command("ask", "Earth", "orbits", "-k", "3")
    assert "The relation orbits is used up for Earth." in lines


def test_neighbours_are_listed_by_head(command: Command) -> None:
    lines = command("ask", "Earth", "--neighbours", "-k", "2")
    assert [line.split()[0] for line in lines] == ["structural", "visual", "textual", "fused"]


def test_a_new_entity_is_asked_about_by_text_and_image(command: Command) -> None:
    image = "examples/solar-system/images/mars.png"
    given = ("--description", "A small moon of rock and ice.", "--image", image)
    lines = command("ask", *given, "orbits", "-k", "2")
    assert "the new entity - orbits - ?" in lines
    assert "structural" not in "".join(lines)


def test_a_new_entity_is_asked_about_by_its_facts(command: Command, tmp_path: Path) -> None:
    facts = tmp_path / "facts.tsv"
    facts.write_text("Newmoon\torbits\tJupiter\nNewmoon\tis_a\tregular_moon\n")
    lines = command("ask", "--facts", str(facts), "Newmoon", "made_of", "-k", "3")
    assert lines[0] == "new facts: 2, not in the graph: 1: Newmoon"
    assert "Newmoon - made_of - ?" in lines
    assert len([line for line in lines if "[paths 100%]" in line]) == 3
    lines = command("ask", "--facts", str(facts), "?", "orbits", "Jupiter", "--known", "-k", "99")
    assert any("Newmoon" in line for line in lines)
    assert any(line.startswith("Train and the new facts give ") for line in lines)


def test_new_names_that_look_like_known_ones_are_pointed_out(
    command: Command, tmp_path: Path
) -> None:
    facts = tmp_path / "facts.tsv"
    facts.write_text("Newmoon\torbits\tJupitr\nNewmoon\torbits\tJupitr\nEarth\torbits\tSun\n")
    lines = command("ask", "--facts", str(facts), "Newmoon", "made_of", "-k", "3")
    assert (
        lines[0] == "new facts: 1 (and 2 known or repeated), not in the graph: 2: Newmoon, Jupitr"
    )
    assert "  Jupitr is taken as a new entity; the graph has Jupiter" in lines


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("Newmoon\torbits\n", "line 1"),
        ("Newmoon\torbits\t?\n", "line 1: a fact has no missing part"),
        ("", "has no facts"),
        ("Newmoon\tcircles\tJupiter\n", "line 1: no relation has the label or name 'circles'"),
        ("Newmoon\torbits\tJupiter\nnewmoon\torbits\tSaturn\n", "write the name in one way"),
    ],
)
def test_facts_that_cannot_be_read_are_refused(
    lines: str, message: str, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = tmp_path / "facts.tsv"
    facts.write_text(lines)
    with pytest.raises(SystemExit):
        command("ask", "--facts", str(facts), "Newmoon", "made_of")
    assert message in capsys.readouterr().err


def test_a_file_of_questions_is_answered(
    command: Command, finished: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "questions.tsv").write_text("earth\torbits\t?\n?\torbits\tjupiter\n")
    arguments = (
        "--queries",
        str(tmp_path / "questions.tsv"),
        "--out",
        str(tmp_path / "out.parquet"),
    )
    assert command("ask", *arguments, "-k", "2")[0].startswith("questions: 2, answers: 4, in")
    predicted = pq.read_schema(finished.folder / "results/predictions.parquet").names
    assert predicted.pop() == "reasons"
    assert pq.read_schema(tmp_path / "out.parquet").names == ["question", *predicted]


def test_a_file_of_facts_is_judged(command: Command, tmp_path: Path) -> None:
    path, output = tmp_path / "facts.tsv", tmp_path / "verdicts.parquet"
    path.write_text("earth\torbits\tsun\nErth\torbits\tSun\nIo\torbits\tSun\n")
    lines = command("check", str(path), "--out", str(output))
    assert any(line.startswith("none     line 2: no entity has") for line in lines)
    assert lines[-2].startswith("facts: 3, true: ")
    assert lines[-2].endswith(", without verdict: 1")
    table = pq.read_table(output)
    assert table["status"].to_pylist()[::2] == ["judged"] * 2
    for row in table.to_pylist()[::2]:
        assert row["is_true"] == (row["probability"] >= row["threshold"])


def test_suspicious_facts_of_train_are_listed(command: Command, tmp_path: Path) -> None:
    lines = command("check", "--train", "-k", "3", "--out", str(tmp_path / "facts.parquet"))
    found = pq.read_table(tmp_path / "facts.parquet").to_pylist()
    assert len(found) == 3
    for line, row in zip(lines[3:6], found, strict=True):
        assert line.endswith(f"{row['head_name']} - {row['relation_name']} - {row['tail_name']}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("Erth", "orbits"), r"error: no entity .* 'Erth'; nearest are .*'earth' \(Earth\)"),
        (("Earth",), r'error: give HEAD RELATION, "\?" RELATION TAIL or HEAD "\?" TAIL, got Earth'),
        (("Earth", "?", "Sol"), "error: no entity has the label or name 'Sol'; nearest"),
        (
            ("--description", "A moon.", "Earth", "?", "Sun"),
            r'error: head or tail must be the new entity, --name NAME, in HEAD "\?" TAIL',
        ),
        (("Earth", "--description", "A moon."), "error: no relation has the label or name 'Earth'"),
    ],
)
def test_a_question_that_cannot_be_answered_ends_in_one_line(
    words: tuple[str, ...], message: str, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"[12]"):  # 2: the words are no question
        command("ask", *words)
    assert re.match(message, capsys.readouterr().err)


def test_the_last_run_is_shown(command: Command) -> None:
    lines = command("show")
    assert any(line.startswith("full model ") for line in lines)
    assert lines[-1].startswith("Report: results/report.html")


def test_new_facts_and_embeddings_are_exported(command: Command, tmp_path: Path) -> None:
    for name, more in {"new.tsv": (), "new.nt": ("--prefix", "https://a.org/")}.items():
        command("export", "--facts", str(tmp_path / name), "--above", "0", *more)
    tsv, triples = ((tmp_path / name).read_text().splitlines() for name in ("new.tsv", "new.nt"))
    assert len([line for line in triples if "rdf-schema#label" not in line]) == len(tsv) - 1 > 0
    command("export", "--embeddings", str(tmp_path / "embeddings"))
    assert len(list((tmp_path / "embeddings").glob("*/fused.parquet"))) == 2


def test_the_calibration_is_measured_on_test(finished: Workspace) -> None:
    rows = (finished.folder / "results/evaluation/reliability.csv").read_text().splitlines()
    assert rows[0] == "probability,from,to,answers,mean_probability,share_true"
    assert {row.split(",")[0] for row in rows[1:]} == {"as scored", "calibrated"}
