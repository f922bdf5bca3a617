"""The raw folder is complete with several writers, errors and kills."""

import subprocess
import sys
from pathlib import Path

import pytest
from tiny_world import ROOT

from imf_core.base.artifacts import fresh_folder, try_exclusive_lock
from imf_core.base.errors import DataError

FILLING = """
import sys
from pathlib import Path
from imf_core.base.artifacts import fresh_folder
with fresh_folder(Path(sys.argv[1])) as raw:
    (raw / "first").write_text(sys.argv[2])
    print("filling", flush=True)
    sys.stdin.read()
    (raw / "second").write_text(sys.argv[2])
"""


def start_filling(path: Path, text: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", FILLING, str(path), text]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


def test_a_fresh_folder_holds_nothing_of_the_earlier_content(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with fresh_folder(tmp_path / "raw") as raw:
            (raw / name).touch()
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["two"]


def test_a_fault_leaves_the_earlier_content(tmp_path: Path) -> None:
    with fresh_folder(tmp_path / "raw") as raw:
        (raw / "one").touch()
    with pytest.raises(DataError), fresh_folder(tmp_path / "raw"):
        raise DataError("fault")
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
    assert (tmp_path / "raw/one").exists()


def test_a_folder_that_is_filled_is_locked(tmp_path: Path) -> None:
    with fresh_folder(tmp_path / "raw"), try_exclusive_lock(tmp_path / "raw") as is_free:
        assert not is_free


def test_two_processes_fill_a_folder_one_after_the_other(tmp_path: Path) -> None:
    processes = [start_filling(tmp_path / "raw", text) for text in ("one", "two")]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait() for process in processes] == [0, 0]
    for process in processes:
        assert process.stdout is not None
        process.stdout.close()
    content = {path.name: path.read_text() for path in (tmp_path / "raw").iterdir()}
    assert content.keys() == {"first", "second"}
    assert len(set(content.values())) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_a_killed_process_leaves_the_earlier_content_and_no_lock(tmp_path: Path) -> None:
    with fresh_folder(tmp_path / "raw") as raw:
        (raw / "one").touch()
    killed = start_filling(tmp_path / "raw", "two")
    assert killed.stdout is not None
    killed.stdout.readline()
    killed.kill()
    killed.communicate()
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["one"]
    with fresh_folder(tmp_path / "raw") as raw:
        assert list(raw.iterdir()) == []
        (raw / "three").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_the_earlier_content_comes_back_after_a_kill_between_both_renames(tmp_path: Path) -> None:
    (tmp_path / ".raw.old").mkdir()
    (tmp_path / ".raw.old/one").touch()
    with pytest.raises(DataError), fresh_folder(tmp_path / "raw"):
        raise DataError("error")
    assert (tmp_path / "raw/one").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_the_earlier_content_comes_back_where_the_second_rename_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    with fresh_folder(tmp_path / "raw") as raw:
        (raw / "one").touch()
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name.endswith(".tmp"):
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(error), fresh_folder(tmp_path / "raw"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
    assert (tmp_path / "raw/one").exists()
