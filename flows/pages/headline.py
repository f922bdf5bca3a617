"""The results of a run: one line, its metrics as Markdown, and the link to its report."""

import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from flows.errors import FlowError
from flows.experiments.form import read_values
from imf_core.base.config import name_graph
from imf_core.base.terminal import table

COLUMNS = {"mrr": "MRR", "hits_at_1": "Hits@1", "hits_at_3": "Hits@3", "hits_at_10": "Hits@10"}
SIDES = ("tail", "head")

_SPLITS = {
    "test": "Test: filtered ranking over all entities, both directions, per cent",
    "valid": "Valid: the model was selected on it, so these are optimistic",
}

Metrics = Mapping[str, Any]


def metrics_table(before: Metrics | None, after: Metrics) -> str:
    """Formats a table for test and one for valid.

    Args:
        before: Content of `results/evaluation/metrics.json` before the run, None without it.
        after: Its present content.

    Returns:
        Markdown; changes are in brackets, in percentage points.
    """
    parts = ["Nothing has changed since the run before."] if before == after else []
    if before is not None and not are_comparable(before, after):
        parts.append("The run before had other test facts, so no change is shown.")
        before = None
    for split, title in _SPLITS.items():
        earlier = dict(_rows((before or {}).get(split, {})))
        rows = [
            [title, *(_cell(metrics, earlier.get(title), key) for key in COLUMNS)]
            for title, metrics in _rows(after[split])
        ]
        parts.append(f"{title}\n\n{table(['', *COLUMNS.values()], rows)}")
    return "\n\n".join(parts)


def are_comparable(before: Metrics, after: Metrics) -> bool:
    """Returns whether two runs have the same test facts."""
    return before.get("test_digest") == after.get("test_digest")


def _rows(metrics: Metrics) -> Iterator[tuple[str, Metrics]]:
    """Yields the rows of a split: every single channel, the full model and its two directions."""
    for name, value in metrics.items():
        if isinstance(value, Mapping) and name not in SIDES:
            yield f"{name} channel alone", value
    if metrics:
        yield "**full model**", metrics
    for side in SIDES:
        if side in metrics:
            yield f"asked for the {side}", metrics[side]


def _cell(metrics: Metrics, before: Metrics | None, key: str) -> str:
    """Formats a fraction in per cent, with its change if there is any."""
    now = f"{100 * metrics[key]:.1f}"
    change = f"{100 * (metrics[key] - (before or metrics)[key]):+.1f}"
    return now if float(change) == 0 else f"{now} ({change})"


PLACES = {"folder", "rdf"}
"""Values of `dataset.name` that read the graph from `dataset.path`."""


def name_run(flow: str) -> str:
    """Returns the name of a run, with flow, graph and time: `pipeline atlas 29 Nov 14:02`."""
    moment = datetime.now().astimezone().strftime("%d %b %H:%M")
    try:
        return f"{flow} {graph_name(read_values())} {moment}"
    except FlowError:  # the run itself reports the error in params.yaml
        return f"{flow} {moment}"


def graph_name(values: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the name of a data set, or of the folder or file with the graph, as in the report."""
    dataset = values["dataset"]
    return name_graph(dataset["name"], os.path.abspath(dataset["path"]))  # noqa: PTH100 - links stay


def headline(name: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> str:
    """Formats the result of a run: `atlas: test MRR 59.5 (+0.2)`.

    Args:
        name: Name of the graph or the experiment.
        before: Metrics by split before the run, None without an earlier run. They are ignored if
            they are of other test facts.
        after: Metrics by split after the run.
    """
    mrr = after["test"]["mrr"]
    line = f"{name}: test MRR {100 * mrr:.1f}"
    if before is None or not are_comparable(before, after):
        return line
    return f"{line} ({100 * (mrr - before['test']['mrr']):+.1f})"
