"""Decisions through the API: stored, listed, undone, and refused where they must be."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from served_world import HOST, HOSTILE, HOSTILE_NAME, make_completer
from tiny_world import small_params

from imf_core.inference.completer import Completer
from imf_core.inference.predict import predict_facts
from imf_core.prepare.decisions import Decision, append_decisions, find_latest, read_decisions
from imf_core.serve.app import create_app
from imf_core.serve.curation import Curator

FACT = {"head": "e15", "relation": "speaks", "tail": "e19"}
LOOSE = {"predict.top_k": 50, "predict.min_relation_affinity": 0.0}


@pytest.fixture(scope="module")
def completer(tmp_path_factory: pytest.TempPathFactory) -> Completer:
    return make_completer(tmp_path_factory.mktemp("curated"), with_paths=False)


def make_curated(completer: Completer, path: Path, by: str | None = "Ada") -> TestClient:
    path.touch()
    proposals = predict_facts(
        completer.scorer, completer.calibration, completer.graph, small_params(LOOSE).predict
    )
    app = create_app(completer, curator=Curator(path, proposals, "5f2c", by))
    return TestClient(app, base_url=HOST, raise_server_exceptions=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "decisions.jsonl"


@pytest.fixture
def curated(completer: Completer, path: Path) -> TestClient:
    return make_curated(completer, path)


def decide(client: TestClient, decision: str, *facts: dict[str, str], **fields: Any) -> Any:
    body = {"facts": list(facts or [FACT]), "decision": decision, **fields}
    answer = client.post("/api/decisions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def state_of(client: TestClient, fact: dict[str, str] = FACT) -> str | None:
    found: str | None = client.post("/api/decided", json={"facts": [fact]}).json()["results"][0][
        "decision"
    ]
    return found


def test_a_decision_is_a_line_of_the_file_with_probability_and_model(
    curated: TestClient, path: Path
) -> None:
    (told,) = decide(curated, "accepted", note="a book")
    (stored,) = read_decisions(path)
    assert stored.fact == tuple(FACT.values())
    assert (stored.by, stored.note, stored.model) == ("Ada", "a book", "5f2c")
    verdict = curated.get("/api/score", params=FACT).json()
    assert stored.probability == pytest.approx(verdict["probability"], abs=1e-4)
    assert (told["decision"], told["by"], told["at"]) == ("accepted", "Ada", stored.at)
    assert state_of(curated) == "accepted"


def test_a_decision_is_told_what_it_replaces(curated: TestClient) -> None:
    decide(curated, "accepted")
    (again,) = decide(curated, "rejected")
    assert again["remark"].startswith("replaces Ada's decision `accepted` of ")
    (twice,) = decide(curated, "rejected")
    assert twice["remark"].startswith("no effect: repeats Ada's decision `rejected` of ")
    assert curated.get("/api/decisions").json()["results"][0]["remark"] == ""


def test_an_undo_is_another_line_and_the_fact_is_open_again(
    curated: TestClient, path: Path
) -> None:
    decide(curated, "rejected")
    decide(curated, "withdrawn")
    assert [each.decision for each in read_decisions(path)] == ["rejected", "withdrawn"]
    assert state_of(curated) is None
    assert curated.get("/api/decisions").json()["results"] == []


def test_the_queue_loses_decided_facts_and_gets_withdrawn_ones_back(curated: TestClient) -> None:
    def first() -> list[dict[str, str]]:
        rows = curated.get("/api/queue", params={"k": 5}).json()["rows"]
        return [{role: row[role]["label"] for role in ("head", "relation", "tail")} for row in rows]

    before = first()
    decide(curated, "unsure", *before[:2])
    assert not [fact for fact in first() if fact in before[:2]]
    decide(curated, "withdrawn", *before[:2])
    assert first() == before


def test_the_latest_decisions_come_first_with_names(curated: TestClient) -> None:
    decide(curated, "accepted")
    other = {"head": "e16", "relation": "speaks", "tail": "e20"}
    decide(curated, "rejected", other)
    found = curated.get("/api/decisions", params={"limit": 5}).json()["results"]
    assert [each["decision"] for each in found] == ["rejected", "accepted"]
    assert found[0]["tail_name"] == "E20"


def test_lines_that_others_append_are_seen(curated: TestClient, path: Path) -> None:
    assert state_of(curated) is None
    line = Decision(**FACT, decision="rejected", by="Bob", at="2026-03-01T09:30:00Z")
    unknown = line.model_copy(update={"head": "nobody"})
    append_decisions(path, [line, unknown])
    assert state_of(curated) == "rejected"
    names = {each["head_name"] for each in curated.get("/api/decisions").json()["results"]}
    assert names == {HOSTILE_NAME, "nobody"}


def test_a_name_of_the_request_goes_before_that_of_the_server(
    completer: Completer, path: Path
) -> None:
    client = make_curated(completer, path, by=None)
    assert client.get("/api/about").json()["curator"] == ""
    answer = client.post("/api/decisions", json={"facts": [FACT], "decision": "accepted"})
    assert (answer.status_code, path.read_bytes()) == (400, b"")
    assert "name" in answer.json()["remedy"]
    decide(client, "accepted", by="Grace")
    assert read_decisions(path)[0].by == "Grace"


@pytest.mark.parametrize("label", HOSTILE)
def test_hostile_labels_are_stored_and_found(label: str, curated: TestClient, path: Path) -> None:
    fact = {"head": label, "relation": "speaks", "tail": "e19"}
    decide(curated, "rejected", fact, note=label, by=label if label.strip() else "Ada")
    assert state_of(curated, fact) == "rejected"
    assert list(find_latest(read_decisions(path))) == [tuple(fact.values())]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"decision": "maybe"}, 422),
        ({"facts": []}, 422),
        ({"note": "x" * 2_001}, 422),
        ({"by": "x" * 201}, 422),
        ({"extra": 1}, 422),
        ({"by": " "}, 400),
        ({"facts": [{**FACT, "head": "nobody"}]}, 404),
        ({"facts": [FACT, {**FACT, "tail": "nobody"}]}, 404),
    ],
)
def test_a_wrong_decision_stores_nothing(
    change: dict[str, Any], status: int, curated: TestClient, path: Path
) -> None:
    body = {"facts": [FACT], "decision": "accepted", **change}
    answer = curated.post("/api/decisions", json=body)
    assert answer.status_code == status, answer.text
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_another_site_decides_nothing(
    headers: dict[str, str], curated: TestClient, path: Path
) -> None:
    body = {"facts": [FACT], "decision": "accepted"}
    assert curated.post("/api/decisions", json=body, headers=headers).status_code == 403
    assert path.read_bytes() == b""


def test_a_line_that_cannot_be_read_is_an_error_with_its_place(
    curated: TestClient, path: Path
) -> None:
    path.write_text("<<<<<<< HEAD\n")
    answer = curated.get("/api/queue")
    assert answer.status_code == 500
    assert "line 1: a conflict marker of Git" in answer.json()["error"]
    assert "keep the lines of both sides" in answer.json()["remedy"]


def test_without_the_flag_nothing_is_decided(client: TestClient) -> None:
    assert client.get("/api/about").json()["curator"] is None
    body = {"facts": [FACT], "decision": "accepted"}
    assert client.post("/api/decisions", json=body).status_code in {404, 405}
    assert client.get("/api/queue").status_code == 404


def test_every_route_documents_its_errors(curated: TestClient) -> None:
    paths = curated.get("/openapi.json").json()["paths"]
    assert "/api/decisions" in paths
    for path, routes in paths.items():
        for method, route in routes.items():
            assert {"400", "404", "422"} <= route["responses"].keys(), (method, path)
