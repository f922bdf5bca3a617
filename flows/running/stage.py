"""One stage, run by DVC: what became of it, with the hashes of its outs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from flows.processes.children import Children
from flows.processes.command import Logger, run_dvc
from flows.processes.output import Bar, warning_in
from flows.running.lock_file import LOCK_FILE, Tell, read_lock_file, resting_dvc
from flows.running.restore import keep_lock_file, restoring

Outcome = Literal["Completed", "Cached", "Restored"]
"""It ran; nothing had changed; or its outs came out of DVC's run-cache without a run."""

SHOWN_DIGITS = 8


@dataclass(frozen=True)
class Finished:
    """What became of a stage.

    Attributes:
        outcome: How its outs came about.
        hashes: MD5 of each out by its path, as in dvc.lock.
        warnings: What it warned of in this run.
    """

    outcome: Outcome
    hashes: dict[str, str]
    warnings: tuple[str, ...] = ()

    def describe(self) -> str:
        """Returns the outs with the first digits of their hashes, on one line."""
        return ", ".join(f"{path} {md5[:SHOWN_DIGITS]}" for path, md5 in self.hashes.items())


def reproduce(
    children: Children,
    stage: str,
    is_forced: bool,
    logger: Logger,
    show: Callable[[Bar], None],
) -> Finished:
    """Has DVC bring one stage up to date; the stages before it must be.

    Args:
        children: The flow run's processes.
        stage: Its name in dvc.yaml.
        is_forced: Whether it runs although nothing has changed.
        logger: Takes the stage's lines as they come.
        show: Takes the state of the stage's progress bars.

    Raises:
        StageError: If it failed.
        StoppedError: If the flow run was stopped meanwhile. In both cases its outs are then those
            of the run before, so that nothing half-written stays in place.
    """
    keep_lock_file(stage, logger.info)
    command = ["repro", "--single-item", *["--force"] * is_forced, stage]
    said = run_dvc(children, stage, command, restoring(stage), {}, logger, show)
    warnings = tuple(f"{stage}: {text}" for text in map(warning_in, said) if text)
    return Finished(_outcome(stage, said), read_hashes(stage, logger.info), warnings)


def read_hashes(stage: str, tell: Tell) -> dict[str, str]:
    """Reads the MD5 of each out of a stage out of dvc.lock; empty where it has never run.

    Args:
        stage: Its name.
        tell: Takes a line if another process must be waited for.
    """
    with resting_dvc(tell):
        locked = read_lock_file(LOCK_FILE)
    return {out["path"]: out["md5"] for out in locked.get(stage, {}).get("outs", [])}


def _outcome(stage: str, said: list[str]) -> Outcome:
    """Reads what DVC says that it did."""
    if any(line.startswith(f"Stage '{stage}' is cached") for line in said):
        return "Restored"
    if any(line.startswith(f"Stage '{stage}' didn't change") for line in said):
        return "Cached"
    return "Completed"
