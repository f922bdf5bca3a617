"""Flows show the results that the stages have written."""

import logging

import pytest
from prefect.exceptions import ParameterTypeError
from workspace import Workspace

from flows.pages.refresh_report import report, take_run_snapshot
from flows.pages.results_page import audit, metrics_table, predictions_table
from flows.refresh import _has_requested, refresh
from imf_core.base.artifacts import read_json


def test_the_tables_take_what_the_stages_write(finished: Workspace) -> None:
    results = finished.folder / "results"
    told = metrics_table(None, read_json(results / "evaluation/metrics.json"))
    channels = [
        f"| {name} channel alone | " for name in ("structural", "visual", "textual", "fused")
    ]
    assert all(told.count(title) == 2 for title in [*channels, "| **full model** | "])
    assert audit(read_json(results / "data.json")).startswith("**folder**: 137 entities, 9 rel")
    lines = predictions_table(results / "predictions.parquet", 1).splitlines()
    assert len(lines) == 3


def test_a_run_is_compared_with_itself_or_with_nothing(
    finished: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished.folder)
    now = take_run_snapshot(logging.getLogger())
    assert now.graph is not None
    assert now.graph.entities["images"].to_pylist().count("") == 130
    assert "Nothing changed in the metrics." in report(now, now, [])
    monkeypatch.chdir(finished.folder / "examples")
    nothing = take_run_snapshot(logging.getLogger())
    assert "There was no complete graph before to compare with." in report(nothing, now, [])
    assert "There are none: a stage failed." in report(now, nothing, [])


def test_a_run_without_the_web_forces_no_stage_of_it(finished: Workspace) -> None:
    for path in ("data/media/manifest.parquet", "data/images/sources.parquet", "nowhere.parquet"):
        assert not _has_requested(finished.folder / path)


@pytest.mark.parametrize("days", [0, 3651, "often"])
def test_a_number_of_days_out_of_bounds_is_refused(days: object) -> None:
    with pytest.raises(ParameterTypeError, match="stale_after_days"):
        refresh.validate_parameters({"stale_after_days": days})
