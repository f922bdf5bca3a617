"""`imf show` prints whether training was still rising at its end."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cli import results
from imf_core.base.artifacts import read_json, write_json
from imf_core.report.compose import RunFiles


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
    monkeypatch.setattr(results, "EVALUATION", files.evaluation)
    monkeypatch.setattr(results, "MODEL", files.model)
    monkeypatch.setattr(results, "DATA_SUMMARY", files.summary)
    monkeypatch.setattr(results, "PREDICTIONS", files.predictions)
    results.show()
    printed = capsys.readouterr().out
    note = (
        "\nNote: the best epoch is the last one, so more epochs may gain: set train.epochs to 8 "
        "(`dvc exp run -S train.epochs=8`); training goes on from its last kept state.\n"
    )
    assert (note in printed) is is_still_rising
