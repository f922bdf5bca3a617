"""Figures are merged run by run and rendered from the stored file."""

import re
from pathlib import Path

import pytest

from benchmarks.results import (
    MARKER,
    PLACES,
    RESULTS,
    SHORT_ROWS,
    Results,
    Row,
    Run,
    load_results,
    render_full,
    render_short,
    save_results,
)
from recipes.environment import replace_between_markers, start_of


def row(name: str, value: float, target: str | None = None, unit: str = "x") -> Row:
    return Row("speed", name, value, unit, "higher", target, unit == "x", "a note")


def run(*rows: Row, part: str = "speed", threads: int = 1) -> Run:
    return Run(part, threads, {"cpu": "abacus", "date": "today"}, rows)


def results_of(*runs: Run) -> Results:
    results = Results()
    for each in runs:
        results.add(each)
    return results


@pytest.mark.parametrize(
    ("value", "target", "reached"),
    [
        (8.0, "at least 8x", True),
        (7.9, "at least 8x", False),
        (1.3, "at most 1.3x", True),
        (1.4, "at most 1.3x", False),
        (1.0, None, None),
    ],
)
def test_a_target_is_reached_at_its_bound(
    value: float, target: str | None, reached: bool | None
) -> None:
    assert row("any", value, target).is_reached() is reached


def test_a_target_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match=re.escape('got "8x or so"')):
        row("any", 1.0, "8x or so").is_reached()


def test_a_saved_file_loads_as_it_was(tmp_path: Path) -> None:
    results = results_of(run(row("a", 2.0, "at least 1x")), run(row("a", 3.0), threads=4))
    save_results(results, tmp_path / "results.json")
    assert load_results(tmp_path / "results.json") == results


def test_a_run_replaces_only_the_one_of_its_part_and_threads() -> None:
    results = results_of(
        run(row("a", 1.0)), run(row("a", 2.0), threads=4), run(row("b", 3.0), part="size")
    )
    results.add(run(row("a", 5.0)))
    values = {key: each.rows[0].value for key, each in results.runs.items()}
    assert values == {("speed", 1): 5.0, ("speed", 4): 2.0, ("size", 1): 3.0}


def test_the_short_table_shows_its_rows_for_every_number_of_threads() -> None:
    results = results_of(
        run(row("a", 9.123, "at least 8x"), row("b", 12.0, unit="s"), row("c", 2.0, unit="s")),
        run(row("a", 7.5, "at least 8x"), row("d", 1234.5, "at least 2000 s", "s"), threads=2),
    )
    assert render_short(results, [("speed", "a"), ("speed", "d")]).splitlines() == [
        "|  | 1 thread, processor time | 2 threads, wall clock | target | reached |",
        "|---|---|---|---|---|",
        "| speed: a | 9.12x | 7.5x | at least 8x | no |",
        "| speed: d |  | 1,234 s | at least 2000 s | no |",
    ]


def test_the_full_table_shows_everything_and_where_it_was_measured() -> None:
    shown = render_full(results_of(run(row("a", 9.0), row("b", 0.5, unit="s"))))
    assert "cpu abacus, date today" in shown
    assert "| a | 9x |  | a note |" in shown
    assert "| b | 0.5 s |  | a note |" in shown


def test_only_the_text_between_the_markers_is_replaced() -> None:
    text = "before\n<!-- benchmarks -->\nold\n<!-- /benchmarks -->\nafter\n"
    replaced = replace_between_markers(text, MARKER, "new")
    assert replaced == "before\n<!-- benchmarks -->\n\nnew\n\n<!-- /benchmarks -->\nafter\n"


def test_every_row_of_the_short_table_was_measured() -> None:
    results = load_results(RESULTS)
    names = {(run.part, row.name) for run in results.runs.values() for row in run.rows}
    assert set(SHORT_ROWS) - names == set()


def test_a_text_without_its_end_marker_is_refused() -> None:
    with pytest.raises(ValueError, match="must have"):
        replace_between_markers("<!-- benchmarks -->", MARKER, "new")


@pytest.mark.parametrize("path", PLACES, ids=lambda path: path.name)
def test_the_texts_show_what_was_measured_last(path: Path) -> None:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if start_of(MARKER) not in text or not RESULTS.exists():
        pytest.skip("nothing is shown there")
    assert text == replace_between_markers(text, MARKER, PLACES[path](load_results(RESULTS)))
