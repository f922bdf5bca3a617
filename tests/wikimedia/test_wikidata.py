"""Requests to Wikidata and its parsed answers."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from made_wikimedia import Wikimedia, entity, statement, terms

from imf_core.wikimedia.api import Client
from imf_core.wikimedia.identifiers import Identifier
from imf_core.wikimedia.wikidata import Item, look_up_items

HOST = "www.wikidata.org"
Q42 = Identifier("wikidata", "Q42")


def test_an_item_is_found_by_its_number(world: Wikimedia, web: Client) -> None:
    world.add(entity("Q42", "Douglas Adams", "English writer", [statement("DA.jpg")], enwiki="DA"))
    answer = look_up_items([Q42], "en", web)[Q42]
    assert (answer.status, answer.reason) == ("ok", "")
    assert answer.item == Item("Q42", "Douglas Adams", "English writer", "DA.jpg", {"enwiki": "DA"})
    assert answer.fetched_at is not None


def test_an_item_is_found_by_the_title_of_its_article(world: Wikimedia, web: Client) -> None:
    world.add(entity("Q42", "Adams", dewiki="Douglas Adams"), entity("Q64", "Berlin", enwiki="B"))
    article = Identifier("dewiki", "Douglas Adams")
    found = look_up_items([article, Identifier("enwiki", "B")], "en", web)
    assert found[article].item is not None
    assert found[article].item.wikidata_id == "Q42"
    assert len(world.asked) == 2


def test_the_question_is_the_documented_one(world: Wikimedia, web: Client) -> None:
    look_up_items([Q42, Identifier("frwiki", "État")], "de", web)
    by_title, by_number = sorted(world.questions(HOST), key=lambda query: "ids" in query)
    assert by_number == {
        "action": "wbgetentities",
        "ids": "Q42",
        "props": "labels|descriptions|claims|sitelinks",
        "languages": "de|en|mul",
        "sitefilter": "dewiki",
        "format": "json",
        "maxlag": "5",
    }
    assert (by_title["sites"], by_title["titles"]) == ("frwiki", "État")
    assert by_title["sitefilter"] == "dewiki|frwiki"
    assert "normalize" not in by_title


def test_items_are_asked_for_fifty_at_a_time_in_one_order(world: Wikimedia, web: Client) -> None:
    identifiers = [Identifier("wikidata", f"Q{i}") for i in range(1, 121)]
    world.add(*(entity(f"Q{i}", f"label {i}") for i in range(1, 121)))
    found = look_up_items(identifiers, "en", web)
    assert {answer.status for answer in found.values()} == {"ok"}
    assert sorted(query["ids"].count("|") + 1 for query in world.questions(HOST)) == [20, 50, 50]
    look_up_items(identifiers[::-1], "en", web)
    assert len(world.asked) == 3


def test_a_merged_item_answers_for_the_one_asked_for(world: Wikimedia, web: Client) -> None:
    world.add(entity("Q42", "Adams"))
    world.merged["Q7"] = "Q42"
    answer = look_up_items([Identifier("wikidata", "Q7")], "en", web)
    assert [each.item.wikidata_id for each in answer.values() if each.item] == ["Q42"]


def test_what_is_missing_is_said_to_be(world: Wikimedia, web: Client) -> None:
    world.add(entity("Q42", "Adams"))
    nobody, article = Identifier("wikidata", "Q9"), Identifier("enwiki", "Nobody")
    found = look_up_items([Q42, nobody, article], "en", web)
    assert found[Q42].status == "ok"
    assert (found[nobody].status, found[article].status) == ("not_found", "not_found")
    assert found[article].reason == "Wikidata has no item enwiki:Nobody"


def test_the_language_asked_for_comes_before_the_others(world: Wikimedia, web: Client) -> None:
    item = entity("Q42")
    item["labels"] = terms(mul="Everywhere", en="In English")
    item["descriptions"] = terms(en="a writer", de="ein Autor")
    world.add(item)
    german = look_up_items([Q42], "de", web)[Q42].item
    french = look_up_items([Q42], "fr", web)[Q42].item
    assert german is not None
    assert french is not None
    assert (german.name, german.description) == ("Everywhere", "ein Autor")
    assert french.description == "a writer"


@pytest.mark.parametrize(
    ("statements", "image"),
    [
        ([statement("a.jpg"), statement("b.jpg", "preferred")], "B.jpg"),
        ([statement("old.jpg", "deprecated"), statement("a_b.jpg")], "A b.jpg"),
        ([statement("old.jpg", "deprecated")], None),
        ([statement(None, "preferred"), statement("a.jpg")], "A.jpg"),
        ([statement("../../etc/passwd")], None),
    ],
)
def test_the_best_image_is_taken_and_never_a_deprecated_one(
    statements: list[dict[str, object]], image: str | None, world: Wikimedia, web: Client
) -> None:
    world.add(entity("Q42", "Adams", images=statements))
    item = look_up_items([Q42], "en", web)[Q42].item
    assert item is not None
    assert item.image == image


def test_untrusted_texts_are_cleaned_and_cut(world: Wikimedia, web: Client) -> None:
    world.add(entity("Q42", "A\u202e\x07dams", "x" * 5000))
    item = look_up_items([Q42], "en", web)[Q42].item
    assert item is not None
    assert item.name == "A dams"
    assert len(item.description) == 2000


LAG = {"error": {"code": "maxlag", "info": "Waiting for a database server: 6.1 seconds lagged."}}


def test_a_refusal_for_lag_is_asked_again_after_a_pause(
    world: Wikimedia, web: Client, pauses: list[float]
) -> None:
    world.add(entity("Q42", "Adams"))
    world.replies[HOST] = [(200, {}, LAG), (200, {}, LAG)]
    assert look_up_items([Q42], "en", web)[Q42].status == "ok"
    assert pauses == [5.0, 10.0]
    assert len(world.asked) == 3


def test_a_refusal_to_the_end_is_unreachable_and_is_asked_again_by_the_next_run(
    world: Wikimedia, make_web: Callable[..., Client]
) -> None:
    world.add(entity("Q42", "Adams"))
    world.replies[HOST] = [(200, {}, LAG)] * 3
    answer = look_up_items([Q42], "en", make_web())[Q42]
    assert (answer.status, answer.item) == ("unreachable", None)
    assert answer.reason.startswith("maxlag: Waiting")
    assert look_up_items([Q42], "en", make_web())[Q42].status == "ok"


@pytest.mark.parametrize("code", ["ratelimited", "readonly", "internal_api_error_DBQueryError"])
def test_a_passing_error_is_asked_again(
    code: str, world: Wikimedia, web: Client, pauses: list[float]
) -> None:
    world.add(entity("Q42", "Adams"))
    world.replies[HOST] = [(200, {}, {"error": {"code": code, "info": "Try again later."}})]
    assert look_up_items([Q42], "en", web)[Q42].status == "ok"
    assert pauses == [5.0]


UNKNOWN_SITE = {"error": {"code": "badvalue", "info": "Unrecognized value for sites: xxwiki."}}


def test_a_question_refused_for_what_it_asks_is_not_found_and_never_asked_again(
    world: Wikimedia, make_web: Callable[..., Client], pauses: list[float]
) -> None:
    world.replies[HOST] = [(200, {}, UNKNOWN_SITE)]
    article = Identifier("xxwiki", "A")
    for _ in range(2):
        answer = look_up_items([article], "en", make_web())[article]
        assert (answer.status, answer.item, answer.is_refused) == ("not_found", None, True)
        assert answer.reason == "badvalue: Unrecognized value for sites: xxwiki."
    assert (len(world.asked), pauses) == (1, [])


def test_an_answer_of_another_form_is_said_and_not_asked_for_again(
    world: Wikimedia, web: Client, pauses: list[float]
) -> None:
    world.replies[HOST] = [(200, {}, {"entities": 3})]
    answer = look_up_items([Q42], "en", web)[Q42]
    assert answer.status == "not_found"
    assert answer.reason.startswith("the answer is not as expected: Input should be")
    assert (len(world.asked), pauses) == (1, [])


def test_an_answer_that_is_no_json_is_unreachable(world: Wikimedia, web: Client) -> None:
    world.replies[HOST] = [(200, {}, b"<html>Sorry</html>")] * 3
    answer = look_up_items([Q42], "en", web)[Q42]
    assert answer.status == "unreachable"
    assert answer.reason.startswith("the answer is not as expected: Invalid JSON")


def test_a_pause_that_the_server_asks_for_is_kept(world: Wikimedia, web: Client) -> None:
    world.add(entity("Q42", "Adams"))
    world.replies[HOST] = [(429, {"Retry-After": "0"}, b"")]
    assert look_up_items([Q42], "en", web)[Q42].status == "ok"
    assert len(world.asked) == 2


def test_a_service_that_is_down_is_unreachable_and_not_a_missing_item(
    world: Wikimedia, web: Client
) -> None:
    world.replies[HOST] = [(404, {}, b"")]
    answer = look_up_items([Q42], "en", web)[Q42]
    assert (answer.status, answer.reason) == ("unreachable", "HTTP 404 from the mirror")


def test_the_contact_stands_in_every_request(world: Wikimedia, web: Client) -> None:
    look_up_items([Q42], "en", web)
    (agent,) = world.agents
    assert "someone@example.org" in agent


def test_an_earlier_answer_holds_where_wikidata_refuses_to_the_end(
    world: Wikimedia, make_web: Callable[..., Client]
) -> None:
    world.add(entity("Q42", "Adams"))
    look_up_items([Q42], "en", make_web())
    web = make_web()
    web.store.set_aside_older_than(datetime.now(UTC) + timedelta(days=1))
    world.replies[HOST] = [(200, {}, LAG)] * 3
    answer = look_up_items([Q42], "en", web)[Q42]
    assert answer.item is not None
    assert len(world.asked) == 4
    assert "without success" in web.store.warning
