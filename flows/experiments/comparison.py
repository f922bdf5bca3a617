"""An experiment beside the run it stems from, as a short page."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.experiments.form import PARAMS_FILE, read_values, read_values_at
from flows.experiments.run_experiment import flatten
from flows.faults import FlowError
from flows.pages.markdown import escape, table
from flows.pages.metrics_table import COLUMNS
from flows.processes.command import DVC
from flows.running.lock_file import Tell, resting_dvc
from imf_core.artifacts import read_json

SUMMARY = Path("results/evaluation/summary.json")
"""What DVC knows as metrics of an evaluation."""

_SPLITS = ("valid", "test")
_SHOWN = "test.mrr"
_OF_THE_GRAPH = {"dataset", "prepare"}
_OF_MEDIA = {"dataset.image_folders"}
_LONGEST_VALUE = 60

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """Metrics and parameters of an experiment and of what it is measured against.

    Attributes:
        baseline: What the baseline is, in words; None where none has metrics.
        old_metrics: Metrics of the baseline, by `split.metric`.
        new_metrics: Those of the experiment.
        changes: Value of the baseline and of the experiment by `section.key`, where they differ.
    """

    baseline: str | None
    old_metrics: Values
    new_metrics: Values
    changes: Mapping[str, tuple[Any, Any]]


def compare_with_baseline(commit: str, tell: Tell) -> Comparison:
    """Compares an experiment with the last committed run, or, where none is, the workspace's.

    Args:
        commit: Of the experiment.
        tell: Takes a line if another process must be waited for.

    Raises:
        FlowError: If DVC cannot read one of the two.
    """
    from_head = _diff("HEAD", commit)
    old, new = _metrics(from_head, "old"), _metrics(from_head, "new")
    if old:
        return Comparison("the last committed run", old, new, _changes(from_head, "old", "new"))
    if old := _read_workspace(tell):
        present, values = flatten(read_values()), flatten(read_values_at(commit))
        changes = {
            key: (present[key], values[key]) for key in values if present[key] != values[key]
        }
        return Comparison("the workspace's run, which is not committed", old, new, changes)
    return Comparison(None, {}, new, _changes(from_head, "old", "new"))


def write_page(name: str, comparison: Comparison) -> str:
    """Writes the page in Markdown."""
    if comparison.baseline is None:
        told = "Nothing to compare with: neither HEAD nor the workspace has metrics."
        titles = ["", "experiment"]
    else:
        told = (
            f"Beside {comparison.baseline}, filtered ranking in per cent. Choose by valid: test no "
            "longer measures what was chosen by it."
        )
        titles = ["", "baseline", "experiment", "change"]
    rows = [_metric_row(comparison, split, metric) for split in _SPLITS for metric in COLUMNS]
    if graph := _graph_changes(comparison):
        told += (
            f"\n\n**The two runs have different facts** ({', '.join(map(escape, graph))}): "
            "do not compare their metrics."
        )
    parts = [f"# {name}", told, table(titles, rows), _write_changes(comparison.changes)]
    return "\n\n".join(parts)


def summarise(name: str, comparison: Comparison) -> str:
    """Writes the result in a few words, with the change where both runs are on the same facts."""
    if (mrr := comparison.new_metrics.get(_SHOWN)) is None:
        return name
    told = f"{name}: test MRR {_percent(mrr)}"
    old = comparison.old_metrics.get(_SHOWN)
    return (
        told if old is None or _graph_changes(comparison) else f"{told} ({100 * (mrr - old):+.1f})"
    )


def _graph_changes(comparison: Comparison) -> list[str]:
    """Lists the keys that differ and change the graph or its splits."""
    changed = [key for key in comparison.changes if key not in _OF_MEDIA]
    return [key for key in changed if key.partition(".")[0] in _OF_THE_GRAPH]


def _read_workspace(tell: Tell) -> dict[str, float]:
    """Reads the metrics of the workspace's last run; empty where there is none."""
    with resting_dvc(tell):
        return flatten(read_json(SUMMARY)) if SUMMARY.exists() else {}


def _diff(*revisions: str) -> Any:
    """Asks DVC for metrics and parameters of two revisions."""
    command = [*DVC, "exp", "diff", "--json", "--all", *revisions]
    quiet = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    result = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
    if result.returncode:
        raise FlowError(f"dvc exp diff {' '.join(revisions)}: {result.stderr.strip()}")
    return json.loads(result.stdout)


def _metrics(diff: Any, side: str) -> dict[str, float]:
    """Reads the metrics of one side; empty where it has none."""
    metrics = diff.get("metrics", {}).get(SUMMARY.as_posix(), {})
    return {key: values[side] for key, values in metrics.items() if values.get(side) is not None}


def _changes(diff: Any, old: str, new: str) -> dict[str, tuple[Any, Any]]:
    """Reads the parameters that differ."""
    params = diff.get("params", {}).get(str(PARAMS_FILE), {})
    pairs = {key: (values.get(old), values.get(new)) for key, values in sorted(params.items())}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _metric_row(comparison: Comparison, split: str, metric: str) -> list[str]:
    """Returns the cells of one metric, in per cent."""
    key = f"{split}.{metric}"
    title = f"{split} {COLUMNS[metric]}"
    new = comparison.new_metrics.get(key)
    if comparison.baseline is None:
        return [title, _percent(new)]
    old = comparison.old_metrics.get(key)
    change = "" if old is None or new is None else f"{100 * (new - old):+.1f}"
    return [title, _percent(old), _percent(new), change]


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _write_changes(changes: Mapping[str, tuple[Any, Any]]) -> str:
    """Writes the parameters that differ as a table."""
    if not changes:
        return "The parameters are the same."
    rows = [[escape(key), _cell(old), _cell(new)] for key, (old, new) in changes.items()]
    return table(["parameter", "baseline", "experiment"], rows)


def _cell(value: Any) -> str:
    """Writes a value into a cell of a table."""
    text = json.dumps(value, ensure_ascii=False)
    return escape(text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…")
