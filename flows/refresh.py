"""Flow `refresh`: looks at the sources and the web again, and has the graph and the model follow.

Meant for a schedule. What comes out as it was stops what follows it: where the web did not change,
nothing is trained. Where asking brings nothing, what was had before stays (see `stages.forget`).
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

from flows.experiments.form import read_values
from flows.faults import StageError
from flows.pages.headline import headline, name_graph, name_run
from flows.pages.refresh_report import Situation, report, take_situation
from flows.processes.children import Children
from flows.processes.command import run_command
from flows.running.dag import read_dag
from flows.running.stage import Finished
from flows.running.stage_tasks import run_stages
from flows.running.workspace import locked_workspace
from imf_core.artifacts import read_parquet

_ANSWERS = {
    "media": Path("data/media/manifest.parquet"),
    "images": Path("data/images/sources.parquet"),
}
"""Stages that ask the web -> where they keep its answers and their times."""


@flow(name="refresh", flow_run_name=partial(name_run, "refresh"), persist_result=False)
def refresh(stale_after_days: Annotated[int, Field(ge=1, le=3650)] | None = None) -> State:
    """Verifies the sources, asks the web again and brings every stage up to date.

    Of a registered data set, the files kept are checked against their pinned hashes, and fetched
    again where they are damaged or gone. A folder or an RDF dump is read again. On the web, what
    failed is tried again. The run's page tells what changed in the graph and in the metrics.

    Args:
        stale_after_days: What the web was last asked for so many days ago or more is asked for
            again. None: only what failed is.

    Returns:
        Completed, with the result in a few words as message.
    """
    logger = get_run_logger()
    with (
        locked_workspace(str(flow_run.name), logger.info) as lock,
        Children([lock]) as children,
    ):
        before = take_situation(logger)
        asking = [stage for stage, answers in _ANSWERS.items() if _has_asked(answers)]
        if asking:
            command = _forget_command(stale_after_days)
            run_command(children, "stages.forget", command, (), {}, logger, lambda _: None)
        forced = ["download", *asking]
        try:
            states = run_stages(read_dag(Path.cwd(), logger.info), children, forced)
        except StageError:
            failed = "the run failed before its end; what had changed by then is shown here"
            _show(before, take_situation(logger), [failed])
            raise
        finished: list[Finished] = [state.result() for state in states]
        after = take_situation(logger)
        _show(before, after, [warning for each in finished for warning in each.warnings])
        if after.metrics is None:
            return Completed()
        return Completed(message=headline(name_graph(read_values()), before.metrics, after.metrics))


def _has_asked(answers: Path) -> bool:
    """Says whether the last run of a stage got anything from the web, be it a fault.

    A stage that asks for the first time need not be forced: something that it reads has changed.
    """
    if not answers.exists():
        return False
    moments = read_parquet(answers, ["fetched_at"])["fetched_at"]
    return bool(moments.null_count < len(moments))


def _forget_command(stale_after_days: int | None) -> list[str]:
    """Writes the command that has the web asked again."""
    older = [] if stale_after_days is None else ["--older-than-days", str(stale_after_days)]
    return [sys.executable, "-m", "stages.forget", "--failed", *older]


def _show(before: Situation, after: Situation, warnings: Sequence[str]) -> None:
    """Puts what changed on the run's page."""
    create_markdown_artifact(
        report(before, after, warnings),
        key="refresh",
        description="What changed in the graph, its media and the metrics",
    )
