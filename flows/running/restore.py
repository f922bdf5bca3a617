"""Puts back what the last good run of a stage made: `python -m flows.running.restore STAGE`.

It is run where the stage failed, was stopped, or its flow run was killed. What the stage had begun
to write is then gone, and where DVC was killed while it wrote dvc.lock, that file is as it was
before.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from flows.processes.command import DVC
from flows.running.lock_file import LOCK_FILE, read_lock_file, resting_dvc

_KEPT = Path(".dvc/tmp/imf-lock-files")


def keep_lock_file(stage: str) -> None:
    """Keeps dvc.lock as it stands before a stage runs."""
    kept = _KEPT / stage
    _KEPT.mkdir(parents=True, exist_ok=True)
    with resting_dvc():
        if LOCK_FILE.exists():
            shutil.copyfile(LOCK_FILE, kept)
        else:
            kept.unlink(missing_ok=True)


def restoring(stage: str) -> list[str]:
    """Returns the command that restores a stage."""
    return [sys.executable, "-m", "flows.running.restore", stage]


def mend_lock_file(stage: str) -> None:
    """Puts the kept dvc.lock in place of one that is cut."""
    kept = _KEPT / stage
    with resting_dvc():
        if _is_whole(kept):
            return
        LOCK_FILE.unlink(missing_ok=True)
        if kept.exists():
            shutil.copyfile(kept, LOCK_FILE)


def main() -> None:
    """Restores the stage that the command line names."""
    stage = sys.argv[1]
    mend_lock_file(stage)
    # What dvc.lock does not have was never made whole; DVC removes it.
    subprocess.run([*DVC, "checkout", "--force", stage], check=False)


def _is_whole(kept: Path) -> bool:
    """Says whether dvc.lock can be read, and has a stage and every one that it had before."""
    try:
        stages = read_lock_file(LOCK_FILE)
    except yaml.YAMLError:
        return False
    is_cut = LOCK_FILE.exists() and not stages
    return not is_cut and read_lock_file(kept).keys() <= stages.keys()


if __name__ == "__main__":
    main()
