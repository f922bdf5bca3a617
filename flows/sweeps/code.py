"""Hashes of the files that trials depend on; only trials with equal files are comparable."""

from pathlib import Path

from dvc.dependency import ParamsDependency

from flows.experiments.git import git
from flows.running.dag import needed_by, read_dag
from flows.running.lock_file import Notify, dvc_locked

_SHOWN_DIGITS = 12


def read_code(tree: str, target: str, notify: Notify) -> dict[str, str]:
    """Reads the hashes of the files in a git tree that a stage or an earlier one depends on.

    Data under `dvc add` are represented by their `.dvc` file.

    Args:
        tree: The tree's hash.
        target: Name of the stage.
        notify: Receives a line if the call waits for another process.

    Returns:
        The first digits of the hashes, by path.

    Raises:
        FlowError: If git fails, or DVC cannot read the pipeline.
    """
    stages = needed_by(target, read_dag(Path.cwd(), notify))
    with dvc_locked(notify) as repo:
        paths = {
            dependency.def_path
            for stage in repo.index.stages
            if getattr(stage, "name", None) in stages
            for dependency in stage.deps
            if not isinstance(dependency, ParamsDependency)
        }
    inside = sorted(path for path in paths if Path(path).parts[0] not in ("/", ".."))
    of_data = [f"{path}.dvc" for path in inside]
    listed = git("ls-tree", "-r", "-z", tree, "--", "dvc.yaml", *inside, *of_data)
    entries = (entry.split("\t", 1) for entry in listed.split("\0") if entry)
    return {path: entry.split()[2][:_SHOWN_DIGITS] for entry, path in entries}
