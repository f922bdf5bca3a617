"""Compares an experiment with the run it stems from, as a short page."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.errors import FlowError
from flows.experiments.form import PARAMS_FILE, read_values_at
from flows.experiments.run_experiment import flatten
from flows.running.command import DVC
from flows.running.workspace import LOCK_FILE, Notify, dvc_locked, read_lock_file
from imf_core.base.artifacts import read_json
from imf_core.base.config import OWN_GRAPHS
from imf_core.base.terminal import METRIC_TITLES, escape, table

SUMMARY = Path("results/evaluation/summary.json")
"""The metrics of an evaluation in dvc.yaml."""

_SPLITS = ("valid", "test")
_SHOWN = "test.mrr"
_OF_THE_GRAPH = {"dataset", "prepare"}
_OF_MEDIA = {"dataset.image_folders"}
_NAME = "dataset.name"
_PATH = "dataset.path"
_LONGEST_VALUE = 60

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """Metrics and parameters of an experiment and its baseline.

    Attributes:
        baseline: Name of the baseline; None if there is no run with metrics.
        old_metrics: Metrics of the baseline, by `split.metric`.
        new_metrics: Metrics of the experiment, by `split.metric`.
        changes: Differing values of baseline and experiment, by `section.key`.
        has_path: Whether one of the two graphs is read from `dataset.path`.
    """

    baseline: str | None
    old_metrics: Values
    new_metrics: Values
    changes: Mapping[str, tuple[Any, Any]]
    has_path: bool = False


def compare_with_baseline(commit: str, notify: Notify) -> Comparison:
    """Compares an experiment with the last committed run, or without one, with the workspace's run.

    Args:
        commit: Commit of the experiment.
        notify: Receives a line if the call waits for another process.

    Raises:
        FlowError: If DVC cannot read one of the two.
    """
    from_head = _diff("HEAD", commit)
    old, new = _metrics(from_head, "old"), _metrics(from_head, "new")
    if old:
        names = set(_params(from_head).get(_NAME, {}).values())
        changes = _changes(from_head)
        has_path = bool(names & OWN_GRAPHS)
        return Comparison("the last committed run", old, new, changes, has_path)
    old, used = _read_workspace(notify)
    if old:
        values = flatten(read_values_at(commit))
        changes = {
            key: (used[key], value)
            for key, value in values.items()
            if key in used and used[key] != value
        }
        names = {used.get(_NAME), values[_NAME]}
        baseline = "the workspace's run, which is not committed"
        return Comparison(baseline, old, new, changes, has_path=bool(names & OWN_GRAPHS))
    return Comparison(None, {}, new, _changes(from_head))


def write_page(name: str, comparison: Comparison) -> str:
    """Formats the page in Markdown."""
    if comparison.baseline is None:
        intro = "Nothing to compare with: neither HEAD nor the workspace has a complete run."
        titles = ["", "experiment"]
    else:
        intro = (
            f"Beside {comparison.baseline}, filtered ranking in per cent. Choose by valid: test no "
            "longer measures what was chosen by it."
        )
        titles = ["", "baseline", "experiment", "change"]
    rows = [_metric_row(comparison, split, metric) for split in _SPLITS for metric in METRIC_TITLES]
    if graph := _graph_changes(comparison):
        intro += (
            f"\n\n**The two runs have different facts** ({', '.join(map(escape, graph))}): "
            "do not compare their metrics."
        )
    parts = [f"# {name}", intro, table(titles, rows), _write_changes(comparison.changes)]
    return "\n\n".join(parts)


def summarise(name: str, comparison: Comparison) -> str:
    """Formats the test MRR, with the change if both runs have the same facts."""
    if (mrr := comparison.new_metrics.get(_SHOWN)) is None:
        return name
    line = f"{name}: test MRR {_percent(mrr)}"
    old = comparison.old_metrics.get(_SHOWN)
    return (
        line if old is None or _graph_changes(comparison) else f"{line} ({100 * (mrr - old):+.1f})"
    )


def _graph_changes(comparison: Comparison) -> list[str]:
    """Lists the differing keys that affect the graph or its splits."""
    unread = _OF_MEDIA if comparison.has_path else _OF_MEDIA | {_PATH}
    changed = [key for key in comparison.changes if key not in unread]
    return [key for key in changed if key.partition(".")[0] in _OF_THE_GRAPH]


def _read_workspace(notify: Notify) -> tuple[dict[str, float], dict[str, Any]]:
    """Reads the metrics and parameters of the workspace's last run.

    The parameters come from dvc.lock: params.yaml may have changed since the run.

    Returns:
        Both by `section.key`; empty if there is no run, or if the outs of a stage have changed
        since the evaluation.
    """
    with dvc_locked(notify):
        metrics = flatten(read_json(SUMMARY)) if SUMMARY.exists() else {}
        locked = read_lock_file(LOCK_FILE)
    used = _read_used(locked)
    return (metrics, used) if used else ({}, {})


def _read_used(locked: Mapping[str, Any]) -> dict[str, Any]:
    """Reads the parameters of the run that made the evaluation, by `section.key`.

    Args:
        locked: Entries of dvc.lock by stage.

    Returns:
        The values; empty if the evaluation is older than the outs that it reads.
    """
    made = {
        out["path"]: (name, out["md5"])
        for name, stage in locked.items()
        for out in stage.get("outs", [])
    }
    if SUMMARY.as_posix() not in made:
        return {}
    used: dict[str, Any] = {}
    waiting, seen = [made[SUMMARY.as_posix()][0]], set[str]()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        for key, value in locked[name].get("params", {}).get(str(PARAMS_FILE), {}).items():
            used |= {key: value} if "." in key else flatten({key: value})
        for needed in locked[name].get("deps", []):
            maker, md5 = made.get(needed["path"], (None, None))
            if maker and md5 != needed["md5"]:
                return {}
            if maker and maker not in seen:
                waiting.append(maker)
    return used


def _diff(*revisions: str) -> Any:
    """Returns DVC's metrics and parameters of two revisions."""
    command = [*DVC, "exp", "diff", "--json", "--all", *revisions]
    quiet = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    result = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
    if result.returncode:
        raise FlowError(f"dvc exp diff {' '.join(revisions)}: {result.stderr.strip()}")
    return json.loads(result.stdout)


def _metrics(diff: Any, side: str) -> dict[str, float]:
    """Reads the metrics of one side; empty if it has none."""
    metrics = diff.get("metrics", {}).get(SUMMARY.as_posix(), {})
    return {key: values[side] for key, values in metrics.items() if values.get(side) is not None}


def _params(diff: Any) -> dict[str, Any]:
    return dict(diff.get("params", {}).get(str(PARAMS_FILE), {}))


def _changes(diff: Any) -> dict[str, tuple[Any, Any]]:
    params = sorted(_params(diff).items())
    pairs = {key: (values.get("old"), values.get("new")) for key, values in params}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _metric_row(comparison: Comparison, split: str, metric: str) -> list[str]:
    """Returns the cells of one metric, in per cent."""
    key = f"{split}.{metric}"
    title = f"{split} {METRIC_TITLES[metric]}"
    new = comparison.new_metrics.get(key)
    if comparison.baseline is None:
        return [title, _percent(new)]
    old = comparison.old_metrics.get(key)
    change = "" if old is None or new is None else f"{100 * (new - old):+.1f}"
    return [title, _percent(old), _percent(new), change]


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _write_changes(changes: Mapping[str, tuple[Any, Any]]) -> str:
    if not changes:
        return "The parameters are the same."
    rows = [[escape(key), _cell(old), _cell(new)] for key, (old, new) in changes.items()]
    return table(["parameter", "baseline", "experiment"], rows)


def _cell(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return escape(text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…")
