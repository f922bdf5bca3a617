"""`imf show` prints whether training was still rising at its end, and the paths to its facts."""

import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from cli import results
from imf_core.base.artifacts import read_json, read_parquet, write_json, write_parquet
from imf_core.report.compose import RunFiles


def show(
    files: RunFiles, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """Returns the output of `imf show` for a run."""
    monkeypatch.setattr(results, "EVALUATION", files.evaluation)
    monkeypatch.setattr(results, "MODEL", files.model)
    monkeypatch.setattr(results, "DATA_SUMMARY", files.summary)
    monkeypatch.setattr(results, "PREDICTIONS", files.predictions)
    results.show()
    return capsys.readouterr().out


@pytest.mark.parametrize("is_still_rising", [True, False])
def test_a_best_epoch_that_is_the_last_one_is_printed(
    is_still_rising: bool,
    run_files: RunFiles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = replace(run_files, model=tmp_path / "model")
    shutil.copytree(run_files.model, files.model)
    config = read_json(files.model / "config.json")
    config["training"] |= {"is_still_rising": is_still_rising}
    write_json(files.model / "config.json", config)
    printed = show(files, monkeypatch, capsys)
    note = (
        "\nNote: the best epoch is the last one, so more epochs may gain: set train.epochs to 8 "
        "(`dvc exp run -S train.epochs=8`); training goes on from its last kept state.\n"
    )
    assert (note in printed) is is_still_rising


def test_the_best_path_is_printed_below_a_fact_of_a_run_that_has_paths(
    run_files: RunFiles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    written = read_parquet(run_files.predictions)
    step = {"head_name": "a", "relation_name": "is", "tail_name": "b", "known_in": "test"}
    reasons = pa.array([[{"weight": 0.25, "facts": [step]}]] * len(written))
    place = written.column_names.index("reasons")
    files = {
        "no paths": written,
        "an older run": written.drop_columns("reasons"),
        "paths": written.set_column(place, "reasons", reasons),
    }
    for name, table in files.items():
        write_parquet(tmp_path / "predictions.parquet", table)
        run = replace(run_files, predictions=tmp_path / "predictions.parquet")
        lines = show(run, monkeypatch, capsys).splitlines()
        below = [lines[n + 1] for n, line in enumerate(lines) if line.startswith("  0.")]
        is_path = [line.strip() == "a - is - b [test] (weight 0.25)" for line in below]
        assert len(is_path) == 3
        assert all(is_path) if name == "paths" else not any(is_path)
        assert any("below it the best path" in line for line in lines) == (name == "paths")
