"""The changes of a refresh as Markdown: warnings, graph, metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows.pages.graph_changes import compare, describe_changes
from flows.pages.graph_snapshot import FILES, Snapshot, take_snapshot
from flows.pages.metrics_table import metrics_table
from flows.pages.results_page import read_metrics
from flows.processes.command import Logger
from flows.running.whole_files import whole_files
from imf_core.markdown import escape


@dataclass(frozen=True)
class Situation:
    """The graph and the metrics at one moment.

    Attributes:
        graph: The graph and its media, None if incomplete.
        metrics: Metrics of the last evaluation, None without one.
    """

    graph: Snapshot | None
    metrics: Mapping[str, Any] | None


def take_situation(logger: Logger) -> Situation:
    """Reads the graph and the metrics of the working folder.

    Args:
        logger: Receives a line if the call waits for a `dvc repro`.

    Raises:
        DataError: If a file is damaged.
    """
    with whole_files(FILES, logger.info) as folder:
        graph = take_snapshot(folder)
    return Situation(graph, read_metrics(logger))


def report(before: Situation, after: Situation, warnings: Sequence[str]) -> str:
    """Formats the changes.

    Args:
        before: State before the first stage.
        after: State after the last stage.
        warnings: Warnings of the stages.
    """
    parts = []
    if warnings:
        parts.append("### Warnings\n\n" + "\n".join(f"- {escape(each)}" for each in warnings))
    parts.append(f"### Graph\n\n{_graph(before.graph, after.graph)}")
    parts.append(f"### Metrics\n\n{_metrics(before.metrics, after.metrics)}")
    return "\n\n".join(parts)


def _graph(before: Snapshot | None, after: Snapshot | None) -> str:
    if after is None:
        return "The graph is incomplete: a stage before training failed."
    now = (
        f"There are {len(after.facts):,} facts, {len(after.entities):,} entities and "
        f"{len(after.relations):,} relations."
    )
    if before is None:
        return f"There was no complete graph before to compare with. {now}"
    return f"{describe_changes(compare(before, after))}\n\n{now}"


def _metrics(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    if after is None:
        return "There are none: a stage failed."
    if before == after:
        return "Nothing changed in the metrics."
    return metrics_table(before, after)
