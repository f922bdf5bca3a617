"""The table of a sweep's trials."""

import re
from collections.abc import Sequence
from typing import Any

from prefect.artifacts import create_table_artifact

from flows.sweeps.study import Trial


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
