"""The pipeline's DAG as DVC reads it: `dvc.yaml` is its only description."""

from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Literal

from dvc.exceptions import DvcException
from dvc.stage import PipelineStage

from flows.faults import FlowError
from flows.running.lock_file import Tell, resting_dvc

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
"""The stages of dvc.yaml, for a form to offer."""


@dataclass(frozen=True)
class Stage:
    """A stage of `dvc.yaml`.

    Attributes:
        name: Its name.
        needs: Names of the stages whose outs it reads, sorted.
        outs: Paths of its outs relative to the project's root, metrics and plots among them.
    """

    name: str
    needs: tuple[str, ...]
    outs: tuple[str, ...]


def read_dag(root: Path, tell: Tell) -> list[Stage]:
    """Reads the stages of the DVC project at `root`, each after those that it needs.

    Args:
        root: Its folder.
        tell: Takes a line if another process must be waited for.

    Raises:
        FlowError: If there is no DVC project, or DVC refuses its dvc.yaml or params.yaml.
    """
    try:
        with resting_dvc(tell, root) as repo:
            graph = repo.index.graph  # an edge leads from a stage to one that it needs
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
    """Says whether a node of DVC's graph is a stage, not data under `dvc add`."""
    return isinstance(stage, PipelineStage)


def needed_by(name: str, stages: Sequence[Stage]) -> set[str]:
    """Returns the names of a stage and of all that must have run before it.

    Args:
        name: Of the stage.
        stages: Each after those that it needs.
    """
    names = {name}
    for stage in reversed(stages):
        if stage.name in names:
            names.update(stage.needs)
    return names
