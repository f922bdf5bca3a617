"""Articles that were renamed since a graph named them."""

from collections.abc import Callable

import pytest
from made_wikimedia import Wikimedia, entity

from imf_core.base.config import MediaParams
from imf_core.wikimedia.api import Client
from imf_core.wikimedia.identifiers import Identifier
from imf_core.wikimedia.records import Record, Wanted, find_records

HOST = "en.wikipedia.org"
OLD = Identifier("enwiki", "Kiev")


def look_up(web: Client, *identifiers: Identifier) -> dict[Identifier, Record]:
    values = {"source": "wikidata", "language": "en", "image_width_pixels": 330}
    wanted = dict.fromkeys(identifiers or [OLD], Wanted(text=True, image=True))
    return find_records(wanted, MediaParams.model_validate(values), web)


@pytest.fixture
def kyiv(world: Wikimedia) -> None:
    world.add(entity("Q1899", "Kyiv", "capital of Ukraine", enwiki="Kyiv"))


@pytest.mark.usefixtures("kyiv")
def test_a_renamed_article_is_found_by_its_redirect(world: Wikimedia, web: Client) -> None:
    world.redirects[f"{HOST}/Kiev"] = "Kyiv"
    found = look_up(web)[OLD]
    assert (found.status, found.reason, found.wikidata_id) == ("ok", "", "Q1899")
    assert found.description is not None
    assert found.description.text == "capital of Ukraine"


@pytest.mark.usefixtures("kyiv")
def test_the_question_to_wikipedia_is_the_documented_one(world: Wikimedia, web: Client) -> None:
    look_up(web)
    assert world.questions(HOST) == [
        {
            "action": "query",
            "prop": "pageprops",
            "ppprop": "wikibase_item",
            "redirects": "1",
            "format": "json",
            "formatversion": "2",
            "titles": "Kiev",
        }
    ]


@pytest.mark.usefixtures("kyiv")
def test_a_title_is_normalised_and_then_followed_to_the_end(world: Wikimedia, web: Client) -> None:
    world.titles[f"{HOST}/Kiev"] = "KIEV"
    world.redirects[f"{HOST}/KIEV"] = "City of Kyiv"
    world.redirects[f"{HOST}/City of Kyiv"] = "Kyiv"
    assert look_up(web)[OLD].wikidata_id == "Q1899"


@pytest.mark.usefixtures("kyiv")
def test_a_title_that_mediawiki_writes_otherwise_is_found(world: Wikimedia, web: Client) -> None:
    world.titles[f"{HOST}/Kiev"] = "Kyiv"
    assert look_up(web)[OLD].wikidata_id == "Q1899"


@pytest.mark.usefixtures("kyiv")
def test_a_section_of_another_article_is_not_the_article(world: Wikimedia, web: Client) -> None:
    world.redirects[f"{HOST}/Kiev"] = "Kyiv#History"
    found = look_up(web)[OLD]
    assert (found.status, found.wikidata_id) == ("not_found", None)
    assert found.reason == "enwiki:Kiev is now a section of another article"


@pytest.mark.usefixtures("kyiv")
def test_a_section_on_the_way_counts_as_well(world: Wikimedia, web: Client) -> None:
    world.redirects[f"{HOST}/Kiev"] = "City#Kyiv"
    world.redirects[f"{HOST}/City"] = "Kyiv"
    assert look_up(web)[OLD].status == "not_found"


def test_a_title_with_a_number_sign_is_not_taken_for_what_stands_before_it(
    world: Wikimedia, web: Client
) -> None:
    world.add(entity("Q9", "C", enwiki="C"))
    sharp = Identifier("enwiki", "C#")
    assert look_up(web, sharp)[sharp].status == "not_found"


@pytest.mark.parametrize("target", ["Nowhere", "Kiev"])
def test_what_leads_nowhere_is_still_not_found(target: str, world: Wikimedia, web: Client) -> None:
    world.redirects[f"{HOST}/Kiev"] = target
    found = look_up(web)[OLD]
    assert (found.status, found.reason) == ("not_found", "Wikidata has no item enwiki:Kiev")
    assert len(world.questions("www.wikidata.org")) == 1


@pytest.mark.parametrize("item", ["", "Q0", "Q99999999999", "http://en.wikipedia.org/wiki/Kyiv"])
def test_what_is_no_item_is_not_asked_for(item: str, world: Wikimedia, web: Client) -> None:
    page = {"title": "Kiev", "pageprops": {"wikibase_item": item}}
    world.replies[HOST] = [(200, {}, {"query": {"pages": [page]}})]
    assert look_up(web)[OLD].status == "not_found"
    assert len(world.questions("www.wikidata.org")) == 1


@pytest.mark.usefixtures("kyiv")
def test_titles_that_wikidata_knows_cost_no_further_question(world: Wikimedia, web: Client) -> None:
    look_up(web, Identifier("enwiki", "Kyiv"), Identifier("wikidata", "Q5"))
    assert world.questions(HOST) == []
    assert len(world.asked) == 2


def test_a_wikipedia_that_wikidata_does_not_know_is_not_asked(
    world: Wikimedia, web: Client
) -> None:
    refusal = {"error": {"code": "badvalue", "info": "Unrecognized value for sites."}}
    world.replies["www.wikidata.org"] = [(200, {}, refusal)]
    article = Identifier("xxwiki", "A")
    found = look_up(web, article)[article]
    assert (found.status, found.reason) == ("not_found", "badvalue: Unrecognized value for sites.")
    assert len(world.asked) == 1


def test_titles_that_a_wikipedia_refuses_are_not_found_and_say_why(
    world: Wikimedia, web: Client, pauses: list[float]
) -> None:
    refusal = {"error": {"code": "readapidenied", "info": "You need read permission."}}
    world.replies[HOST] = [(200, {}, refusal)]
    found = look_up(web)[OLD]
    reason = "enwiki:Kiev: readapidenied: You need read permission."
    assert (found.status, found.reason, pauses) == ("not_found", reason, [])


def test_titles_left_over_are_asked_for_fifty_at_a_time_at_their_own_wikipedia(
    world: Wikimedia, make_web: Callable[..., Client]
) -> None:
    world.add(*(entity(f"Q{i}", f"n{i}", enwiki=f"New {i}") for i in range(1, 61)))
    world.add(entity("Q99", "neu", dewiki="Neu"))
    world.redirects.update({f"{HOST}/Old {i}": f"New {i}" for i in range(1, 61)})
    world.redirects["de.wikipedia.org/Alt"] = "Neu"
    old = [Identifier("enwiki", f"Old {i}") for i in range(1, 61)]
    found = look_up(make_web(), *old, Identifier("dewiki", "Alt"))
    assert {each.status for each in found.values()} == {"ok"}
    assert sorted(query["titles"].count("|") + 1 for query in world.questions(HOST)) == [10, 50]
    assert [query["titles"] for query in world.questions("de.wikipedia.org")] == ["Alt"]
    # Titles of two Wikipedias (2 + 1), and then 61 items by number.
    assert len(world.questions("www.wikidata.org")) == 3 + 2


@pytest.mark.usefixtures("kyiv")
def test_a_second_run_asks_nothing(world: Wikimedia, make_web: Callable[..., Client]) -> None:
    world.redirects[f"{HOST}/Kiev"] = "Kyiv"
    nobody = Identifier("enwiki", "Nobody")
    first = look_up(make_web(), OLD, nobody)
    asked = len(world.asked)
    assert look_up(make_web(), OLD, nobody) == first
    assert (len(world.asked), world.repeated()) == (asked, [])


@pytest.mark.usefixtures("kyiv")
def test_a_wikipedia_that_is_down_is_unreachable_and_is_asked_by_the_next_run(
    world: Wikimedia, make_web: Callable[..., Client]
) -> None:
    world.redirects[f"{HOST}/Kiev"] = "Kyiv"
    world.replies[HOST] = [(404, {}, b"")]
    found = look_up(make_web())[OLD]
    reason = "enwiki:Kiev: HTTP 404 from the mirror"
    assert (found.status, found.reason) == ("unreachable", reason)
    assert look_up(make_web())[OLD].status == "ok"
