"""Every route of the API: answers, bounds, errors and hostile names."""

import base64
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from served_world import HOSTILE, HOSTILE_NAME, PICTURE, PICTURED, make_client

from imf_core.serve.access import MAX_BODY_BYTES
from imf_core.serve.schemas import MAX_ANSWERS, MAX_FACTS, MAX_QUESTIONS

NEWLAND = {"name": "Newland", "facts": [["Newland", "speaks", "e19"], ["Newland", "in", "e01"]]}
FACT = {"head": "e15", "relation": "speaks", "tail": "e19"}


def get(client: TestClient, path: str, status: int = 200, **values: Any) -> Any:
    answer = client.get(path, params=values)
    assert answer.status_code == status, answer.text
    return answer.json()


def post(client: TestClient, path: str, body: Any, status: int = 200) -> Any:
    answer = client.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_question_for_the_tail_is_answered_as_in_python(client: TestClient) -> None:
    found = get(client, "/api/tails", head="e15", relation="speaks", k=3, precedents=2)
    chances = [answer["probability"] for answer in found["answers"]]
    assert (found["asked_for"], found["tail"]) == ("tail", None)
    assert chances == sorted(chances, reverse=True)
    assert len(chances) == 3
    assert all(len(answer["precedents"]) <= 2 for answer in found["answers"])
    assert all(0.99 < sum(answer["shares"].values()) < 1.01 for answer in found["answers"])


def test_a_question_for_the_head_lists_its_known_answers_with_their_splits(
    client: TestClient,
) -> None:
    found = get(client, "/api/heads", relation="speaks", tail="e19", known=True, k=MAX_ANSWERS)
    known = {each["entity"]["label"]: each["known_in"] for each in found["known"]}
    assert found["known_count"] == len(known) > 0
    answers = {each["entity"]["label"]: each["known_in"] for each in found["answers"]}
    assert known.items() <= answers.items()


def test_a_batch_gives_what_single_questions_give(client: TestClient) -> None:
    questions = [{"head": "e15", "relation": "speaks"}, {"head": "e16", "relation": "in"}]
    batch = post(client, "/api/tails", {"questions": questions, "k": 4})["results"]
    for question, found in zip(questions, batch, strict=True):
        alone = get(client, "/api/tails", **question, k=4)
        labels = [[each["entity"]["label"] for each in one["answers"]] for one in (found, alone)]
        assert labels[0] == labels[1]
    heads = post(client, "/api/heads", {"questions": [{"relation": "in", "tail": "e01"}]})
    assert heads["results"][0]["asked_for"] == "head"


def test_relations_of_a_pair_are_ranked(client: TestClient) -> None:
    found = get(client, "/api/relations", head="e15", tail="e16", known=True)
    assert [each["relation"]["label"] for each in found["answers"]] == ["next_to"]
    assert [each["relation"]["label"] for each in found["known"]] == ["next_to"]
    assert get(client, "/api/relations", head="e15", tail="e16")["answers"] == []
    body = {"questions": [{"head": "e15", "tail": "e16"}], "k": 1, "known": True}
    assert len(post(client, "/api/relations", body)["results"][0]["answers"]) == 1


def test_facts_are_judged_and_an_unknown_name_is_the_status_of_its_fact(client: TestClient) -> None:
    verdict = get(client, "/api/score", **FACT)
    assert verdict["is_true"] == (verdict["probability"] >= verdict["threshold"])
    both = post(client, "/api/score", {"facts": [{**FACT, "head": "nobody"}, FACT]})["results"]
    assert both[0]["status"].startswith("no entity has the label or name 'nobody'; there")
    assert both[0]["is_true"] is None
    assert both[1]["probability"] == pytest.approx(verdict["probability"])


def test_paths_lead_from_the_asked_entity_to_the_answer(client: TestClient) -> None:
    facts = [
        {"head": "e16", "relation": relation, "tail": tail}
        for relation in ("next_to", "speaks")
        for tail in ("e00", "e01", "e15")
    ]
    found = post(client, "/api/paths", {"facts": facts, "asked_for": "head"})
    assert found["has_channel"]
    paths = [
        (fact, path)
        for fact, each in zip(facts, found["results"], strict=True)
        for path in each["paths"]
    ]
    assert paths
    for fact, path in paths:
        assert path["start"]["label"] == fact["tail"]
        assert path["steps"][-1]["entity"]["label"] == fact["head"]
    assert get(client, "/api/paths", **FACT, k=1)["paths"] is not None


def test_an_entity_has_its_facts_by_relation_and_more_of_them_are_listed(
    client: TestClient,
) -> None:
    page = get(client, "/api/entity", label="e19", limit=1)
    group = next(each for each in page["groups"] if each["relation"]["label"] == "speaks")
    assert (group["as_head"], len(group["others"])) == (False, 1)
    values = {"entity": "e19", "relation": "speaks", "as_head": False}
    every = get(client, "/api/facts", **values)
    assert len(every) == group["count"]
    assert get(client, "/api/facts", **values, offset=1, limit=2) == every[1:3]


def test_proposals_are_in_no_split(client: TestClient) -> None:
    found = get(client, "/api/proposals", entity="e15", k=5)["proposals"]
    assert all(each["answer"]["known_in"] == "new" for each in found)


def test_neighbours_come_by_channel_and_the_graph_around_an_entity_is_bounded(
    client: TestClient,
) -> None:
    channels = get(client, "/api/neighbours", entity="e15", k=2)["channels"]
    assert all(len(near) == 2 for near in channels.values())
    assert "structural" in channels
    around = get(client, "/api/around", entity="e15", limit=3)
    ids = [node["id"] for node in around["nodes"]]
    assert len(ids) == 4
    assert ids[0] == 15
    assert {edge[end] for edge in around["edges"] for end in ("head", "tail")} <= set(ids)


def test_search_finds_entities_and_relations_by_their_first_letters(client: TestClient) -> None:
    found = get(client, "/api/search", q="E1", limit=4)["entities"]
    assert found
    assert all("e1" in {each["label"][:2], each["name"].lower()[:2]} for each in found)
    relations = get(client, "/api/search", q="spe", kind="relation")["relations"]
    assert [each["label"] for each in relations] == ["speaks"]


def test_the_model_is_described(client: TestClient) -> None:
    about = get(client, "/api/about")
    assert about["entities"] == 22
    assert about["channels"][-1] == "paths"
    assert about["inputs"] == []
    assert set(PICTURED) <= {each["id"] for each in about["sample"]}


def test_pictures_are_sent_by_id_and_position(client: TestClient) -> None:
    for entity in PICTURED:
        answer = client.get(f"/api/picture/{entity}")
        assert (answer.content, answer.headers["content-type"]) == (PICTURE, "image/png")
        second = client.get(f"/api/picture/{entity}", params={"position": 1})
        assert second.content == PICTURE + bytes([entity])
    for path in ("/api/picture/0", "/api/picture/99999", f"/api/picture/{PICTURED[0]}?position=2"):
        assert client.get(path).status_code == 404


def test_pictures_that_a_run_has_replaced_are_not_sent(tmp_path: Path) -> None:
    served = make_client(tmp_path)
    for shard in (tmp_path / "images").glob("shard-*.parquet"):
        shard.touch()
    answer = served.get(f"/api/picture/{PICTURED[0]}")
    assert answer.status_code == 500
    assert answer.json()["remedy"] == "start `imf serve` again"


def test_a_new_entity_answers_and_is_an_answer_by_its_facts(client: TestClient) -> None:
    body = {"questions": [{"head": "Newland", "relation": "next_to"}], "k": 2, "new": NEWLAND}
    (found,) = post(client, "/api/tails", body)["results"]
    assert found["head"]["label"] == "Newland"
    assert found["head"]["is_new"]
    assert not any(each["entity"]["is_new"] for each in found["answers"])
    assert len(found["answers"]) == 2
    body = {"questions": [{"relation": "next_to", "tail": "e15"}], "k": 100, "new": NEWLAND}
    (found,) = post(client, "/api/heads", body)["results"]
    assert "Newland" in {each["entity"]["label"] for each in found["answers"]}
    proposals = post(client, "/api/proposals", {"new": NEWLAND})
    assert proposals["entity"]["label"] == "Newland"
    fact = {"head": "Newland", "relation": "in", "tail": "e00"}
    assert post(client, "/api/score", {"facts": [fact], "new": NEWLAND})["results"][0]["threshold"]
    assert post(client, "/api/paths", {"facts": [fact], "new": NEWLAND})["results"]
    get(client, "/api/entity", 404, label="Newland")


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ({}, "give a description, a picture or facts"),
        ({"name": "N"}, "give a description, a picture or facts"),
        ({"name": "N", "description": "text"}, "no encoder of text"),
        ({"name": "N", "picture": "###"}, "no base64"),
        ({"name": "N", "picture": "é"}, "no base64"),
        ({"name": "N", "picture": base64.b64encode(b"no picture").decode()}, "no encoder of image"),
        ({"facts": [["e15", "speaks", "e20"]]}, "name no new entity"),
    ],
)
def test_a_new_entity_that_the_model_cannot_read_is_refused(
    new: dict[str, Any], words: str, client: TestClient
) -> None:
    found = post(client, "/api/proposals", {"new": new}, 400)
    assert words in found["error"] + found["remedy"]
    assert "/tmp" not in found["error"]


@pytest.mark.parametrize("modality", ["image", "text", "sound"])
def test_an_input_is_no_file_of_the_server(modality: str, client: TestClient) -> None:
    new = {**NEWLAND, "inputs": {modality: "/etc/passwd"}}
    found = post(client, "/api/proposals", {"new": new}, 400)
    assert f"inputs has the modality '{modality}'" in found["error"]
    assert "numeric" in found["error"]


def test_a_typing_error_in_the_facts_of_a_new_entity_makes_no_other_entity(
    client: TestClient,
) -> None:
    facts = [["Newland", "next_to", "e15"], ["Newland", "next_to", "e155"]]
    found = post(client, "/api/proposals", {"new": {"name": "Newland", "facts": facts}}, 404)
    assert "'e155'" in found["error"]
    facts = [["Newlnad", "next_to", "e15"]]
    post(client, "/api/proposals", {"new": {"name": "Newland", "facts": facts}}, 404)
    unnamed = post(client, "/api/proposals", {"new": {"facts": facts}})
    assert unnamed["entity"]["label"] == "Newlnad"
    facts = [["N", "None", "e15"]]
    found = post(client, "/api/proposals", {"new": {"name": "N", "facts": facts}}, 404)
    assert "no relation has the label or name 'None'" in found["error"]


def test_a_misspelt_or_repeated_parameter_is_refused(client: TestClient) -> None:
    found = get(client, "/api/tails", 400, head="e15", relation="speaks", K=2)
    assert found["error"] == "the address has no parameter 'K'"
    assert "head, relation, k, known, precedents" in found["remedy"]
    found = get(client, "/api/tails", 400, head=["e15", "e16"], relation="speaks")
    assert "'head' more than once" in found["error"]
    page = get(client, "/api/entity", label=f"e{PICTURED[0]:02}")
    assert client.get(page["entity"]["picture"]).status_code == 200


def test_the_remedy_of_an_error_begins_after_the_names_in_it(client: TestClient) -> None:
    found = get(client, "/api/tails", 404, head="a; b", relation="next_to")
    assert found["error"] == "no entity has the label or name 'a; b'"


def test_an_unknown_name_is_a_404_with_the_nearest_names(client: TestClient) -> None:
    found = get(client, "/api/tails", 404, head="e155", relation="speaks")
    assert found["error"] == "no entity has the label or name 'e155'"
    assert "nearest are 'e21' (E21)" in found["remedy"]
    get(client, "/api/tails", 404, head="e15", relation="nothing")
    get(client, "/api/score", 404, **{**FACT, "tail": "nobody"})


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("/api/tails", {"head": "e15"}),
        ("/api/tails", {"head": "e15", "relation": "in", "k": 0}),
        ("/api/tails", {"head": "e15", "relation": "in", "k": MAX_ANSWERS + 1}),
        ("/api/tails", {"head": "e" * 10_001, "relation": "in"}),
        ("/api/search", {"q": "e", "limit": 1_000_000}),
        ("/api/search", {"q": "e", "kind": "other"}),
        ("/api/facts", {"entity": "e15", "relation": "in", "as_head": True, "offset": -1}),
        ("/api/picture/x", {}),
    ],
)
def test_a_value_out_of_bounds_is_a_422_that_names_its_field(
    path: str, values: dict[str, Any], client: TestClient
) -> None:
    found = get(client, path, 422, **values)
    assert found.keys() == {"error", "remedy"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/tails", {"questions": []}),
        ("/api/tails", {"questions": [{"head": "e15", "relation": "in"}] * (MAX_QUESTIONS + 1)}),
        ("/api/tails", {"questions": [{"head": "e15", "relation": "in", "tail": "e01"}]}),
        ("/api/tails", {"questions": [{"head": None, "relation": "in"}]}),
        ("/api/score", {"facts": [FACT] * (MAX_FACTS + 1)}),
        ("/api/paths", {"facts": [FACT] * 21}),
        ("/api/score", []),
    ],
)
def test_a_malformed_body_is_a_422(path: str, body: Any, client: TestClient) -> None:
    assert post(client, path, body, 422).keys() == {"error", "remedy"}


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"facts": "\\ud800"}', b"[" * 100_000])
def test_a_body_that_is_no_json_is_refused(body: bytes, client: TestClient) -> None:
    answer = client.post("/api/score", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    assert answer.json().keys() == {"error", "remedy"}


def test_an_empty_or_ambiguous_name_is_a_400(client: TestClient) -> None:
    get(client, "/api/entity", 400, label="")
    get(client, "/api/entity", 400, label="  \u200b ")


def test_a_long_body_is_a_413(client: TestClient) -> None:
    content = b" " * (MAX_BODY_BYTES + 1)
    for body in (content, iter([content[:1000], content])):
        answer = client.post("/api/score", content=body)
        assert answer.status_code == 413
        assert answer.json()["remedy"]


@pytest.mark.parametrize("label", HOSTILE)
def test_a_hostile_label_is_found_and_comes_back_unchanged(label: str, client: TestClient) -> None:
    page = get(client, "/api/entity", label=label)
    assert page["entity"]["label"] == label
    assert get(client, "/api/tails", head=label, relation="in")["head"]["label"] == label
    found = get(client, "/api/search", q=label[:30])["entities"]
    if any(letter.isalnum() for letter in label):
        assert label in {each["label"] for each in found}


def test_a_hostile_name_stays_json(client: TestClient) -> None:
    answer = client.get("/api/search", params={"q": HOSTILE_NAME})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["entities"][0]["name"] == HOSTILE_NAME


@pytest.mark.parametrize(
    "path", ["/nothing", "/static/nothing.js", "/static/../app.py", "/static/%2e%2e/app.py"]
)
def test_an_unknown_address_is_a_404_with_a_remedy(path: str, client: TestClient) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json().keys() == {"error", "remedy"}
    refused = client.delete("/api/tails")
    assert (refused.status_code, "GET" in refused.headers["allow"]) == (405, True)


@pytest.mark.parametrize(
    "path", ["/", "/ask", "/new", "/check", "/docs", "/entity/a%2Fb", "/entity"]
)
def test_the_addresses_of_the_page_give_the_page(path: str, client: TestClient) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert '<script type="module" src="/static/main.js">' in answer.text


def test_the_document_of_the_api_names_errors_and_needs_no_network(client: TestClient) -> None:
    document = get(client, "/openapi.json")
    assert set(document["paths"]) >= {
        f"/api/{name}" for name in ("tails", "heads", "relations", "score", "paths", "entity")
    }
    for methods in document["paths"].values():
        for each in methods.values():
            assert {"400", "404", "413", "422"} <= each["responses"].keys()
            schema = each["responses"]["422"]["content"]["application/json"]["schema"]
            assert schema["$ref"].endswith("/Problem")


def test_a_failure_of_the_server_is_json_without_its_reason(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imf_core.serve.routes.describe_entity", lambda *_: 1 / 0)
    answer = client.get("/api/entity", params={"label": "e15"})
    assert answer.status_code == 500
    assert answer.json()["error"] == "the server failed"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_model_without_a_channel_of_paths_gives_none(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    client = make_client(tmp_path_factory.mktemp("plain"), with_paths=False)
    assert get(client, "/api/paths", **FACT)["paths"] == []
    assert not post(client, "/api/paths", {"facts": [FACT]})["has_channel"]
