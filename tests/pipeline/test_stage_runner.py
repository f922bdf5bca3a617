"""With which status and message a stage ends."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from imf_core.errors import DataError, NetworkError
from stages.runner import ray_address, run_stage


def failing(error: BaseException) -> Callable[[], None]:
    def stage() -> None:
        raise error

    return stage


@pytest.mark.parametrize(
    ("error", "status"),
    [(NetworkError("told"), 75), (DataError("told"), 1)],
    ids=["a fault of the network", "any other fault of the user's"],
)
def test_a_fault_is_told_and_its_kind_is_the_status(
    error: Exception, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_stage(failing(error))
    assert ended.value.code == status
    assert capsys.readouterr().err == "error: told\n"


def test_a_full_disk_is_told_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_stage(failing(OSError(errno.ENOSPC, "no space", "data/raw")))
    assert ended.value.code == 1
    assert "the disk is full (writing data/raw); free some space" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stage() -> None:
        tmp_path.write_text("a folder is no file")

    with pytest.raises(SystemExit) as ended:
        run_stage(stage)
    assert ended.value.code == 1
    assert (
        f"error: {tmp_path} cannot be read or written (Is a directory)" in capsys.readouterr().err
    )


def test_an_interrupted_stage_says_what_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_stage(failing(KeyboardInterrupt()))
    assert ended.value.code == 130
    assert "checkpoints are kept" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_stage(failing(ZeroDivisionError()))


def test_the_cluster_of_the_workers_is_the_one_that_ray_itself_would_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert ray_address() == "head:6379"
    monkeypatch.delenv("RAY_ADDRESS")
    assert ray_address() is None
