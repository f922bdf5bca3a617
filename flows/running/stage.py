"""Runs one stage with DVC and returns its outcome, with the hashes of its outs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from flows.processes.children import Children
from flows.processes.command import Logger, run_dvc
from flows.processes.output import Bar, warning_in
from flows.running.lock_file import LOCK_FILE, Notify, dvc_locked, read_lock_file
from flows.running.restore import keep_lock_file, restore_command

Outcome = Literal["Completed", "Cached", "Restored"]
"""The stage ran; nothing had changed; or its outs came from DVC's run-cache."""

SHOWN_DIGITS = 8


@dataclass(frozen=True)
class Finished:
    """The result of a stage.

    Attributes:
        outcome: The origin of its outs.
        hashes: MD5 of each out by its path, as in dvc.lock.
        warnings: Its warnings in this run.
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
    """Brings one stage up to date with DVC; the stages before it must be up to date.

    After an error the outs are those of the previous run, so no partial out stays.

    Args:
        children: The flow run's processes.
        stage: Name of the stage in dvc.yaml.
        is_forced: Whether it runs even if nothing has changed.
        logger: Receives the lines of the stage.
        show: Receives the states of the stage's progress bars.

    Raises:
        StageError: If the stage failed.
        StoppedError: If the flow run was stopped.
    """
    keep_lock_file(stage, logger.info)
    command = ["repro", "--single-item", *["--force"] * is_forced, stage]
    output = run_dvc(children, stage, command, restore_command(stage), {}, logger, show)
    warnings = tuple(f"{stage}: {text}" for text in map(warning_in, output) if text)
    return Finished(_outcome(stage, output), read_hashes(stage, logger.info), warnings)


def read_hashes(stage: str, notify: Notify) -> dict[str, str]:
    """Reads the MD5 of each out of a stage from dvc.lock; empty if it has never run.

    Args:
        stage: Name of the stage.
        notify: Receives a line if the call waits for another process.
    """
    with dvc_locked(notify):
        locked = read_lock_file(LOCK_FILE)
    return {out["path"]: out["md5"] for out in locked.get(stage, {}).get("outs", [])}


def _outcome(stage: str, output: list[str]) -> Outcome:
    """Reads the outcome from DVC's output."""
    if any(line.startswith(f"Stage '{stage}' is cached") for line in output):
        return "Restored"
    if any(line.startswith(f"Stage '{stage}' didn't change") for line in output):
        return "Cached"
    return "Completed"
