"""Paths on the page: the diagrams beside new facts and below mistakes."""

import re
from dataclasses import replace
from html import unescape

import pytest
from made_run import HOSTILE, named_graph
from tiny_world import COUNTRIES

from imf_core.base.path_text import format_path
from imf_core.report.diagrams import Diagram, LabelIds, Step
from imf_core.report.page import Page, render_page

ASKED, LANGUAGE, OTHER = COUNTRIES[0], 18, COUNTRIES[4]


def fact(head: int, relation: str, tail: int, known_in: str = "train") -> dict[str, object]:
    """A fact of a path, as in `results/predictions.parquet`."""
    graph = named_graph()
    number = graph.relation_labels.index(relation)
    ends = {"head": head, "tail": tail}
    return {
        **{role: graph.entity_labels[entity] for role, entity in ends.items()},
        **{f"{role}_name": graph.entity_names[entity] for role, entity in ends.items()},
        "relation": relation,
        "relation_name": graph.relation_names[number],
        "known_in": known_in,
        "weight": 0.5,
    }


PATH = {
    "weight": 0.25,
    "facts": [fact(ASKED, "speaks", LANGUAGE), fact(OTHER, "speaks", LANGUAGE, "test")],
}


@pytest.fixture
def path() -> Diagram:
    """From a country to another one by the language of both; the second fact is of test."""
    return LabelIds(named_graph()).draw(ASKED, [PATH])[0]


def show(page: Page, paths: list[Diagram]) -> str:
    """Renders the section of new facts with one fact that has these paths."""
    html = render_page(replace(page, new_facts=[replace(page.new_facts[0], paths=paths)]), "")
    return html.split('<section id="new"')[1].split("</section>")[0]


def test_a_path_is_walked_from_the_asked_entity_and_keeps_the_direction_of_facts(
    path: Diagram,
) -> None:
    assert path.entities == [ASKED, LANGUAGE, OTHER]
    assert path.steps == (Step(2, True, LANGUAGE, "train"), Step(2, False, OTHER, "test"))
    assert (path.weight, path.text) == (0.25, format_path(PATH))


def test_the_paths_of_a_fact_lead_from_the_entity_asked_about_to_the_answer(
    page_with_paths: Page,
) -> None:
    explained = [fact for fact in page_with_paths.new_facts if fact.paths]
    assert explained
    for fact in explained:
        ends = [fact.head, fact.tail] if fact.asked_for == "tail" else [fact.tail, fact.head]
        assert [[each.entities[0], each.entities[-1]] for each in fact.paths] == [ends] * len(
            fact.paths
        )


def test_the_path_below_a_mistake_leads_to_the_answer_put_first(page_with_paths: Page) -> None:
    explained = [mistake for mistake in page_with_paths.mistakes if mistake.paths]
    assert explained
    for mistake in explained:
        known = mistake.head if mistake.asked_for == "tail" else mistake.tail
        (path,) = mistake.paths
        assert [path.entities[0], path.entities[-1]] == [known, mistake.preferred]
    html = render_page(page_with_paths, "").split('<section id="mistakes"')[1]
    assert html.count("The best path to the answer put first") == len(explained)
    without = len(page_with_paths.mistakes) - len(explained)
    assert html.count("No path leads to the answer put first") == without


def test_a_diagram_has_its_text_its_weight_and_a_mark_of_held_out_facts(
    page: Page, path: Diagram
) -> None:
    section = unescape(show(page, [path]))
    assert f'role="img" aria-label="{path.text}"' in section
    assert path.text.endswith("[test] (weight 0.25)")
    assert "<small>weight 0.25</small>" in section
    assert re.findall(r'class="(step[^"]*)"', section) == ["step", "step back held-out"]
    assert section.count("<b>test</b>") == 1


@pytest.mark.parametrize(("count", "words"), [(2, "1 more path<"), (3, "2 more paths<")])
def test_further_paths_can_be_folded(page: Page, path: Diagram, count: int, words: str) -> None:
    section = show(page, [path] * count)
    assert section.count('class="path"') == count
    assert words in section
    assert "more path" not in show(page, [path])


def test_a_fact_without_a_path_is_below_a_heading_that_says_so(
    page_with_paths: Page, path: Diagram
) -> None:
    heading = "<h3>No path</h3>"
    assert heading in show(page_with_paths, [])
    assert 'class="path"' not in show(page_with_paths, [])
    assert heading not in show(page_with_paths, [path])


def test_a_page_of_a_model_without_the_channel_has_no_word_of_paths(page: Page) -> None:
    assert not page.has_paths
    html = render_page(page, "")
    for name in ("modalities", "new", "mistakes"):
        assert "path" not in html.split(f'<section id="{name}"')[1].split("</section>")[0]


def test_the_channel_is_named_among_the_others(page_with_paths: Page) -> None:
    html = " ".join(render_page(page_with_paths, "").split())
    assert "one for their fusion, and one for paths" in html
    assert "paths, %" in html


def test_hostile_names_of_a_path_are_escaped(page: Page, path: Diagram) -> None:
    assert HOSTILE[:70] in path.text
    for section in (show(page, [path]), show(page, [replace(path, text='" onload="x')])):
        assert "<script" not in section
        assert 'onload="' not in section


def test_an_iri_is_shown_by_its_last_part(page: Page, path: Diagram) -> None:
    names = ["http://example.org/of#part", *page.relation_names[1:]]
    steps = (replace(path.steps[0], relation=0),)
    section = show(replace(page, relation_names=names), [replace(path, steps=steps)])
    assert '<span class="step"><span>part</span></span>' in section


def test_each_picture_is_in_the_page_once(page_with_paths: Page) -> None:
    html = render_page(page_with_paths, "")
    assert page_with_paths.cards.pictures
    for key, uri in page_with_paths.cards.pictures.items():
        assert html.count(f'id="picture-{key}"') == html.count(uri) == 1
    shown = set(map(int, re.findall(r'href="#picture-(\d+)"', html)))
    assert shown == set(page_with_paths.cards.pictures)
