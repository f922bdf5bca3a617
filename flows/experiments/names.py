"""Names of experiments, valid in git and unique, and the files that an experiment needs."""

import os
import os.path
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

from dvc.output import Output
from filelock import lock_descriptor

from flows.errors import FlowError
from flows.experiments.workspace_copy import git, list_experiments
from flows.running.workspace import Notify, dvc_locked
from imf_core.base.modality import find_modalities


def check_tracked_paths(values: Mapping[str, Any], notify: Notify) -> None:
    """Checks that git or DVC tracks every file and folder that the values name.

    An experiment runs in a copy of the workspace with tracked files only.

    Args:
        values: The keys and values of each section, by the section's name.
        notify: Receives a line if the call waits for another process.

    Raises:
        FlowError: If a relative path leads out of the project, or to a file that is not tracked
            or has changed since DVC hashed it.
    """
    with dvc_locked(notify) as repo:
        outs = list(repo.index.outs)
    for key, path in _relative_paths(values):
        _check_path(outs, key, path)


def _relative_paths(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields the paths that are relative, each with its key."""
    # The stages download and prepare depend on both for every dataset.name.
    found = [(f"dataset.{key}", values["dataset"][key]) for key in ("path", "decisions")]
    if values["dataset"]["name"] == "folder":
        found += [("dataset.image_folders", path) for path in values["dataset"]["image_folders"]]
    for modality in find_modalities().values():
        section = values[modality.section]
        if ready := section["precomputed"]:
            found.append((f"{modality.section}.precomputed.path", ready["path"]))
        elif Path(section["model"]).exists():  # else a built-in model or one of the hub
            found.append((f"{modality.section}.model", section["model"]))
    return ((key, path) for key, path in found if not Path(path).is_absolute())


def _check_path(tracked: list[Output], key: str, path: str) -> None:
    if Path(os.path.normpath(path)).parts[:1] == ("..",):
        raise FlowError(
            f"{key} leads out of the project: {path}; an experiment runs in a copy elsewhere, so "
            f"give it as an absolute path: {Path(path).resolve()}"
        )
    if not Path(path).exists():
        raise FlowError(f"{key} names a file that does not exist: {path}")
    target = Path(path).absolute()
    outs = [out for out in tracked if target.is_relative_to(out.fs_path)]
    if outs:
        if changed := [out for out in outs if out.status()]:
            is_added = changed[0].stage.is_data_source
            remedy = f"dvc add {changed[0].def_path}" if is_added else "dvc repro"
            raise FlowError(
                f"{key} names {path}, which has changed since DVC saw it; run `{remedy}`"
            )
        return
    untracked = [file for file in git("ls-files", "--others", "-z", "--", path).split("\0") if file]
    if untracked:
        raise FlowError(
            f"{key} names {path}, but git does not track {untracked[0]}"
            f"{f' and {len(untracked) - 1} more' if len(untracked) > 1 else ''} there, and an "
            f"experiment runs in a copy of tracked files; run `git add --intent-to-add "
            f"--force {path}`, or give the absolute path of a place outside the project"
        )


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
        yield file if lock_descriptor(file, blocking=False) else None
    finally:
        os.close(file)
