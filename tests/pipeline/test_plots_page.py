"""The page of DVC's plots: complete, offline, with every chart."""

import shutil
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Error, Request, expect, sync_playwright
from workspace import ROOT, Workspace

from cli.pipeline import make_page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


@pytest.fixture(scope="module")
def page() -> str:
    return make_page()


def test_the_page_has_dvcs_marks_and_its_own_scripts(page: str) -> None:
    assert page.count("{plot_divs}") == 1
    assert "{scripts}" not in page
    assert "src=" not in page.split("<script>", maxsplit=1)[0]
    assert "window.vegaEmbed" in page


def test_make_install_makes_the_page_and_tells_dvc_of_it() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert "\ninstall: $(VENV)/.installed .dvc/plots.html" in makefile
    assert "-m dvc config --quiet --local plots.html_template plots.html" in makefile
    assert "/plots.html" in (ROOT / ".dvc/.gitignore").read_text().splitlines()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_every_plot_is_drawn_without_a_network(
    copied: Workspace, page: str, tmp_path: Path
) -> None:
    template = tmp_path / "template.html"
    template.write_text(page, encoding="utf-8")
    copied.dvc("plots", "show", "--html-template", str(template), "--out", str(tmp_path))
    urls: list[str] = []
    faults: list[str] = []

    def note_request(request: Request) -> None:
        urls.append(request.url)

    def note_fault(fault: Error) -> None:
        faults.append(fault.message)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        shown = browser.new_context(offline=True).new_page()
        shown.on("request", note_request)
        shown.on("pageerror", note_fault)
        shown.goto((tmp_path / "index.html").as_uri())
        count = len(yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"])
        expect(shown.locator("main svg.marks")).to_have_count(count, timeout=60_000)
        browser.close()
    assert faults == []
    assert [url for url in urls if url.startswith("http")] == []
