"""Reads the pipeline's DAG with DVC; only `dvc.yaml` describes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Literal

from dvc.exceptions import DvcException
from dvc.stage import PipelineStage

from flows.faults import FlowError
from flows.running.lock_file import Notify, dvc_locked

StageName = Literal[
    "download",
    "prepare",
    "media",
    "images",
    "image_features",
    "text_features",
    "tune",
    "baseline",
    "train",
    "evaluate",
    "predict",
    "report",
]
"""The stages of dvc.yaml, as options of a form."""


@dataclass(frozen=True)
class Stage:
    """A stage of `dvc.yaml`.

    Attributes:
        name: Its name.
        needs: Sorted names of the stages that make its inputs.
        outs: Paths of its outs, metrics and plots, relative to the project's root.
    """

    name: str
    needs: tuple[str, ...]
    outs: tuple[str, ...]


def read_dag(root: Path, notify: Notify) -> list[Stage]:
    """Reads the stages of a DVC project in topological order.

    Args:
        root: Root of the project.
        notify: Receives a line if the call waits for another process.

    Raises:
        FlowError: If there is no DVC project, or DVC refuses its dvc.yaml or params.yaml.
    """
    try:
        with dvc_locked(notify, root) as repo:
            graph = repo.index.graph  # edges lead from a stage to the stages that it needs
            stages = [
                Stage(
                    str(stage.name),
                    tuple(sorted(str(needed.name) for needed in graph[stage] if _is_run(needed))),
                    tuple(out.def_path for out in stage.outs),
                )
                for stage in graph
                if _is_run(stage)
            ]
    except DvcException as error:
        raise FlowError(
            f"DVC cannot read the pipeline in {root}: {error}; run `dvc status` there to see where"
        ) from error

    by_name = {stage.name: stage for stage in sorted(stages, key=lambda stage: stage.name)}
    order = TopologicalSorter({name: stage.needs for name, stage in by_name.items()})
    return [by_name[name] for name in order.static_order()]


def _is_run(stage: object) -> bool:
    """Returns whether a node of DVC's graph is a stage rather than data under `dvc add`."""
    return isinstance(stage, PipelineStage)


def needed_by(name: str, stages: Sequence[Stage]) -> set[str]:
    """Returns the names of a stage and of all stages that must run before it.

    Args:
        name: Name of the stage.
        stages: All stages in topological order.
    """
    names = {name}
    for stage in reversed(stages):
        if stage.name in names:
            names.update(stage.needs)
    return names
