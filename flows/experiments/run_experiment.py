"""One experiment: its recipe and changes, a copy of the workspace, the run by DVC, its results."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from prefect import get_client, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import deployment, flow_run
from prefect.states import Completed

from flows.errors import FlowError
from flows.experiments.form import PARAMS_FILE, VARIABLE, check_values, state_folder, write_values
from flows.experiments.workspace_copy import (
    Experiment,
    Version,
    forget_runs_except,
    git,
    list_experiments,
    temporary_copy,
)
from flows.running.children import Children
from flows.running.command import Bar, Logger, run_dvc
from flows.running.stage import (
    RETRY_DELAYS_SECONDS,
    ProgressShown,
    attempt,
    has_temporary_failure,
    needed_by,
    read_dag,
)
from imf_core.base.errors import ConfigError
from recipes.recipe import read_recipe

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


@task(
    name="experiment",
    task_run_name="{plan.name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=len(RETRY_DELAYS_SECONDS),
    retry_condition_fn=has_temporary_failure,
)
def run_as_task(
    plan: Plan, folder: Path, environment: Mapping[str, str], children: Children
) -> State:
    """Runs one experiment with a reserved name; see `run_experiment`.

    Returns:
        Completed, with the metrics of training as result; Cancelled if the flow run was stopped.
    """

    def run() -> State:
        show = ProgressShown(plan.name).show
        logger = get_run_logger()
        return Completed(data=run_experiment(plan, folder, environment, children, logger, show))

    return attempt(run, children)


def name_this_run(name: str) -> None:
    """Renames the current flow run."""
    with get_client(sync_client=True) as client:
        client.update_flow_run(UUID(str(flow_run.id)), name=name)


def read_form() -> dict[str, dict[str, Any]]:
    """Reads the default values of this flow run's form, by section.

    Returns:
        The values registered with the deployment; empty without a deployment.
    """
    if (deployment_id := deployment.id) is None:
        return {}
    with get_client(sync_client=True) as client:
        parameters = client.read_deployment(UUID(str(deployment_id))).parameters
    return {name: section for name, section in parameters.items() if isinstance(section, dict)}


def apply_recipe(
    recipe: str | None, filled_in: Mapping[str, Any], base: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the values of an experiment.

    Args:
        recipe: A recipe's name, or None.
        filled_in: The values in the form; those equal to `base` give way to the recipe.
        base: The values of params.yaml.

    Raises:
        FlowError: If the recipe does not exist or its values are not valid with the others.
    """
    if recipe is None:
        return dict(filled_in)
    try:
        overrides = read_recipe(recipe)
    except ConfigError as error:
        raise FlowError(str(error)) from error
    of_recipe = check_values(apply_changes(base, overrides), f"recipes/{recipe}.yaml")
    values = apply_changes(of_recipe, find_changes(filled_in, base))
    return check_values(values, f"recipes/{recipe}.yaml with the form's values")
