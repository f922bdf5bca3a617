"""The name and the result of a run, in one line each."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from flows.experiments.form import read_values
from flows.faults import FlowError
from flows.pages.metrics_table import are_comparable

PLACES = {"folder", "rdf"}
"""Values of `dataset.name` that read the graph from `dataset.path`."""


def name_run(flow: str) -> str:
    """Returns the name of a run, with flow, graph and time: `pipeline atlas 29 Nov 14:02`."""
    moment = datetime.now().astimezone().strftime("%d %b %H:%M")
    try:
        return f"{flow} {name_graph(read_values())} {moment}"
    except FlowError:  # the run itself reports the error in params.yaml
        return f"{flow} {moment}"


def name_graph(values: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the name of a data set, or of the folder or file with the graph."""
    dataset = values["dataset"]
    if dataset["name"] not in PLACES:
        return str(dataset["name"])
    path = Path(dataset["path"])
    return path.stem.strip(".") or path.resolve().stem or str(path)  # "." and ".." have no name


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
