"""Names of experiments: readable, valid in git and unique."""

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

from flows.experiments.git import list_experiments
from flows.faults import FlowError

RUNNING = Path(".dvc/tmp/imf-experiments")
"""A locked file for each name in use, and a folder beside it."""

LONGEST = 60
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class Reservation:
    """A name that belongs to one flow run.

    Attributes:
        name: The name.
        folder: Folder for temporary files, removed at the end of the run; need not exist.
        lock: Descriptor of a locked file, for the processes that write to the folder.
    """

    name: str
    folder: Path
    lock: int


def derive_name(changes: Mapping[str, Any], recipe: str | None = None) -> str:
    """Makes a name from the changed values: `fusion-rank-64`, `db15k-fusion-rank-64`.

    Args:
        changes: New values by `section.key`.
        recipe: The recipe under the changes, if any.
    """
    if not changes:
        return recipe or "unchanged"
    parts = [f"{key}-{_word(value)}" for key, value in changes.items()]
    words = "-".join([recipe, *parts] if recipe else parts)
    name = re.sub(r"[^A-Za-z0-9.]+", "-", words.replace("_", "-"))
    name = re.sub(r"(?<!\d)\.|\.(?!\d)", "-", name)  # points only in numbers
    return re.sub(r"-+", "-", name)[:LONGEST].strip("-.")


def _word(value: object) -> str:
    """Formats a value in a few letters."""
    if isinstance(value, Mapping):
        return "-".join(map(_word, value.values()))
    if isinstance(value, list):
        return "-".join(map(_word, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def check_name(name: str) -> None:
    """Checks a name given by the user.

    Raises:
        FlowError: If it is not valid for an experiment.
    """
    is_short = len(name) <= LONGEST
    if not is_short or ".." in name or name.endswith(".lock") or not _NAME.fullmatch(name):
        raise FlowError(
            f"name must be at most {LONGEST} letters, digits, `-`, `_` and single `.`, with a "
            f"letter or digit at both ends and not .lock, got {name!r}"
        )


def with_counter(name: str) -> Iterator[str]:
    """Yields the name, then `name-2`, `name-3` and so on."""
    return chain([name], (f"{name}-{number}" for number in count(2)))


@contextmanager
def reserved_name(names: Iterable[str]) -> Iterator[Reservation]:
    """Reserves the first name that no experiment and no other run has.

    Raises:
        FlowError: If no name is free.
    """
    RUNNING.mkdir(parents=True, exist_ok=True)
    _remove_abandoned()
    for name in names:
        with _locked(name) as lock:
            if lock is None or any(name == other.name for other in list_experiments()):
                continue
            folder = RUNNING / name
            try:
                yield Reservation(name, folder, lock)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            return
    raise FlowError(
        f"the name {name!r} is taken by an experiment or by a run that is under way; choose "
        f"another name, or remove the experiment with `dvc exp remove {name}`"
    )


def _remove_abandoned() -> None:
    """Removes the folders of killed runs, which have no lock."""
    for folder in RUNNING.glob("*/"):
        with _locked(folder.name) as lock:
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(name: str) -> Iterator[int | None]:
    """Locks the file of a name; yields None if another process has the lock."""
    file = os.open(RUNNING / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield file
    finally:
        os.close(file)
