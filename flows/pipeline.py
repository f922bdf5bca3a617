"""Flow `pipeline`: brings the workspace up to date, one task per stage of dvc.yaml."""

from functools import partial
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.pages.results_page import name_run, read_metrics, show_results
from flows.running.children import Children
from flows.running.stage import StageName, read_dag, run_stages
from flows.running.workspace import locked_workspace


@flow(name="pipeline", flow_run_name=partial(name_run, "pipeline"), persist_result=False)
def pipeline(force: tuple[StageName, ...] = ()) -> State:
    """Brings every stage up to date. Unchanged stages do not run.

    Args:
        force: Stages that run even if nothing has changed.

    Returns:
        Completed, with a summary of the result as message.
    """
    logger = get_run_logger()
    with (
        locked_workspace(str(flow_run.name), logger.info) as lock,
        Children([lock]) as children,
    ):
        before = read_metrics(logger)
        run_stages(read_dag(Path.cwd(), logger.info), children, force)
        return Completed(message=show_results(before, logger))
