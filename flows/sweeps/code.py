"""The files that trials run with: they are comparable only where these are the same."""

from pathlib import Path

from dvc.dependency import ParamsDependency

from flows.experiments.git import git
from flows.running.dag import needed_by, read_dag
from flows.running.lock_file import Tell, resting_dvc

_SHOWN_DIGITS = 12


def read_code(tree: str, target: str, tell: Tell) -> dict[str, str]:
    """Reads the hash of each file in a tree of git's that a stage or one before it depends on.

    Data under `dvc add` are there by their `.dvc` file.

    Args:
        tree: The tree's hash.
        target: The stage.
        tell: Takes a line if another process must be waited for.

    Returns:
        The first digits of the hashes, by path.

    Raises:
        FlowError: If git fails, or DVC cannot read the pipeline.
    """
    stages = needed_by(target, read_dag(Path.cwd(), tell))
    with resting_dvc(tell) as repo:
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
