"""The page shows the content of the files."""

import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from made_run import HOSTILE, compose, named_graph, write_sources
from markupsafe import escape
from tiny_world import tiny_tables
from workspace import ROOT

from imf_core.base.artifacts import (
    read_json,
    read_parquet,
    write_csv,
    write_json,
    write_parquet,
    write_text,
)
from imf_core.base.errors import DataError
from imf_core.graph.issues import DataIssue
from imf_core.inference.fact_table import NEW
from imf_core.report.comparison import NotCompared
from imf_core.report.compose import RunFiles
from imf_core.report.curves import MAX_POINTS, draw_training
from imf_core.report.entities import find_failures
from imf_core.report.examples import DOUBTFUL_FACTS, SUSPECTS, read_relations
from imf_core.report.page import Page, render_page
from imf_core.report.relations import RelationQuestions, find_unrelated_pairs


def test_the_gain_is_the_difference_of_the_two_metrics(page: Page) -> None:
    by_kind = {row.kind: row.metrics["mrr"] for row in page.rows}
    assert page.gain is not None
    assert page.gain.gain == pytest.approx(by_kind["full"] - by_kind["baseline"])
    assert page.gain.low <= page.gain.gain <= page.gain.high


def test_the_metrics_of_both_models_are_those_of_their_ranks(page: Page) -> None:
    questions = sum(row.questions for row in page.relations)
    for kind, name in (("full", "mrr"), ("baseline", "baseline")):
        told = next(row.metrics["mrr"] for row in page.rows if row.kind == kind)
        mean = sum(getattr(row, name) * row.questions for row in page.relations) / questions
        assert mean == pytest.approx(told)


def test_a_model_of_structure_alone_is_its_own_baseline(
    run_files: RunFiles, tmp_path: Path
) -> None:
    write_parquet(tmp_path / "ranks.parquet", pa.table({}))
    write_json(tmp_path / "metrics.json", {})
    alone = compose(replace(run_files, baseline=tmp_path))
    assert alone.gain is None
    assert "it is its own baseline" in render_page(alone, "")
    assert "baseline" not in {row.kind for row in alone.rows}


def test_the_last_committed_run_stands_beside_unless_it_is_the_same(run_files: RunFiles) -> None:
    same = read_json(run_files.evaluation / "metrics.json")
    other = {"test": {**same["test"], "mrr": 0.5}}
    found = {
        name: compose(run_files, metrics)
        for name, metrics in (("no run", NotCompared.NO_RUN), ("same", same), ("other", other))
    }
    for name, page in found.items():
        assert page.committed == name
        assert ("committed" in {row.kind for row in page.rows}) == (name == "other")


@pytest.mark.parametrize(
    ("why", "words"),
    [
        (NotCompared.NO_RUN, "There is no committed run"),
        (NotCompared.OTHER_FACTS, "is of another graph or other facts"),
        (NotCompared.NOT_CACHED, "neither in DVC's cache"),
    ],
)
def test_the_page_says_why_no_committed_run_stands_beside(
    run_files: RunFiles, why: NotCompared, words: str
) -> None:
    assert words in render_page(compose(run_files, why), "")


def test_a_committed_run_with_other_metrics_is_left_aside(run_files: RunFiles) -> None:
    assert "committed" not in {row.kind for row in compose(run_files, {"test": {"mr": 3}}).rows}


def with_probability(run_files: RunFiles, folder: Path, most: float) -> RunFiles:
    """Copies the predictions; the first one gets the probability `most`."""
    table = read_parquet(run_files.predictions)
    probabilities = [most * (1 - place / len(table)) for place in range(len(table))]
    place = table.column_names.index("probability")
    changed = table.set_column(place, "probability", pa.array(probabilities))
    write_parquet(folder / "predictions.parquet", changed)
    return replace(run_files, predictions=folder / "predictions.parquet")


def test_new_facts_are_probable_in_no_split_and_of_many_relations(
    run_files: RunFiles, tmp_path: Path
) -> None:
    files = with_probability(run_files, tmp_path, 0.99)
    probable = [
        row for row in read_parquet(files.predictions).to_pylist() if row["probability"] >= 0.5
    ]
    new = [row for row in probable if row["known_in"] == NEW]
    page = compose(files)
    assert {fact.relation for fact in page.new_facts[:3]} == {0, 1, 2}
    assert page.new_facts[0].probability == new[0]["probability"]
    assert all(fact.probability >= 0.5 for fact in page.new_facts)
    assert (page.predicted.probable, page.predicted.probable_new) == (len(probable), len(new))


def test_where_no_new_fact_is_probable_the_page_says_so_and_shows_a_few(
    run_files: RunFiles, tmp_path: Path
) -> None:
    page = compose(with_probability(run_files, tmp_path, 0.02))
    assert page.predicted.probable_new == 0 < page.predicted.new
    assert len(page.new_facts) == DOUBTFUL_FACTS
    assert "so none is proposed" in render_page(page, "")


def test_a_mistake_is_ranked_badly_and_something_false_or_unknown_is_preferred(page: Page) -> None:
    assert page.mistakes
    for mistake in page.mistakes:
        assert mistake.rank > 10
        known = mistake.head if mistake.asked_for == "tail" else mistake.tail
        assert mistake.preferred not in {mistake.head, mistake.tail, known}


def test_suspicious_facts_are_facts_of_train_most_suspicious_first(page: Page) -> None:
    train = named_graph().triples["train"].tolist()
    assert len(page.suspects) == SUSPECTS
    assert all([fact.head, fact.relation, fact.tail] in train for fact in page.suspects)
    suspicions = [fact.suspicion for fact in page.suspects]
    assert suspicions == sorted(suspicions, reverse=True)
    assert f"{suspicions[0]:.1f}" in render_page(page, "")


def test_relations_are_asked_of_pairs_of_test_that_train_does_not_relate(page: Page) -> None:
    graph = named_graph()
    train = {frozenset(pair) for pair in graph.triples["train"][:, [0, 2]].tolist()}
    held_out = [*graph.triples["valid"].tolist(), *graph.triples["test"].tolist()]
    related = page.related
    assert 0 < related.confirmed <= related.asked
    assert related.frequent <= related.asked
    for each in related.examples:
        assert frozenset((each.head, each.tail)) not in train
        assert each.is_confirmed == ([each.head, each.relation, each.tail] in held_out)
        assert 0 < each.probability <= 1
    assert f"Of a sample of {related.asked} pairs that test relates" in render_page(page, "")


def test_a_graph_without_such_pairs_has_no_section_on_relations(page: Page) -> None:
    graph = named_graph()
    graph.triples["test"] = graph.triples["train"][:5]
    assert not len(find_unrelated_pairs(graph))
    without = replace(page, related=RelationQuestions(0, 0, 0, []))
    assert 'id="related"' not in render_page(without, "")


def test_the_weights_of_a_relation_sum_to_one(page: Page) -> None:
    for _, *weights in page.figures["weights"].rows:
        assert sum(map(float, weights)) == pytest.approx(100, abs=2)


def test_every_figure_has_words_and_numbers(page: Page) -> None:
    for figure in [*page.figures.values(), *page.curves]:
        assert figure.summary
        assert all(len(row) == len(figure.columns) for row in figure.rows)


def test_pictures_that_could_not_be_used_are_told_beside_their_sources(page: Page) -> None:
    usable = int(tiny_tables()["image"].is_present.sum())
    assert page.num_with_picture == usable
    html = render_page(page, "")
    assert "<span>a usable picture</span>" in html
    assert f"<b>{usable}</b>" in html
    assert "<b>2</b> of 5 sources of pictures gave none: truncated" in html
    assert "<b>1</b> of 5 sources of pictures gave none: missing" in html
    assert "4.png (half a file)" in html


def test_issues_are_the_first_section_with_their_examples_escaped(page: Page) -> None:
    html = render_page(page, "")
    section = html.split('<section id="first"')[1].split("</section>")[0]
    assert html.index('<section id="first"') < html.index('<section id="graph"')
    assert "<b>7</b> files were not read." in section
    assert f"<li><code>{escape(HOSTILE)}</code></li>" in section
    assert "<li><code>b.csv</code></li><li>and 5 more</li>" in section
    assert HOSTILE not in section


def test_an_issue_with_one_case_reads_as_one(page: Page) -> None:
    one = DataIssue("unread_files", 1, "files were not read", ("a.csv",))
    section = render_page(replace(page, issues=[one]), "").split('<section id="first"')[1]
    assert "<b>1</b> case: files were not read." in section
    assert str(one) == "1 case: files were not read (first: a.csv)"
    assert str(replace(one, count=2)) == "2 files were not read (first: a.csv)"
    assert str(replace(one, text="of 4 lines are blank", examples=())) == "1 of 4 lines are blank"


def test_without_issues_one_line_says_so(page: Page) -> None:
    section = render_page(replace(page, issues=[]), "").split('<section id="first"')[1]
    assert "<p>No issue was found in the data" in section.split("</section>")[0]
    assert "left out" not in section.split("</section>")[0]  # repeated and blank lines were
    assert "<li>" not in section.split("</section>")[0]


def test_a_missing_file_that_download_has_reported_counts_once(
    run_files: RunFiles, tmp_path: Path
) -> None:
    summary = read_json(run_files.summary)
    summary["issues"] = [DataIssue("missing_images", 1, "images are missing").as_row()]
    write_json(tmp_path / "data.json", summary)
    found = compose(replace(run_files, summary=tmp_path / "data.json")).issues
    assert [issue.kind for issue in found] == ["missing_images", "picture_truncated"]


@pytest.mark.parametrize("reported", ["missing_images", "outside_images"])
def test_a_file_that_download_has_not_copied_counts_once_and_a_url_still_counts(
    reported: str, tmp_path: Path
) -> None:
    moment = "2026-01-01T00:00:00Z"
    source_outcomes = [
        ("/etc/a.png", "refused", "not a path inside the data folder", None),
        ("b.png", "missing", "there is no such file", None),
        ("https://10.0.0.1/c.png", "refused", "a private address", moment),
        ("d.png", "truncated", "half a file", None),
    ]
    write_sources(tmp_path, source_outcomes)
    names = [""] * 30
    kinds = {issue.kind: issue.count for issue in find_failures(tmp_path, names, {reported})}
    assert kinds == {"picture_refused": 1, "picture_truncated": 1}
    every = {issue.kind: issue.count for issue in find_failures(tmp_path, names, set())}
    assert every == {"picture_refused": 2, "picture_missing": 1, "picture_truncated": 1}


def test_an_entity_that_is_only_a_tail_is_shown_in_facts_of_others(page: Page) -> None:
    graph = named_graph()
    heads = set(graph.triples["train"][:, 0].tolist())
    only_tail = next(tail for _, _, tail in graph.triples["train"].tolist() if tail not in heads)
    shown = page.cards.sampled(only_tail, graph, page.relation_names)
    assert shown.facts
    assert all(fact.endswith(f" – {shown.name}") for fact in shown.facts)


def test_redundant_relations_are_told_without_contradicting_the_audit(
    page: Page,
) -> None:
    told = replace(page, redundant=["borders is symmetric"])
    html = render_page(told, "")
    assert "Train gives away no fact of valid or test." in html
    assert "here it tells none of them" in html


def test_the_drawing_of_the_method_has_the_colours_of_the_page() -> None:
    drawing = (ROOT / "docs/images/imf.svg").read_text()
    style = (ROOT / "imf_core/report/page.css").read_text()
    for name in ("structure", "image", "text", "fused", "paths"):
        light = re.search(rf"--{name}: (#\w+);", style)
        assert light is not None
        assert light[1] in drawing


def test_reliability_is_drawn(page: Page) -> None:
    drawn = page.figures["reliability"]
    assert drawn.rows == [["calibrated", "0", "0.5", "8", "25.0", "50.0"]]


def test_a_file_of_the_run_that_is_missing_is_named(run_files: RunFiles) -> None:
    path = run_files.evaluation / "reliability.csv"
    content = path.read_text()
    path.unlink()
    with pytest.raises(DataError, match=r"reliability.csv is missing"):
        compose(run_files)
    write_text(path, content)


def test_relations_of_one_name_are_told_apart(run_files: RunFiles, tmp_path: Path) -> None:
    path, labels = tmp_path / "relations.csv", named_graph().relation_labels
    rows = [
        dict.fromkeys(("cardinality", "symmetric", "inverse_of", "duplicate_of"), "")
        | {"relation": label, "name": name, "train_facts": 1}
        for label, name in zip(labels, ("in", "on", "in"), strict=True)
    ]
    write_csv(path, rows)
    names = [row["name"] for row in read_relations(path, named_graph())]
    assert names == [f"in ({labels[0]})", "on", f"in ({labels[2]})"]


def test_a_table_of_other_relations_than_those_of_the_graph_is_refused(
    run_files: RunFiles, tmp_path: Path
) -> None:
    path = tmp_path / "relations.csv"
    write_text(path, "\n".join(run_files.relations.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(DataError, match=r"relations\.csv has other relations .*`dvc repro`"):
        read_relations(path, named_graph())


def test_the_lock_tells_hashes_and_parameters_but_no_address(page: Page) -> None:
    assert page.lock is not None
    assert [out.hash for out in page.lock.outputs] == ["md5:abc.dir"]
    assert page.lock.params == {"media.source": "none"}


def test_only_web_addresses_become_links(page: Page) -> None:
    assert {credit.page for credit in page.credits} <= {"", "https://example.org/flag"}


def test_a_long_curve_is_thinned_to_its_ends_and_what_lies_between() -> None:
    drawn = draw_training({"loss": [(epoch, 1 / (1 + epoch)) for epoch in range(1001)]}, 3)
    epochs = [int(row[0]) for row in drawn[0].rows]
    assert len(epochs) == MAX_POINTS
    assert (epochs[0], epochs[-1]) == (0, 1000)


def test_the_page_calls_the_four_scorers_channels(page: Page) -> None:
    titles = [row.title for row in page.rows if row.kind == "channel"]
    assert titles == ["structure channel", "image channel", "text channel", "fused channel"]
    text = " ".join(re.sub("<[^>]*>", " ", render_page(page, "").split("<main")[1]).split())
    assert not re.search(r"(structure|image|text|fused|scoring|each|single|which) heads?\b", text)
    assert "and one for their fusion" in text


def test_no_control_or_direction_character_of_a_name_is_in_the_page(page: Page) -> None:
    odd = "a\x1b[31m\x00b\u202ec"
    issue = DataIssue("kind", 2, f"names like {odd}", (odd,))
    html = render_page(replace(page, issues=[issue]), "")
    assert not set("\x00\x1b\u202e") & set(html)
    assert r"a\x1b[31m\x00b\u202ec" in html
