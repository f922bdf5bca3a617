"""The page in a real browser: each thing one does, on a phone and a desk, by everybody."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import CHROMIUM
from opened_page import SIZES, open_tab, serve_in_thread
from playwright.sync_api import Browser, expect
from playwright.sync_api import Page as Tab
from served_world import FIRST_COUNTRY, HOSTILE, make_client

from imf_core.serve.access import Access

TOKEN = "a-token-of-enough-characters"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome is installed"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server in a thread."""
    with serve_in_thread(make_client(tmp_path_factory.mktemp("browser")).app) as address:
        yield address


@pytest.fixture(params=SIZES, ids=["phone", "desk"])
def tab(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Tab]:
    """A tab of one size."""
    with open_tab(browser, address, *request.param) as tab:
        yield tab


def test_an_entity_is_searched_by_keyboard_and_the_back_button_returns(tab: Tab) -> None:
    tab.goto("/")
    field = tab.get_by_role("combobox", name="Search entities")
    field.press_sequentially("e1")
    options = tab.get_by_role("option")
    expect(options.first).to_be_visible()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowDown")
    chosen = options.nth(1)
    expect(chosen).to_have_attribute("aria-selected", "true")
    expect(field).to_have_attribute("aria-activedescendant", str(chosen.get_attribute("id")))
    tab.keyboard.press("Escape")
    expect(field).to_have_attribute("aria-expanded", "false")
    field.fill("e19")
    expect(options.first).to_contain_text("E19")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("heading", level=1)).to_have_text("E19")
    assert tab.url.endswith("/entity/e19")
    tab.go_back()
    expect(tab.get_by_role("heading", level=1)).to_have_text("Ask the model")
    tab.go_forward()
    expect(tab.get_by_role("heading", level=1)).to_have_text("E19")


def test_an_entity_shows_its_facts_proposals_and_neighbours(tab: Tab) -> None:
    tab.goto("/entity/e16")
    for heading in ("The model proposes", "Known facts", "The graph around it", "Near to it"):
        expect(tab.get_by_role("heading", name=heading)).to_be_visible()
    expect(tab.locator("#known li").first).to_be_visible()
    expect(tab.locator("#near li").first).to_be_visible()
    expect(tab.locator("#proposed .answer, #proposed .note").first).to_be_visible()


def test_the_graph_around_an_entity_is_walked_by_keyboard(tab: Tab) -> None:
    tab.goto("/entity/e16")
    spot = tab.locator("svg.map a.spot").first
    spot.focus()
    label = str(spot.get_attribute("aria-label")).split(":")[0]
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("heading", level=1)).to_have_text(label)


@pytest.mark.parametrize("place", range(len(HOSTILE)))
def test_a_hostile_label_has_an_address_and_runs_nothing(
    browser: Browser, address: str, place: int
) -> None:
    context = browser.new_context(base_url=address)
    tab = context.new_page()
    tab.goto("/entity/e16")
    label = HOSTILE[place]
    path = tab.evaluate(
        "label => import('/static/dom.js').then((dom) => dom.entityPath(label))", label
    )
    tab.goto(path)
    expect(tab.get_by_role("heading", level=1)).to_have_text(f"E{FIRST_COUNTRY + place:02}")
    expect(tab.locator("#near li").first).to_be_visible()
    assert not tab.evaluate("window.isHacked")
    context.close()


def test_a_question_is_asked_and_its_paths_are_opened(tab: Tab) -> None:
    tab.goto("/ask")
    tab.get_by_role("button", name="Ask", exact=True).click()
    expect(tab.get_by_role("alert")).to_contain_text("two of the three")
    tab.get_by_role("combobox", name="Relation").fill("spe")
    tab.get_by_role("option", name="speaks").click()
    tab.get_by_role("combobox", name="Tail").fill("e19")
    tab.keyboard.press("Enter")
    expect(tab.locator("#main h2")).to_have_text("? – speaks – E19")
    answers = tab.locator(".answer")
    expect(answers).to_have_count(10)
    for place in range(3):
        answers.nth(place).get_by_text("Paths that lead to it").click()
        expect(answers.nth(place).locator(".path, .paths .note").first).to_be_visible()
    expect(tab.get_by_role("status")).to_contain_text("10 answers")
    assert tab.url.endswith("/ask?relation=speaks&tail=e19")
    tab.reload()
    expect(answers).to_have_count(10)


COUNT_LINES = """(link, name) => {
    link.textContent = name;
    const range = document.createRange();
    range.setStart(link.firstChild, 0);
    range.setEnd(link.firstChild, name.split(" ")[0].length);
    return range.getClientRects().length;
}"""


def test_the_name_of_an_answer_breaks_between_words_unless_one_is_too_long(tab: Tab) -> None:
    tab.goto("/ask?head=e16&relation=speaks")
    name = tab.locator(".answer .player a").first
    assert name.evaluate(COUNT_LINES, "Commonwealth of Nations") == 1
    assert name.evaluate(COUNT_LINES, "Telecommunications of it") == 1
    assert name.evaluate(COUNT_LINES, "https://example.org/" * 4) > 1


def test_relations_of_a_pair_and_a_whole_fact_are_asked_for(tab: Tab) -> None:
    tab.goto("/ask?head=e16&tail=e17&known=1")
    expect(tab.locator(".result .card")).to_have_count(1)
    tab.goto("/ask?head=e16&relation=in&tail=e01")
    expect(tab.locator(".verdict")).to_have_text("true")


def test_an_unknown_name_is_explained(tab: Tab) -> None:
    tab.goto("/ask?head=nobody&relation=in")
    expect(tab.get_by_role("alert")).to_contain_text("no entity has the label or name 'nobody'")
    tab.goto("/entity/nobody")
    expect(tab.get_by_role("alert")).to_contain_text("no entity has the label or name 'nobody'")


def test_pasted_facts_are_checked(tab: Tab) -> None:
    tab.goto("/check")
    area = tab.get_by_label("Facts", exact=True)
    area.fill("e16 in e01")
    tab.get_by_role("button", name="Check").click()
    expect(tab.get_by_role("alert")).to_contain_text("line 1 has 1 part")
    area.fill("e16\tin\te01\n\nnobody\tin\te01\n")
    tab.get_by_role("button", name="Check").click()
    expect(tab.locator(".verdicts tbody tr")).to_have_count(2)
    expect(tab.locator(".verdicts tbody tr").nth(1)).to_contain_text("no entity has the label")
    expect(tab.get_by_role("status")).to_contain_text("without verdict: 1")


def test_a_new_entity_is_asked_about_by_its_facts(tab: Tab) -> None:
    tab.goto("/new")
    tab.get_by_role("button", name="Ask", exact=True).click()
    expect(tab.get_by_text("Give a description, a picture or facts.")).to_be_visible()
    tab.get_by_label("Facts (optional)").fill("Newland\tspeaks\te19\nNewland\tin\te01")
    tab.get_by_role("combobox", name="Relation").fill("next_to")
    tab.keyboard.press("Enter")
    expect(tab.locator(".result h2")).to_contain_text("Newland")
    expect(tab.locator(".answer").first).to_be_visible()
    tab.locator(".answer").first.get_by_text("Paths that lead to it").click()
    expect(tab.locator(".path, .paths .note").first).to_be_visible()


def test_the_api_is_described_without_a_network(tab: Tab) -> None:
    tab.goto("/docs")
    expect(tab.get_by_role("heading", name="GET /api/tails")).to_be_visible()
    expect(tab.get_by_role("heading", name="POST /api/score")).to_be_visible()


def test_the_login_form_leads_to_the_page_that_was_asked_for(
    browser: Browser, tmp_path: Path
) -> None:
    app = make_client(tmp_path, Access(token=TOKEN)).app
    with serve_in_thread(app) as address, open_tab(browser, address, *SIZES[0]) as tab:
        tab.goto("/entity/e19")
        tab.get_by_label("Token").fill(TOKEN)
        tab.get_by_role("button", name="Log in").click()
        expect(tab.get_by_role("heading", level=1)).to_have_text("E19")
