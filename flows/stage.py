"""One stage, run by DVC: what became of it, with the hashes of its outs."""

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from flows.children import Children
from flows.faults import StageError, StoppedError
from flows.output import Bar, failure_message, is_bar, is_chatter, is_passing, read_bar

DVC = [sys.executable, "-m", "dvc", "--wait-for-lock"]
LOCK_FILE = Path("dvc.lock")

Outcome = Literal["Completed", "Cached", "Restored"]
"""It ran; nothing had changed; or its outs came out of DVC's run-cache without a run."""

SHOWN_DIGITS = 8

_WARNING = "warning: "


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
    logger: "logging.Logger | logging.LoggerAdapter[Any]",
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
        StageError: If it failed. Its outs are then gone, as DVC removes them before a run.
        StoppedError: If the flow run was stopped meanwhile. Its outs are then those of the run
            before, so that nothing half-written stays in place.
    """
    command = [*DVC, "repro", "--single-item", *["--force"] * is_forced, stage]
    said: list[str] = []
    restore = [*DVC, "checkout", "--force", stage]
    with children.start(command, restore, {"DVC_NO_ANALYTICS": "1"}) as child:
        for line in child.lines():
            if is_bar(line):
                if bar := read_bar(line):
                    show(bar)
                continue
            said.append(line)
            if not is_chatter(line):
                logger.log(_level(line), "%s", line)
        status = child.wait()
    if child.was_stopped:
        raise StoppedError(f"{stage} was stopped; its outs are those of the run before")
    if status:
        raise StageError(f"{stage}: {failure_message(said)}", is_passing(said))
    warnings = tuple(f"{stage}: {line[len(_WARNING) :]}" for line in said if _is_warning(line))
    return Finished(_outcome(stage, said), read_hashes(stage), warnings)


def read_hashes(stage: str) -> dict[str, str]:
    """Reads the MD5 of each out of a stage out of dvc.lock; empty where it has never run."""
    if not LOCK_FILE.exists():
        return {}
    stages = yaml.safe_load(LOCK_FILE.read_text(encoding="utf-8"))["stages"]
    return {out["path"]: out["md5"] for out in stages.get(stage, {}).get("outs", [])}


def _outcome(stage: str, said: list[str]) -> Outcome:
    """Reads what DVC says that it did."""
    if any(line.startswith(f"Stage '{stage}' is cached") for line in said):
        return "Restored"
    if any(line.startswith(f"Stage '{stage}' didn't change") for line in said):
        return "Cached"
    return "Completed"


def _level(line: str) -> int:
    """Returns the level at which a line of a stage's output is logged."""
    if line.lower().startswith("error: "):
        return logging.ERROR
    return logging.WARNING if _is_warning(line) else logging.INFO


def _is_warning(line: str) -> bool:
    return line.lower().startswith(_WARNING)
