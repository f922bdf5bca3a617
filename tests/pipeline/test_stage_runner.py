"""Exit statuses and messages of stages."""

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from imf_core.base.artifacts import read_json
from imf_core.base.errors import (
    ERROR_VARIABLE,
    ConfigError,
    DataError,
    ErrorRecord,
    NetworkError,
)
from stages.runner import ray_address, run_stage, state_folder


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


@pytest.mark.parametrize(
    ("error", "kind", "message", "is_temporary"),
    [
        (NetworkError("no answer"), "NetworkError", "no answer", True),
        (DataError("line 1\nline 2"), "DataError", "line 1\nline 2", False),
        (KeyError("a"), "KeyError", "KeyError: 'a'", False),
    ],
)
def test_the_first_error_is_recorded_in_the_file_that_the_environment_names(
    error: Exception,
    kind: str,
    message: str,
    is_temporary: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = tmp_path / "error.json"
    monkeypatch.setenv(ERROR_VARIABLE, str(record))
    monkeypatch.setattr("sys.argv", ["/project/stages/train.py"])
    for each in (error, DataError("of a process that fails later")):
        with pytest.raises((SystemExit, KeyError)):
            run_stage(failing(each))
    assert ErrorRecord(**read_json(record)) == ErrorRecord("train", kind, message, is_temporary)


def test_an_error_that_cannot_be_recorded_is_still_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(ERROR_VARIABLE, str(tmp_path / "file/error.json"))
    with pytest.raises(SystemExit):
        run_stage(failing(DataError("told")))
    assert capsys.readouterr().err == "error: told\n"


def test_a_full_disk_is_told_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_stage(failing(OSError(errno.ENOSPC, "no space", "data/raw")))
    assert ended.value.code == 1
    assert "the disk is full (writing data/raw); free some space" in capsys.readouterr().err


def from_full_disk(error: Exception) -> Exception:
    error.__cause__ = OSError(errno.EDQUOT, "quota", "results/model")
    return error


@pytest.mark.parametrize(
    "error",
    [
        from_full_disk(RuntimeError("unexpected pos 64 vs 0")),
        from_full_disk(DataError("cannot be read")),
        from_full_disk(NetworkError("no answer")),
        ExceptionGroup("", [ValueError(), OSError(errno.ENOSPC, "no space", "results/model")]),
    ],
)
def test_a_full_disk_behind_another_error_is_found(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_stage(failing(error))
    assert ended.value.code == 1
    assert "error: the disk is full (writing results/model)" in capsys.readouterr().err


def test_words_of_a_library_about_a_full_disk_are_understood(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        run_stage(failing(RuntimeError("write failed: No space left on device (os error 28)")))
    assert "the disk is full (writing standard output or a file)" in capsys.readouterr().err


def test_an_error_names_the_graph_harmlessly(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_stage(failing(DataError("no entity \x1b[2J\u202e東京")))
    assert capsys.readouterr().err == "error: no entity \\x1b[2J\\u202e東京\n"


@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_state_variable_is_an_error(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMF_STATE", value)
    with pytest.raises(ConfigError, match=r"variable IMF_STATE is empty; set .* or unset it"):
        state_folder()


@pytest.mark.parametrize("inside", ["file", "file/folder"])
def test_a_state_folder_that_is_a_file_is_an_error(
    inside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("IMF_STATE", str(tmp_path / inside))
    with pytest.raises(ConfigError, match=rf"{inside}, the folder for .*set IMF_STATE to a folder"):
        state_folder()


def test_a_state_folder_that_cannot_be_written_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMF_STATE", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ConfigError, match="cannot be written; set IMF_STATE"):
        state_folder()


def test_a_state_folder_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMF_STATE", str(tmp_path / "a/b"))
    assert state_folder().is_dir()


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


def test_a_file_without_permission_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(SystemExit):
        run_stage(failing(PermissionError(errno.EACCES, "denied", str(tmp_path / "mine.txt"))))
    assert f"error: {tmp_path / 'mine.txt'} cannot be read or written" in capsys.readouterr().err


def test_an_interrupted_stage_says_what_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_stage(failing(KeyboardInterrupt()))
    assert ended.value.code == 130
    assert "checkpoints are kept" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["x/.raw.tmp", ".raw.lock", "raw.lock", "results/y/.a.txt.7.tmp"])
@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EACCES, r"chmod -R u\+w .*chown"),
        (errno.EPERM, r"chmod -R u\+w .*chown"),
        (errno.EROFS, "read-only disk"),
    ],
)
def test_a_folder_that_cannot_be_written_is_named_and_not_the_file_in_it(
    number: int,
    remedy: str,
    exists: bool,
    name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / name
    if exists:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with pytest.raises(SystemExit):
        run_stage(failing(OSError(number, os.strerror(number), str(path))))
    folder = path.parent if exists else tmp_path
    error = capsys.readouterr().err
    assert re.match(rf"error: the folder {folder} cannot be written \(.*{remedy}.* copy of", error)
    assert path.name not in error


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOTDIR, errno.EEXIST])
def test_a_place_that_cannot_be_used_is_named(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run_stage(failing(OSError(number, os.strerror(number), "results/x")))
    assert f"results/x cannot be read or written ({os.strerror(number)})" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError(), FileNotFoundError(errno.ENOENT, "No such file", "x"), OSError(5, "x")],
    ids=["of arithmetic", "a missing file", "no file"],
)
def test_a_bug_keeps_its_traceback(error: Exception) -> None:
    with pytest.raises(type(error)):
        run_stage(failing(error))


def test_the_cluster_of_the_workers_is_the_one_that_ray_itself_would_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert ray_address() == "head:6379"
    monkeypatch.delenv("RAY_ADDRESS")
    assert ray_address() is None
