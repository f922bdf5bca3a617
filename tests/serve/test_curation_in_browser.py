"""A curator in a real browser: the queue by keyboard, buttons beside answers and verdicts, undo."""

import re
from pathlib import Path

import pytest
from chromium import CHROMIUM
from opened_page import SIZES, open_tab, serve_in_thread
from playwright.sync_api import Browser, Locator, expect
from served_world import make_completer
from test_curation_routes import make_curated

from imf_core.inference.completer import Completer
from imf_core.prepare.decisions import find_latest, read_decisions

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome is installed"),
]

NAME = "Grace <b>Hopper</b>"


@pytest.fixture(scope="module")
def completer(tmp_path_factory: pytest.TempPathFactory) -> Completer:
    return make_completer(tmp_path_factory.mktemp("curated"), with_paths=False)


def pressed(card: Locator, name: str) -> Locator:
    return card.get_by_role("button", name=name, pressed=True)


@pytest.mark.parametrize(("width", "scheme"), SIZES, ids=["phone", "desk"])
def test_a_curator_decides_and_undoes(
    width: int, scheme: str, browser: Browser, completer: Completer, tmp_path: Path
) -> None:
    path = tmp_path / "decisions.jsonl"
    app = make_curated(completer, path, by=None).app
    with serve_in_thread(app) as address, open_tab(browser, address, width, scheme) as tab:
        tab.goto("/queue")
        tab.get_by_label("Your name, stored with each decision").fill(NAME)
        tab.get_by_role("button", name="Save").click()
        expect(tab.get_by_text(f"You decide as {NAME}")).to_be_visible()
        expect(tab.get_by_text("a accepts, r rejects, u is unsure, z undoes")).to_be_visible()

        # By keyboard: the focus goes to the next fact.
        cards = tab.locator(".todo")
        expect(cards.first.get_by_role("button", name="Accept")).to_be_visible()
        cards.first.focus()
        tab.keyboard.press("a")
        expect(pressed(cards.first, "Accept")).to_be_visible()
        expect(cards.nth(1)).to_be_focused()
        tab.keyboard.press("r")
        expect(pressed(cards.nth(1), "Reject")).to_be_visible()
        tab.keyboard.press("k")
        tab.keyboard.press("k")
        expect(cards.nth(0)).to_be_focused()
        tab.keyboard.press("z")
        expect(pressed(cards.first, "Accept")).to_have_count(0)
        cards.nth(2).get_by_role("button", name="Unsure").click()
        expect(cards.nth(2)).to_contain_text(f"unsure by {NAME}")
        expect(tab.locator(".decided li")).to_have_count(2)
        label = cards.nth(1).get_attribute("aria-label")
        rejected = tuple(str(label).split(" – "))

        # What is written in a field is no key.
        tab.get_by_role("combobox", name="Search entities").fill("aru")
        decisions = [each.decision for each in read_decisions(path)]
        assert decisions == ["accepted", "rejected", "withdrawn", "unsure"]
        assert {each.by for each in read_decisions(path)} == {NAME}

        # The next facts are those without a decision; a withdrawn one is among them again.
        tab.get_by_role("button", name="Next facts").click()
        expect(tab.get_by_role("listitem", name=str(label))).to_have_count(0)

        # Beside answers and verdicts.
        tab.goto("/ask?head=e15&relation=speaks")
        answer = tab.locator(".answer").first
        answer.get_by_role("button", name="Accept").click()
        expect(answer).to_contain_text("accepted by")
        answer.get_by_role("button", name="Reject").click()
        expect(answer).to_contain_text("rejected by")
        answer.get_by_role("button", name="Undo").click()
        expect(answer).to_contain_text("accepted by")
        tab.goto("/check")
        tab.get_by_label("Facts", exact=True).fill("e16\tspeaks\te19\nnobody\tspeaks\te19")
        tab.get_by_role("button", name="Check").click()
        row = tab.get_by_role("row", name=re.compile("E16"))
        row.get_by_role("button", name="Reject").click()
        expect(row).to_contain_text("rejected by")
        tab.reload()
        assert len(rejected) == 3
        latest = find_latest(read_decisions(path))
        assert latest["e16", "speaks", "e19"].decision == "rejected"
        assert sorted(each.decision for each in latest.values()) == [
            *["accepted", "rejected", "rejected", "unsure"]
        ]

        # In the list of the latest decisions.
        tab.goto("/queue")
        tab.locator(".decided li").first.get_by_role("button", name="Withdraw").click()
        expect(tab.locator(".decided li")).to_have_count(3)
