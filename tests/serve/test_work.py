"""The answers that a server keeps, and the proposals that it makes."""

from pathlib import Path

from fastapi.testclient import TestClient
from served_world import HOST, make_completer
from tiny_world import ROOT

from imf_core.base.params_file import load_params
from imf_core.inference.predict import DEFAULT_AFFINITY
from imf_core.serve import work
from imf_core.serve.app import create_app
from imf_core.serve.work import Recent, count_bytes


def test_the_latest_values_are_kept_up_to_their_total_size() -> None:
    recent: Recent[str, str] = Recent(10, len)
    found = []
    for text in ["aaaa", "bbb", "aaaa", "cccc", "x" * 11]:
        found.append(recent.find(text))
        if found[-1] is None:
            recent.keep(text, text)
    assert found == [None, None, "aaaa", None, None]
    assert list(recent) == ["aaaa", "cccc"]  # neither the oldest one nor one that is too large


def test_a_kept_answer_counts_as_much_as_its_json(client: TestClient) -> None:
    answer = client.get("/api/tails", params={"head": "e16", "relation": "speaks", "k": 5})
    size = count_bytes([answer.json()])
    assert size - 2 == len(answer.content)
    assert 50 * size < work.KEPT_BYTES


def test_a_higher_least_affinity_proposes_fewer_facts(tmp_path: Path) -> None:
    completer = make_completer(tmp_path, with_paths=False)
    counts = []
    for least in (0.0, 1.0):
        client = TestClient(create_app(completer, least_affinity=least), base_url=HOST)
        found = client.get("/api/proposals", params={"entity": "e15", "k": 100}).json()
        counts.append(len(found["proposals"]))
    assert counts[0] > counts[1]


def test_without_a_project_the_least_affinity_is_that_of_its_params() -> None:
    assert load_params(ROOT / "params.yaml").predict.min_relation_affinity == DEFAULT_AFFINITY
