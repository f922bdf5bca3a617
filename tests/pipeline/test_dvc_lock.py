"""Reading `dvc.lock`, which DVC writes in place."""

from pathlib import Path

import pytest

from imf_core.base.errors import DataError
from stages.committed import read_locked_stages


def test_stages_are_returned_by_name(tmp_path: Path) -> None:
    path = tmp_path / "dvc.lock"
    path.write_text("schema: '2.0'\nstages:\n  media:\n    cmd: python\n")
    assert read_locked_stages(path) == {"media": {"cmd": "python"}}


@pytest.mark.parametrize("content", [None, "", "schema: '2.0'\n", "schema: '2.0'\nstages:\n"])
def test_without_a_locked_stage_there_is_none(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "dvc.lock"
    if content is not None:
        path.write_text(content)
    assert read_locked_stages(path) is None


def test_a_file_that_is_cut_in_a_value_is_named_with_its_remedy(tmp_path: Path) -> None:
    path = tmp_path / "dvc.lock"
    path.write_text("stages:\n  media: {cmd: 'pyth")
    with pytest.raises(DataError, match=r"dvc.lock is damaged.* `git checkout"):
        read_locked_stages(path)
