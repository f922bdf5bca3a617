"""Puts back what the last good run of a stage made: `python -m flows.running.restore STAGE`.

It is run where the stage failed, was stopped, or its flow run was killed. What the stage had begun
to write is then gone, and where DVC was killed while it wrote dvc.lock, that file is as it was
before.
"""

import shutil
import sys
from pathlib import Path

import yaml
from dvc.exceptions import DvcException

from flows.running.lock_file import LOCK_FILE, Tell, find_writer, read_lock_file, resting_dvc

_KEPT = Path(".dvc/tmp/imf-lock-files")


def keep_lock_file(stage: str, tell: Tell) -> None:
    """Keeps dvc.lock as it is before a stage runs.

    Args:
        stage: Its name.
        tell: Takes a line if another process must be waited for.
    """
    kept = _KEPT / stage
    _KEPT.mkdir(parents=True, exist_ok=True)
    with resting_dvc(tell):
        if LOCK_FILE.exists():
            shutil.copyfile(LOCK_FILE, kept)
        else:
            kept.unlink(missing_ok=True)


def restoring(stage: str) -> list[str]:
    """Returns the command that restores a stage."""
    return [sys.executable, "-m", "flows.running.restore", stage]


def restore(stage: str, tell: Tell) -> None:
    """Puts back dvc.lock, if it is cut, and the outs of a stage.

    Outs that another process of DVC is writing are left alone: DVC refuses a stage whose outs
    another process writes, and that is a failure too.

    Args:
        stage: Its name.
        tell: Takes a line if another process must be waited for, or writes the outs.
    """
    # One lock for all: no other process can begin the stage between the look and the checkout.
    with resting_dvc(tell) as repo:
        mend_lock_file(stage)
        outs = [out.fs_path for each in repo.stage.collect(stage) for out in each.outs]
        if writer := find_writer(outs):
            tell(f"{stage}: {writer} writes its outs; they are left alone")
            return
        # What dvc.lock does not have was never made whole; DVC removes it.
        repo.checkout(targets=[stage], force=True, allow_missing=True)


def mend_lock_file(stage: str) -> None:
    """Puts the kept dvc.lock in place of one that is cut; DVC's lock must be held.

    No process that is alive has cut it: DVC writes it under that lock.
    """
    kept = _KEPT / stage
    if _is_whole(kept):
        return
    LOCK_FILE.unlink(missing_ok=True)
    if kept.exists():
        shutil.copyfile(kept, LOCK_FILE)


def main() -> None:
    """Restores the stage that the command line names."""
    try:
        restore(sys.argv[1], print)
    except DvcException as error:
        sys.exit(f"error: {sys.argv[1]} cannot be restored: {error}")


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
