"""Checks that a copy of the workspace has all files that the parameters name."""

import os.path
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dvc.output import Output

from flows.experiments.git import git
from flows.faults import FlowError
from flows.running.lock_file import Notify, dvc_locked

_MODELS = ("image_features", "text_features")


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
    # The stage download depends on the path for every dataset.name.
    found = [("dataset.path", values["dataset"]["path"])]
    if values["dataset"]["name"] == "folder":
        found += [("dataset.image_folders", path) for path in values["dataset"]["image_folders"]]
    for section in _MODELS:
        if ready := values[section]["precomputed"]:
            found.append((f"{section}.precomputed.path", ready["path"]))
        elif Path(values[section]["model"]).exists():  # else a built-in model or one of the hub
            found.append((f"{section}.model", values[section]["model"]))
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
            f"{key} names {path}, of which git does not track {untracked[0]}"
            f"{f' and {len(untracked) - 1} more' if len(untracked) > 1 else ''}, so that an "
            f"experiment, which runs in a copy, would not find it; run `git add --intent-to-add "
            f"--force {path}`, or give the absolute path of a place outside the project"
        )
