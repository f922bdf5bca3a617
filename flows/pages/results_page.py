"""Results of a pipeline run on its page in the UI: metrics, audit, predictions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact

from flows.experiments.form import read_values
from flows.pages.audit_table import audit
from flows.pages.headline import headline, name_graph
from flows.pages.metrics_table import metrics_table
from flows.pages.predictions_table import predictions_table
from flows.pages.report_link import describe_report, report_link, report_title
from flows.processes.command import Logger
from flows.running.lock_file import idle_workspace
from flows.running.whole_files import whole_files
from imf_core.artifacts import read_json

METRICS = Path("results/evaluation/metrics.json")
AUDIT = Path("results/data.json")
PREDICTIONS = Path("results/predictions.parquet")

NUM_PREDICTIONS = 15


def read_metrics(logger: Logger) -> dict[str, Any] | None:
    """Reads the metrics of the last evaluation, None without one.

    Args:
        logger: Receives a line if the call waits for a `dvc repro`.

    Raises:
        DataError: If the file is damaged.
    """
    with idle_workspace(logger.info):
        return read_json(METRICS) if METRICS.exists() else None


def show_results(before: Mapping[str, Any] | None, logger: Logger) -> str:
    """Shows the results of the working folder.

    Args:
        before: Metrics before the run.
        logger: Receives the link to the report.

    Returns:
        A summary of the result.

    Raises:
        DataError: If a file is missing or damaged.
    """
    graph = name_graph(read_values())
    with whole_files([METRICS, AUDIT, PREDICTIONS], logger.info) as folder:
        metrics, data = read_json(folder / METRICS), read_json(folder / AUDIT)
        predictions = predictions_table(folder / PREDICTIONS, NUM_PREDICTIONS)
    link = report_link()
    create_markdown_artifact(
        describe_report(link),
        key="report",
        description=report_title(link, "The report of the workspace's last run"),
    )
    create_markdown_artifact(
        f"{metrics_table(before, metrics)}\n\nFrom `{METRICS.absolute()}`; by relation, "
        "degree and media in the files beside it.",
        key="metrics",
        description="How well the model ranks held-out facts, and the change since the run before",
    )
    create_markdown_artifact(
        f"{predictions}\n\nMore in `{PREDICTIONS.absolute()}`.",
        key="predictions",
        description="The most probable fact of each relation that train does not hold",
    )
    create_markdown_artifact(
        audit(data),
        key="audit",
        description="What the graph has, what leaks, what was left out",
    )
    result = headline(graph, before, metrics)
    logger.info("%s; the report of the workspace's last run: %s", result, link)
    return result
