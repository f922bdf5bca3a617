"""The page as text: self-contained, the same each time, and safe from what strangers wrote."""

import json
import re
from html import unescape

from made_run import HOSTILE, compose

from imf_core.report.compose import RunFiles
from imf_core.report.page import Page, render_page


def test_the_same_run_gives_the_same_bytes(run_files: RunFiles, page: Page) -> None:
    assert render_page(compose(run_files), "") == render_page(page, "")


def test_no_name_gets_into_the_page_unescaped(page: Page) -> None:
    html = render_page(page, "")
    assert HOSTILE not in html
    assert html.count("<script") == html.count("</script") == 3
    assert 'onerror="' not in html


def test_the_charts_hold_the_names_as_they_are(page: Page) -> None:
    found = re.search(r'id="specs">(.*?)</script>', render_page(page, ""), re.DOTALL)
    assert found is not None
    weights = json.loads(found[1])["weights"]["data"]["values"]
    assert {row["relation"] for row in weights} == set(page.relation_names)


def test_a_library_that_would_end_its_script_is_kept_inside(page: Page) -> None:
    html = render_page(page, 'const a = "</script><!--";')
    assert html.count("</script") == 3
    assert "<!--" not in html


def test_nothing_is_asked_of_the_network(page: Page) -> None:
    html = unescape(render_page(page, "")).replace(HOSTILE, "")
    assert re.findall(r'(?:src|srcset|action)="(?!data:)', html) == []
    assert set(re.findall(r'href="([^#][^"]*)', html)) <= {"https://example.org/flag"}
    assert "default-src 'none'" in html
