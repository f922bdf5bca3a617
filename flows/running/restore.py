"""Restores the outs of a stage's last good run: `python -m flows.running.restore STAGE`.

It runs after the stage failed or was stopped, or its flow run was killed. It removes partial outs,
and restores dvc.lock if DVC was killed while writing it.
"""

import shutil
import sys
from pathlib import Path

from dvc.exceptions import DvcException
from ruamel.yaml.error import YAMLError

from flows.running.lock_file import LOCK_FILE, Notify, dvc_locked, find_writer, read_lock_file

_KEPT = Path(".dvc/tmp/imf-lock-files")


def keep_lock_file(stage: str, notify: Notify) -> None:
    """Copies dvc.lock before a stage runs.

    Args:
        stage: Name of the stage.
        notify: Receives a line if the call waits for another process.
    """
    kept = _KEPT / stage
    _KEPT.mkdir(parents=True, exist_ok=True)
    with dvc_locked(notify):
        if LOCK_FILE.exists():
            shutil.copyfile(LOCK_FILE, kept)
        else:
            kept.unlink(missing_ok=True)


def restore_command(stage: str) -> list[str]:
    """Returns the command that restores a stage."""
    return [sys.executable, "-m", "flows.running.restore", stage]


def restore(stage: str, notify: Notify) -> None:
    """Restores the outs of a stage, and dvc.lock if it is incomplete.

    Outs that another DVC process is writing stay unchanged: DVC refuses to run the stage then,
    which also counts as a failure.

    Args:
        stage: Name of the stage.
        notify: Receives a line if the call waits for another process, or another process writes the
            outs.
    """
    # One lock for both steps: no other process can start the stage in between.
    with dvc_locked(notify) as repo:
        repair_lock_file(stage)
        outs = [out.fs_path for each in repo.stage.collect(stage) for out in each.outs]
        if writer := find_writer(outs):
            notify(f"{stage}: {writer} writes its outs; they stay unchanged")
            return
        # Outs that are not in dvc.lock are incomplete; DVC removes them.
        repo.checkout(targets=[stage], force=True, allow_missing=True)


def repair_lock_file(stage: str) -> None:
    """Replaces an incomplete dvc.lock by its copy. Call it under DVC's lock.

    DVC writes the file under that lock, so no living process is writing it.
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
    """Returns whether dvc.lock is readable, not empty and has every stage of its copy."""
    try:
        stages = read_lock_file(LOCK_FILE)
    except YAMLError:
        return False
    is_cut = LOCK_FILE.exists() and not stages
    return not is_cut and read_lock_file(kept).keys() <= stages.keys()


if __name__ == "__main__":
    main()
