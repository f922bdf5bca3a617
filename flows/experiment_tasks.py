"""Experiments as Prefect tasks: what a person sees of them in the UI."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import get_client, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from flows.children import Children
from flows.run_experiment import run_experiment
from flows.stage_tasks import (
    RETRY_DELAYS_SECONDS,
    ProgressShown,
    has_passing_fault,
    pause_before_retry,
)


@task(
    name="experiment",
    task_run_name="{name}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=len(RETRY_DELAYS_SECONDS),
    retry_condition_fn=has_passing_fault,
)
def run_as_task(
    name: str,
    changes: Mapping[str, Any],
    target: str | None,
    folder: Path,
    environment: Mapping[str, str],
    children: Children,
) -> dict[str, Any]:
    """Runs one experiment; see `run_experiment`."""
    show = ProgressShown(name).show
    pause_before_retry(children)
    return run_experiment(
        name, changes, target, folder, environment, children, get_run_logger(), show
    )


def name_this_run(name: str) -> None:
    """Gives the flow run in which this is called the name of what it makes."""
    with get_client(sync_client=True) as client:
        client.update_flow_run(UUID(str(flow_run.id)), name=name)
