"""Flow `refresh`: looks at the sources and the web again, and has the graph and the model follow.

Meant for a schedule. What comes out as it was stops what follows it: where the web did not change,
nothing is trained. Where asking brings nothing, what was had before stays (see `stages.forget`).
"""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run
from pydantic import Field

from flows.faults import FlowError, StageError, StoppedError
from flows.pages.refresh_report import Situation, report, take_situation
from flows.processes.children import Children
from flows.processes.command import DVC
from flows.processes.output import failure_message, is_chatter
from flows.running.dag import read_dag
from flows.running.stage import Finished, read_hashes
from flows.running.stage_tasks import run_stages
from flows.running.workspace import locked_workspace
from imf_core.artifacts import read_parquet

_ANSWERS = {
    "media": Path("data/media/manifest.parquet"),
    "images": Path("data/images/sources.parquet"),
}
"""Stages that ask the web -> where they say what it told them and when."""

_Logger = logging.Logger | logging.LoggerAdapter[Any]


@flow(name="refresh", persist_result=False)
def refresh(stale_after_days: Annotated[int, Field(ge=1, le=3650)] | None = None) -> None:
    """Verifies the sources, asks the web again and brings every stage up to date.

    Of a registered data set, the files kept are checked against their pinned hashes, and fetched
    again where they are damaged or gone. A folder or an RDF dump is read again. On the web, what
    failed is tried again. The run's page tells what changed in the graph and in the metrics.

    Args:
        stale_after_days: What the web was last asked for so many days ago or more is asked for
            again. None: only what failed is.
    """
    logger = get_run_logger()
    with (
        locked_workspace(f"refresh {flow_run.name}", logger.info) as lock,
        Children([lock]) as children,
    ):
        before = take_situation()
        asking = [stage for stage, answers in _ANSWERS.items() if _has_asked(answers)]
        if asking:
            _run(children, _forget_command(stale_after_days), logger)
        forced = ["download", *asking]
        try:
            states = run_stages(read_dag(Path.cwd()), children, forced)
        except StageError:
            _restore(children, forced, logger)
            _show(before, ["the run failed before its end; what had changed by then is told here"])
            raise
        finished: list[Finished] = [state.result() for state in states]
        _show(before, [warning for each in finished for warning in each.warnings])


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


def _restore(children: Children, stages: Sequence[str], logger: _Logger) -> None:
    """Puts the outs of the run before back: a forced stage that failed has none.

    They are what DVC takes them for as long as nothing that their stage reads has changed.
    """
    known = [stage for stage in stages if read_hashes(stage)]
    if not known:
        return
    try:
        _run(children, [*DVC, "checkout", "--force", *known], logger)
    except StoppedError:
        raise
    except FlowError as error:
        logger.warning("the outs of %s could not be put back: %s", ", ".join(known), error)
    else:
        logger.warning("the outs of %s are those of their last good run", ", ".join(known))


def _run(children: Children, command: Sequence[str], logger: _Logger) -> None:
    """Runs a command and logs its lines.

    Raises:
        FlowError: If it failed.
        StoppedError: If the flow run was stopped meanwhile.
    """
    said = []
    with children.start(command, environment={"DVC_NO_ANALYTICS": "1"}) as child:
        for line in child.lines():
            said.append(line)
            if not is_chatter(line):
                logger.info("%s", line)
        status = child.wait()
    if child.was_stopped:
        raise StoppedError(f"{' '.join(command[1:])} was stopped")
    if status:
        raise FlowError(f"{' '.join(command[1:])}: {failure_message(said)}")


def _show(before: Situation, warnings: Sequence[str]) -> None:
    """Puts what changed on the run's page."""
    create_markdown_artifact(
        report(before, take_situation(), warnings),
        key="refresh",
        description="What changed in the graph, its media and the metrics",
    )
