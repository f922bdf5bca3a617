"""What a refresh changed, as Markdown: warnings, the graph, the metrics."""

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
    """What a refresh may change, at one moment; None for what is not there.

    Attributes:
        graph: The graph and its media.
        metrics: Of the last evaluation.
    """

    graph: Snapshot | None
    metrics: Mapping[str, Any] | None


def take_situation(logger: Logger) -> Situation:
    """Reads the situation of the working folder.

    Args:
        logger: Says so where a `dvc repro` must be waited for.

    Raises:
        DataError: If a file is damaged.
    """
    with whole_files(FILES, logger.info) as folder:
        graph = take_snapshot(folder)
    return Situation(graph, read_metrics(logger))


def report(before: Situation, after: Situation, warnings: Sequence[str]) -> str:
    """Words what changed.

    Args:
        before: Before the first stage ran.
        after: After the last one that did.
        warnings: What the stages warned of.
    """
    parts = []
    if warnings:
        parts.append("### Warnings\n\n" + "\n".join(f"- {escape(each)}" for each in warnings))
    parts.append(f"### Graph\n\n{_graph(before.graph, after.graph)}")
    parts.append(f"### Metrics\n\n{_metrics(before.metrics, after.metrics)}")
    return "\n\n".join(parts)


def _graph(before: Snapshot | None, after: Snapshot | None) -> str:
    """Words what changed in the graph."""
    if after is None:
        return "The graph is not whole: a stage before training failed."
    now = (
        f"There are {len(after.facts):,} facts, {len(after.entities):,} entities and "
        f"{len(after.relations):,} relations."
    )
    if before is None:
        return f"There was no whole graph before to compare with. {now}"
    return f"{describe_changes(compare(before, after))}\n\n{now}"


def _metrics(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """Words what changed in the metrics."""
    if after is None:
        return "There are none: a stage failed."
    if before == after:
        return "Nothing changed in the metrics."
    return metrics_table(before, after)
