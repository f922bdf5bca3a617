"""The page as text: self-contained, reproducible, and safe for hostile names."""

import json
import re
from dataclasses import replace
from html import unescape

from made_run import HOSTILE, TRIALS, compose

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
    assert set(re.findall(r'href="(?!data:image/)([^#][^"]*)', html)) <= {
        "https://example.org/flag"
    }
    assert "default-src 'none'" in html


def test_a_best_epoch_that_is_the_last_one_is_told_with_the_value_to_set(page: Page) -> None:
    training = {"selected_epoch": 4, "trained_epochs": 4, "is_still_rising": True}
    html = render_page(replace(page, training=training), "")
    assert "The last epoch is the best one" in html
    assert "set <code>train.epochs</code> to 8. Training goes on from its last kept state." in html


def test_a_best_epoch_before_the_last_one_needs_no_word(page: Page) -> None:
    html = render_page(page, "")
    assert "The last epoch" not in html


def test_a_baseline_that_still_rises_is_told_apart(page: Page) -> None:
    training = {"selected_epoch": 9, "trained_epochs": 9, "is_still_rising": True}
    html = render_page(replace(page, baseline_training=training), "")
    assert "The last epoch of the <strong>baseline</strong> is its best one" in html
    assert "set <code>train.epochs</code> to 18" in html


def test_the_trials_and_the_chosen_values_are_a_table(page: Page) -> None:
    html = render_page(page, "")
    rows = re.findall(r'<tr( class="chosen")?><th scope="row">train\.n3 (.*?)</th>', html)
    assert [(value, bool(chosen)) for chosen, value in rows] == [
        (row["setting"].removeprefix("train.n3 "), row["is_chosen"] == "yes") for row in TRIALS
    ]


def test_without_trials_there_is_no_table_of_them(page: Page) -> None:
    assert 'aria-label="Trials"' not in render_page(replace(page, trials=[]), "")
