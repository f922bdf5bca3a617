"""The folder of unfinished work: flows make the same checks as stages, before a stage runs."""

import os
from pathlib import Path

import pytest

from flows.errors import FlowError
from flows.experiments.form import state_folder
from imf_core.base.errors import ConfigError
from stages import runner


@pytest.mark.parametrize("value", ["", " ", "file", "file/folder"])
def test_a_state_folder_that_stages_refuse_is_an_error_of_the_flow(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMF_STATE", value)
    with pytest.raises(ConfigError, match="unset it to use"):
        runner.state_folder()
    with pytest.raises(FlowError, match="unset it to use"):
        state_folder()


def test_a_state_folder_that_cannot_be_written_is_an_error_of_the_flow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMF_STATE", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(FlowError, match="cannot be written; set IMF_STATE"):
        state_folder()


def test_a_state_folder_is_that_of_the_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IMF_STATE", raising=False)
    assert state_folder() == runner.state_folder().absolute() == tmp_path / ".imf"
