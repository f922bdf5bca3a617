"""A curator's session in a finished workspace, from a question to an exported fact."""

import json
import re
import sys
from typing import Any

import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from workspace import ROOT, Workspace

from cli.__main__ import call
from cli.curate import find_decisions_file, hash_model, open_curator_model
from imf_core.base.artifacts import file_sha256, read_json, read_parquet
from imf_core.graph.graph import Graph, load_graph, with_decided
from imf_core.prepare.decisions import read_decisions
from imf_core.serve.app import create_app
from imf_core.serve.curation import Curator
from stages.paths import GRAPH, MODEL, PREDICTIONS

PAGE = ROOT / "docs/curate.md"
ROLES = ("head", "relation", "tail")


def labels_of(graph: Graph, facts: Any) -> set[tuple[str, ...]]:
    entities, relations = graph.entity_labels, graph.relation_labels
    return {(entities[h], relations[r], entities[t]) for h, r, t in facts.tolist()}


def test_a_session_from_question_to_exported_fact(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(copied.folder)
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, getattr(sys, stream))
    path = find_decisions_file()
    curator = Curator(path, read_parquet(PREDICTIONS), hash_model(), None)
    app = create_app(open_curator_model(), curator=curator)
    client = TestClient(app, base_url="http://127.0.0.1")

    # Two questions; one answer is accepted, one rejected. The queue loses a fact of train.
    asked = {"head": "earth", "relation": "is_a", "k": 5}
    answers = client.get("/api/tails", params=asked).json()["answers"]
    new = [each["entity"]["label"] for each in answers if each["known_in"] == "new"]
    accepted, rejected = (("earth", "is_a", tail) for tail in new[:2])
    queue = client.get("/api/queue", params={"k": 8}).json()["rows"]
    wrong = next(row for row in queue if row["kind"] == "train")
    doubted = tuple(wrong[role]["label"] for role in ROLES)
    for decision, fact in (
        ("rejected", accepted),
        ("accepted", accepted),  # a change of mind
        ("rejected", rejected),
        ("rejected", doubted),
    ):
        body = {"facts": [dict(zip(ROLES, fact, strict=True))], "decision": decision, "by": "Ada"}
        assert client.post("/api/decisions", json=body).status_code == 200
    assert len(read_decisions(path)) == 4
    assert {each.model for each in read_decisions(path)} == {
        file_sha256(MODEL / "model.safetensors")[:12]
    }

    # DVC reruns the graph, and neither the sources nor the images.
    status = json.loads(copied.dvc("status", "--json", "download", "prepare", "images").stdout)
    assert status.keys() == {"prepare"}
    images = file_sha256(GRAPH / "entities.parquet"), file_sha256(GRAPH / "image_sources.parquet")
    copied.stage("prepare")
    assert images == (
        file_sha256(GRAPH / "entities.parquet"),
        file_sha256(GRAPH / "image_sources.parquet"),
    )
    graph = with_decided(load_graph(GRAPH), GRAPH)
    train = labels_of(graph, graph.triples["train"])
    assert accepted in train
    assert not {rejected, doubted} & train
    assert labels_of(graph, graph.decided["rejected"]) == {rejected, doubted}
    summary = read_json(copied.folder / "results/data.json")
    assert summary["decisions"]["joined_train"] == 1
    assert [issue["kind"] for issue in summary["issues"]] == ["rejected_in_train"]

    # The model of the new graph does not propose the rejected facts, and marks them.
    for name in ("train", "predict"):
        copied.stage(name)
    predicted = pq.read_table(PREDICTIONS)
    proposed = set(zip(*(predicted[role].to_pylist() for role in ROLES), strict=True))
    assert not {accepted, rejected, doubted} & proposed
    call(["ask", "earth", "is_a", "--known"])
    printed = capsys.readouterr().out
    assert "People have rejected 1: " in printed
    assert " rejected " in printed

    # The accepted fact is exported.
    call(["export", "--accepted", "accepted.tsv"])
    call(["export", "--accepted", "accepted.nt", "--prefix", "https://example.org/"])
    header, row = (copied.folder / "accepted.tsv").read_text().splitlines()
    fields = dict(zip(header.split("\t"), row.split("\t"), strict=True))
    assert tuple(fields[role] for role in ROLES) == accepted
    assert fields["by"] == "Ada"
    statement = (copied.folder / "accepted.nt").read_text().splitlines()[0]
    assert statement == (
        f"<https://example.org/entity/earth> <https://example.org/relation/is_a> "
        f"<https://example.org/entity/{accepted[2]}> ."
    )


def test_decisions_are_made_and_undone_on_the_command_line(
    copied: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(copied.folder)
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, getattr(sys, stream))
    copied.run("git", "config", "user.name", "Grace Hopper")
    call(["queue", "-k", "5", "--out", "queue.parquet"])
    rows = pq.read_table("queue.parquet").to_pylist()
    assert len(rows) == 5
    assert "decided before: 0" in capsys.readouterr().out
    facts = [tuple(row[role] for role in ROLES) for row in rows]
    (copied.folder / "facts.tsv").write_text("".join("\t".join(fact) + "\n" for fact in facts[:2]))
    call(["decide", "unsure", "--file", "facts.tsv"])
    call(["decide", "reject", *facts[2], "--by", "Ada", "--note", "a book"])
    call(["decide", "withdraw", *facts[0]])
    printed = capsys.readouterr().out
    assert "\n  replaces Grace Hopper's decision `unsure` of " in printed
    call(["decide", "withdraw", *facts[0]])
    printed = capsys.readouterr().out
    assert "\n  no effect: the fact had no decision\n" in printed
    assert "The graph stays as it is." in printed
    found = read_decisions(find_decisions_file())
    assert [each.decision for each in found] == ["unsure", "unsure", "rejected", *["withdrawn"] * 2]
    assert [each.by for each in found] == [*["Grace Hopper"] * 2, "Ada", *["Grace Hopper"] * 2]
    call(["queue", "-k", "9999", "--out", "queue.parquet"])
    left = {
        tuple(row[role] for role in ROLES) for row in pq.read_table("queue.parquet").to_pylist()
    }
    assert left & set(facts) == {facts[0], *facts[3:]}

    before = (copied.folder / "decisions.jsonl").read_bytes()
    (copied.folder / "facts.tsv").write_text("earth\torbits\tmars\nearth\tis_a\tnobody\n")
    for words, message in (
        (["decide", "accept", "--file", "facts.tsv"], "fact 2: no entity has the label"),
        (["decide", "accept", "earth", "is_a", "nobody"], "no entity has the label"),
        (["decide", "maybe", *facts[0]], "DECISION must be one of accept, reject"),
        (["decide", "accept", "earth"], "give HEAD RELATION TAIL or --file FILE"),
        (["decide", "accept", *facts[0], "--note", "x" * 2_001], "note: "),
        (["serve", "--model", "m", "--curate"], "--curate reads the project"),
    ):
        with pytest.raises(SystemExit):
            call(words)
        assert message in capsys.readouterr().err
    assert (copied.folder / "decisions.jsonl").read_bytes() == before

    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    exec(code, {})
    assert read_decisions(find_decisions_file())[-1].fact == ("io", "orbits", "mars")
