"""Flow `refresh`: reads the sources and the web again, and updates the graph and the model.

Meant for a schedule. A stage with unchanged outs does not rerun the stages after it: if the web did
not change, nothing is trained. If a request fails, the earlier content stays (see `imf forget`).
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed
from pydantic import Field

from flows.errors import StageError
from flows.experiments.form import read_values
from flows.pages.refresh_report import RunSnapshot, report, take_run_snapshot
from flows.pages.results_page import graph_name, headline, name_run
from flows.running.children import Children
from flows.running.command import run_command
from flows.running.stage import Finished, read_dag, run_stages
from flows.running.workspace import locked_workspace
from imf_core.base.artifacts import read_parquet

_MANIFESTS = {
    "media": Path("data/media/manifest.parquet"),
    "images": Path("data/images/sources.parquet"),
}
"""Stage that sends requests -> its file with the times of the responses."""


@flow(name="refresh", flow_run_name=partial(name_run, "refresh"), persist_result=False)
def refresh(stale_after_days: Annotated[int, Field(ge=1, le=3650)] | None = None) -> State:
    """Verifies the sources, repeats web requests and brings every stage up to date.

    The files of a registered data set are checked against their pinned hashes and fetched again if
    damaged or missing. A folder or an RDF dump is read again. Failed web requests are repeated. The
    run's page shows the changes of the graph and of the metrics.

    Args:
        stale_after_days: Age in days from which web content is requested again. None: only failed
            requests are repeated.

    Returns:
        Completed, with a summary of the result as message.
    """
    logger = get_run_logger()
    with (
        locked_workspace(str(flow_run.name), logger.info) as lock,
        Children([lock]) as children,
    ):
        before = take_run_snapshot(logger)
        requesting = [stage for stage, manifest in _MANIFESTS.items() if _has_requested(manifest)]
        if requesting:
            command = _forget_command(stale_after_days)
            run_command(children, "imf forget", command, (), {}, logger, lambda _: None)
        forced = ["download", *requesting]
        try:
            states = run_stages(read_dag(Path.cwd(), logger.info), children, forced)
        except StageError:
            failed = "the run failed before its end; this page shows the changes up to the failure"
            _show(before, take_run_snapshot(logger), [failed])
            raise
        finished: list[Finished] = [state.result() for state in states]
        after = take_run_snapshot(logger)
        _show(before, after, [warning for each in finished for warning in each.warnings])
        if after.metrics is None:
            return Completed()
        return Completed(message=headline(graph_name(read_values()), before.metrics, after.metrics))


def _has_requested(manifest: Path) -> bool:
    """Returns whether the last run of a stage sent requests.

    The first run with requests need not be forced: an input of the stage has changed.
    """
    if not manifest.exists():
        return False
    moments = read_parquet(manifest, ["fetched_at"])["fetched_at"]
    return bool(moments.null_count < len(moments))


def _forget_command(stale_after_days: int | None) -> list[str]:
    older = [] if stale_after_days is None else ["--older-than-days", str(stale_after_days)]
    return [sys.executable, "-m", "cli", "forget", "--failed", *older]


def _show(before: RunSnapshot, after: RunSnapshot, warnings: Sequence[str]) -> None:
    create_markdown_artifact(
        report(before, after, warnings),
        key="refresh",
        description="What changed in the graph, its media and the metrics",
    )
