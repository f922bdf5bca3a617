"""What a run of the pipeline found, on its page in the UI: metrics, audit, predictions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact

from flows.pages.audit_table import audit
from flows.pages.metrics_table import metrics_table
from flows.pages.predictions_table import predictions_table
from imf_core.artifacts import read_json

METRICS = Path("results/evaluation/metrics.json")
AUDIT = Path("results/data.json")
PREDICTIONS = Path("results/predictions.parquet")
REPORT = Path("results/report.html")

NUM_PREDICTIONS = 15


def read_metrics() -> dict[str, Any] | None:
    """Reads the metrics of the last evaluation, None where there was none.

    Raises:
        DataError: If the file is damaged.
    """
    return read_json(METRICS) if METRICS.exists() else None


def show_results(before: Mapping[str, Any] | None) -> None:
    """Shows the results that stand in the working folder.

    Args:
        before: The metrics before the run.

    Raises:
        DataError: If a file is missing or damaged.
    """
    create_markdown_artifact(
        "All of this with pictures, charts and mistakes to learn from, as one page that any "
        f"browser opens: `{REPORT.absolute()}`.",
        key="report",
        description="The report of the run",
    )
    create_markdown_artifact(
        f"{metrics_table(before, read_json(METRICS))}\n\nFrom `{METRICS.absolute()}`; by relation, "
        "degree and media in the files beside it.",
        key="metrics",
        description="How well the model ranks held-out facts, and the change since the run before",
    )
    create_markdown_artifact(
        f"{predictions_table(PREDICTIONS, NUM_PREDICTIONS)}\n\nMore in `{PREDICTIONS.absolute()}`.",
        key="predictions",
        description="The most probable fact of each relation that train does not hold",
    )
    create_markdown_artifact(
        audit(read_json(AUDIT)),
        key="audit",
        description="What the graph has, what leaks, what was left out",
    )
