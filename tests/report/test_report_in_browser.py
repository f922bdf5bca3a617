"""The page in a real browser: charts, sorting and accessibility."""

from pathlib import Path

import pytest
import vl_convert
from axe_playwright_python.sync_playwright import Axe
from chromium import CHROMIUM
from playwright.sync_api import Browser
from playwright.sync_api import Page as Tab

from imf_core.report.page import CHARTS_SCRIPT, Page, render_page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome is installed"),
]


@pytest.fixture(scope="module")
def address(page_with_paths: Page, tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(
        render_page(page_with_paths, vl_convert.javascript_bundle(CHARTS_SCRIPT)), "utf-8"
    )
    return path.as_uri()


def open_page(browser: Browser, address: str, width: int, scheme: str) -> tuple[Tab, list[str]]:
    """Opens the page, waits for its charts and collects errors of its scripts and requests."""
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True
    )
    tab, faults = context.new_page(), []
    tab.on("console", lambda message: faults.append(message.text))
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("request", lambda request: request.url.startswith("http") and faults.append(request.url))
    tab.goto(address)
    tab.wait_for_function(
        "document.querySelectorAll('[data-chart] svg[aria-hidden]').length"
        " === document.querySelectorAll('[data-chart]').length"
    )
    return tab, faults


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_it_is_drawn_without_faults_and_usable_by_everybody(
    browser: Browser, address: str, width: int, scheme: str
) -> None:
    tab, faults = open_page(browser, address, width, scheme)
    tab.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    found = Axe().run(tab).response["violations"]
    serious = [each["id"] for each in found if each["impact"] in {"serious", "critical"}]
    assert (serious, faults) == ([], [])
    assert tab.evaluate("document.documentElement.scrollWidth") == width, "it scrolls sideways"
    assert not tab.evaluate("window.isHacked")


def test_on_a_phone_every_bar_has_its_label(
    browser: Browser, address: str, page_with_paths: Page
) -> None:
    tab, _ = open_page(browser, address, 360, "light")
    for name in ("ranks", "degree", "media"):
        values = page_with_paths.figures[name].spec["data"]["values"]
        labels = {str(row.get("group", row.get("rank"))) for row in values}
        texts = tab.locator(f"[data-chart={name}] svg .role-axis-label text")
        seen = texts.evaluate_all(
            "each => each.filter((text) => text.getAttribute('opacity') !== '0')"
            ".map((text) => text.textContent)"
        )
        assert labels <= set(seen)


def test_the_bars_of_coverage_are_of_one_length(browser: Browser, address: str) -> None:
    for width in (360, 1280):
        tab, _ = open_page(browser, address, width, "light")
        bars = tab.locator(".coverage .bar")
        widths = bars.evaluate_all("each => each.map((bar) => bar.getBoundingClientRect().width)")
        assert len(widths) == 4
        assert max(widths) - min(widths) < 1


@pytest.mark.parametrize(("width", "axis"), [(360, "y"), (1280, "x")])
def test_a_path_goes_down_on_a_phone_and_from_left_to_right_elsewhere(
    browser: Browser, address: str, width: int, axis: str
) -> None:
    tab, _ = open_page(browser, address, width, "light")
    nodes = tab.locator(".explained .path").first.locator(".node")
    boxes = nodes.evaluate_all("each => each.map((node) => node.getBoundingClientRect().toJSON())")
    starts = [box[axis] for box in boxes]
    assert len(starts) > 1
    assert starts == sorted(set(starts))
    other = "x" if axis == "y" else "y"
    assert len({box[other] for box in boxes}) == 1


def test_the_table_of_relations_is_sorted_by_keyboard(browser: Browser, address: str) -> None:
    tab, _ = open_page(browser, address, 1280, "light")
    button = tab.locator("table.sortable button", has_text="MRR")
    button.focus()
    for key, order in (("Enter", "descending"), ("Space", "ascending")):
        tab.keyboard.press(key)
        cells = tab.locator("table.sortable tbody tr td:nth-child(5)").all_inner_texts()
        values = [float(cell) for cell in cells]
        assert values == sorted(values, reverse=order == "descending")
        assert button.locator("xpath=..").get_attribute("aria-sort") == order
