"""Runs one experiment with DVC in a copy of the workspace and fetches the result."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from flows.experiments.form import PARAMS_FILE
from flows.experiments.git import Experiment, git, list_experiments
from flows.experiments.params_file import write_values
from flows.experiments.state import VARIABLE, state_folder
from flows.experiments.workspace_copy import Version, forget_runs_except, temporary_copy
from flows.faults import FlowError
from flows.processes.children import Children
from flows.processes.command import Logger, run_dvc
from flows.processes.output import Bar
from flows.running.dag import needed_by, read_dag

METRICS_FILE = Path("results/training/metrics.json")

_REMOVE = [sys.executable, "-c", "import shutil, sys; shutil.rmtree(sys.argv[1], True)"]


@dataclass(frozen=True)
class Plan:
    """The definition of an experiment.

    Attributes:
        name: Its name.
        version: The workspace that it copies.
        changes: Values that differ from the version's params.yaml, by `section.key`.
        target: The last stage that runs; None for all.
    """

    name: str
    version: Version
    changes: Mapping[str, Any]
    target: str | None


def flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of all sections by `section.key`."""
    return {
        f"{section}.{key}": value for section, keys in values.items() for key, value in keys.items()
    }


def find_changes(values: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values that differ from those of `base`, by `section.key`."""
    before = flatten(base)
    return {key: value for key, value in flatten(values).items() if value != before[key]}


def find_outdated(
    values: Mapping[str, Any], base: Mapping[str, Any], form: Mapping[str, Any]
) -> list[str]:
    """Lists keys, as `section.key`, that an outdated form resets to older values than params.yaml.

    Args:
        values: The submitted values.
        base: The values of params.yaml.
        form: The default values of the form.
    """
    shown = flatten(form)
    changes = find_changes(values, base)
    return [key for key, value in changes.items() if key in shown and shown[key] == value]


def apply_changes(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `base` with new values by `section.key`; unknown keys are allowed."""
    values = {section: dict(keys) for section, keys in base.items()}
    for key, value in changes.items():
        section, _, name = key.partition(".")
        values.setdefault(section, {})[name] = value
    return values


def run_experiment(
    plan: Plan,
    folder: Path,
    environment: Mapping[str, str],
    children: Children,
    logger: Logger,
    show: Callable[[Bar], None],
) -> dict[str, Any]:
    """Runs the pipeline with other values in a copy; the workspace stays unchanged.

    Args:
        plan: The experiment.
        folder: Folder for the copy of the workspace; must not exist.
        environment: Variables for the stages, in addition to those of this process.
        children: The flow run's processes.
        logger: Receives the lines of the stages.
        show: Receives the states of their progress bars.

    Returns:
        The metrics of training.

    Raises:
        StageError: If a stage has failed.
        StoppedError: If the flow run was stopped.
        FlowError: If the workspace cannot be copied, or another run has made an experiment of this
            name.
    """
    with temporary_copy(plan.version, folder):
        params = folder / PARAMS_FILE
        text = write_values(params.read_text(encoding="utf-8"), plan.changes)
        params.write_text(text, encoding="utf-8")
        command = ["--cd", str(folder), "exp", "run", "--name", plan.name]
        if plan.target is not None:
            needed = needed_by(plan.target, read_dag(folder, logger.info))
            forget_runs_except(folder, needed)
            command.append(plan.target)
        variables = {VARIABLE: str(state_folder()), **environment}
        remove = [*_REMOVE, str(folder)]
        run_dvc(children, plan.name, command, remove, variables, logger, show)
        for experiment in list_experiments(folder):
            _fetch_experiment(experiment, folder)
        metrics = (folder / METRICS_FILE).read_text(encoding="utf-8")
    return cast(dict[str, Any], json.loads(metrics))


def _fetch_experiment(experiment: Experiment, folder: Path) -> None:
    """Fetches an experiment from a copy; an existing one of the same name is kept."""
    quietly = ("--quiet", "--no-auto-maintenance", "--no-tags", "--no-write-fetch-head")
    git("fetch", *quietly, str(folder), experiment.ref)
    if any(experiment.ref == other.ref for other in list_experiments()):
        raise FlowError(
            f"an experiment {experiment.name} was made while this one ran, and is kept; rename it "
            f"(`dvc exp rename {experiment.name} NAME`) and run this one again"
        )
    must_be_new = ""
    git("update-ref", experiment.ref, experiment.commit, must_be_new)
