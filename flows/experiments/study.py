"""The record of a sweep: an Optuna study in SQLite, its trials, their files and their table.

The samplers have no state: each trial is drawn by a sampler seeded with the sweep's seed and the
trial's number, so an interrupted sweep continues as it would have. Trials are comparable only if
the tracked files are the same.
"""

import json
import logging
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from dvc.dependency import ParamsDependency
from optuna.samplers import BaseSampler, GridSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from prefect.artifacts import create_table_artifact

from flows.errors import FlowError
from flows.experiments.space import Space, list_grid, make_distributions, read_suggestion
from flows.experiments.workspace_copy import git
from flows.running.stage import needed_by, read_dag
from flows.running.workspace import Notify, dvc_locked

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


SamplerName = Literal["grid", "random", "tpe"]
Status = Literal["running", "completed", "failed"]

_STATUSES: dict[TrialState, Status] = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "completed",
    TrialState.FAIL: "failed",
}
_PLAN = "plan"
_LONGEST_LIST = 5


@dataclass(frozen=True)
class Trial:
    """One combination of values.

    Attributes:
        number: Number from 0.
        changes: Values by `section.key`.
        status: Its status.
        valid_mrr: MRR on valid, the selection criterion; None unless completed.
        failure: Reason of a failed trial, else "".
    """

    number: int
    changes: dict[str, Any]
    status: Status
    valid_mrr: float | None
    failure: str


class Study:
    """All trials of one sweep, kept in a file."""

    def __init__(self, folder: Path, space: Space, sampler: SamplerName, seed: int) -> None:
        """Opens or creates the study of a sweep.

        Args:
            folder: Folder of the study.
            space: The checked space.
            sampler: Name of the sampler.
            seed: Seed of the sampler.
        """
        folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(logging.WARNING)
        self._storage = RDBStorage(f"sqlite:///{folder.absolute() / 'study.db'}")
        self._space, self._sampler, self._seed = space, sampler, seed
        self._study = optuna.create_study(
            storage=self._storage, study_name="sweep", direction="maximize", load_if_exists=True
        )

    def check_plan(self, plan: Mapping[str, Any]) -> None:
        """Records the plan of the sweep, or checks that it is unchanged.

        Args:
            plan: The settings that all trials share, by name.

        Raises:
            FlowError: If the sweep began with another plan.
        """
        now = json.loads(json.dumps(plan))
        before = self._study.user_attrs.get(_PLAN, now)
        for name in before | now:
            if before.get(name) != now.get(name):
                differences = _differences(before.get(name), now.get(name))
                raise FlowError(
                    f"this sweep began with another {name}: {differences}; go on with the old one, "
                    "or give the sweep another name"
                )
        self._study.set_user_attr(_PLAN, now)

    def ask(self) -> Trial:
        """Begins a new trial."""
        drawn = optuna.load_study(
            storage=self._storage, study_name="sweep", sampler=self._make_sampler()
        ).ask(make_distributions(self._space))
        return self._read(self._study.trials[drawn.number])

    def tell(self, number: int, valid_mrr: float) -> None:
        """Records the result of a trial."""
        self._study.tell(number, valid_mrr)

    def fail(self, number: int, reason: str) -> None:
        """Records that a trial has failed, with the reason."""
        self._study.set_user_attr(f"fault {number}", reason)
        self._study.tell(number, state=TrialState.FAIL)

    def list_trials(self) -> list[Trial]:
        """Lists all trials by number. A trial killed before it had all its values fails."""
        for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
            if len(trial.params) < len(self._space):
                self.fail(trial.number, "killed before it began")
        return [self._read(trial) for trial in self._study.trials]

    def _read(self, trial: optuna.trial.FrozenTrial) -> Trial:
        return Trial(
            trial.number,
            read_suggestion(self._space, trial.params),
            _STATUSES[trial.state],
            trial.value,
            self._study.user_attrs.get(f"fault {trial.number}", ""),
        )

    def _make_sampler(self) -> BaseSampler:
        if self._sampler == "grid":
            return GridSampler(list_grid(self._space), seed=self._seed)  # its order, fixed
        number = len(self._study.trials)
        seed = random.Random(f"{self._seed} {number}").getrandbits(32)
        return RandomSampler(seed) if self._sampler == "random" else TPESampler(seed=seed)


def _differences(before: Any, now: Any) -> str:
    """Formats the difference of two values, key by key for sections."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return f"{json.dumps(before)}, now {json.dumps(now)}"
    pairs = [(key, _format_value(before, key), _format_value(now, key)) for key in before | now]
    differences = [f"{key} {old}, now {new}" for key, old, new in pairs if old != new]
    rest = (
        f" and {len(differences) - _LONGEST_LIST} more" if len(differences) > _LONGEST_LIST else ""
    )
    return ", ".join(differences[:_LONGEST_LIST]) + rest


def _format_value(values: Mapping[str, Any], key: str) -> str:
    """Formats the value of a key; null differs from a missing key."""
    return json.dumps(values[key]) if key in values else "nothing"


def find_best(trials: Sequence[Trial]) -> Trial | None:
    """Returns the first trial with the highest MRR on valid."""
    completed = [trial for trial in trials if trial.valid_mrr is not None]
    return max(completed, key=lambda trial: trial.valid_mrr or 0.0, default=None)


def make_rows(sweep: str, trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Returns a row for each trial."""
    best = find_best(trials)
    return [
        {
            "experiment": f"{sweep}-{trial.number}",
            **{key: _shorten(value) for key, value in trial.changes.items()},
            "valid MRR %": "" if trial.valid_mrr is None else f"{100 * trial.valid_mrr:.2f}",
            "state": f"{trial.status}, best" if trial is best else trial.status,
            "message": trial.failure,
        }
        for trial in trials
    ]


def describe(trial: Trial) -> str:
    """Formats a trial's values on one line."""
    return ", ".join(f"{key} {_shorten(value)}" for key, value in trial.changes.items())


def _shorten(value: object) -> object:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def show_table(sweep: str, trials: Sequence[Trial]) -> None:
    """Shows the present trials on the run's page."""
    key = f"sweep-{re.sub('[^a-z0-9]+', '-', sweep.lower())}"
    create_table_artifact(table=make_rows(sweep, trials), key=key)
