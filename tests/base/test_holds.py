"""A lock on a path excludes exclusive locks of others."""

import subprocess
import sys
from pathlib import Path

from imf_core.base.artifacts import SharedLock, exclusive_lock, try_exclusive_lock

HOLDING = """
import sys, time
from pathlib import Path
from imf_core.base.artifacts import SharedLock
hold = SharedLock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""
COUNTING = """
import sys
from pathlib import Path
from imf_core.base.artifacts import exclusive_lock
for _ in range(200):
    with exclusive_lock(Path(sys.argv[1])):
        count = Path(sys.argv[2])
        count.write_text(str(int(count.read_text()) + 1))
"""


def is_free(path: Path) -> bool:
    with try_exclusive_lock(path) as is_held:
        return is_held


def test_a_path_that_is_held_is_not_free_until_the_last_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "work"
    first, second = SharedLock(path), SharedLock(path)
    assert not is_free(path)
    first.release()
    first.release()
    assert not is_free(path)
    second.release()
    assert is_free(path)


def test_a_path_is_held_alone_by_one(tmp_path: Path) -> None:
    with exclusive_lock(tmp_path / "work"):
        assert not is_free(tmp_path / "work")
        assert is_free(tmp_path / "other")


def test_the_last_who_holds_a_folder_removes_it_and_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "work"
    first, second = SharedLock(path), SharedLock(path)
    (path / "inside").mkdir(parents=True)
    first.remove()
    assert path.exists()
    second.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDING, str(tmp_path / "work")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            assert not is_free(tmp_path / "work")
        finally:
            other.kill()
    assert is_free(tmp_path / "work")


def test_processes_that_hold_a_path_alone_follow_one_another(tmp_path: Path) -> None:
    count = tmp_path / "count"
    count.write_text("0")
    command = [sys.executable, "-c", COUNTING, str(tmp_path / "work"), str(count)]
    others = [subprocess.Popen(command) for _ in range(4)]
    assert [other.wait() for other in others] == [0] * 4
    assert count.read_text() == "800"
