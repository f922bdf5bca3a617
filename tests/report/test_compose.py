"""What the page shows is what the files say."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from made_run import compose

from imf_core.artifacts import read_json, read_parquet, write_json, write_parquet, write_text
from imf_core.errors import DataError
from imf_core.inference.fact_table import NEW
from imf_core.report.comparison import NotCompared
from imf_core.report.compose import RunFiles, _tell_apart
from imf_core.report.curves import MAX_POINTS, draw_training
from imf_core.report.page import Page, render_page


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


def test_new_facts_are_in_no_split_and_of_many_relations(run_files: RunFiles, page: Page) -> None:
    new = [row for row in read_parquet(run_files.predictions).to_pylist() if row["known_in"] == NEW]
    assert {fact.relation for fact in page.new_facts[:3]} == {0, 1, 2}
    assert page.new_facts[0].probability == new[0]["probability"]


def test_a_mistake_is_ranked_badly_and_something_false_or_unknown_is_preferred(page: Page) -> None:
    assert page.mistakes
    for mistake in page.mistakes:
        assert mistake.rank > 10
        known = mistake.head if mistake.asked_for == "tail" else mistake.tail
        assert mistake.preferred not in {mistake.head, mistake.tail, known}


def test_the_weights_of_a_relation_sum_to_one(page: Page) -> None:
    for _, *weights in page.figures["weights"].rows:
        assert sum(map(float, weights)) == pytest.approx(100, abs=2)


def test_every_figure_has_words_and_numbers(page: Page) -> None:
    for figure in [*page.figures.values(), *page.curves]:
        assert figure.summary
        assert all(len(row) == len(figure.columns) for row in figure.rows)


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


def test_relations_of_one_name_are_told_apart() -> None:
    described = [{"name": name, "relation": label} for name, label in (("in", "P1"), ("on", "P2"))]
    told_apart = _tell_apart([*described, {"name": "in", "relation": "P3"}])
    assert [row["name"] for row in told_apart] == ["in (P1)", "on", "in (P3)"]


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
