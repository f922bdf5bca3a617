"""Pipeline: what DVC, Prefect and the start of processes cost beside the stages' own work.

Everything runs in copies of the project. Processor's time is that of all processes together.
"""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.project_copy import copy_project, run, time_command
from benchmarks.recipes import ROOT
from benchmarks.row import Row
from imf_core.typed_yaml import read_yaml

PART = "pipeline"
ROUNDS = 3
REPRO = [sys.executable, "-m", "dvc", "repro", "-q"]

GRAPHS: Mapping[str, Mapping[str, object]] = {
    "the solar system": {"dataset.name": "folder", "train.epochs": 4},
    "atlas, one epoch": {"train.epochs": 1},
}
"""Graphs on which the stages have little to do, and what to set for them."""

MODULES = {
    "the interpreter": "sys",
    "the core without torch": "imf_core.config, imf_core.artifacts",
    "torch": "torch",
    "the core with torch": "imf_core.training.trainer, imf_core.inference.saved_model",
    "stages.media": "stages.media",
    "stages.train": "stages.train",
    "flows.pipeline": "flows.pipeline",
}
"""Imports in a new process, by name in the table."""


def measure(threads: int) -> list[Row]:
    """Measures imports, a first run on each graph, then runs that have nothing to do."""
    rows = _measure_imports(threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, (graph, changes) in enumerate(GRAPHS.items()):
            project = copy_project(folder / f"run{number}", changes)
            plain = copy_project(folder / f"plain{number}", changes)
            rows += _measure_first_run(graph, project, plain, threads)
        return rows + _measure_idle_runs(project, threads)


def _measure_imports(threads: int) -> list[Row]:
    """Measures imports, each in a process of its own."""
    commands = {name: [sys.executable, "-c", f"import {what}"] for name, what in MODULES.items()}
    seconds = _time_in_turn(ROOT, commands, threads)
    rows = [
        Row(PART, f"import of {name}", taken, "s", "lower", None, False)
        for name, taken in seconds.items()
    ]
    ratio = seconds["the core with torch"] / seconds["torch"]
    over = Row(PART, "import of the core over that of torch", ratio, "x", "lower", None, True)
    return [over, *rows]


def _measure_first_run(graph: str, project: Path, plain: Path, threads: int) -> list[Row]:
    """Compares a first `dvc repro` with what the stages do once they are imported.

    Args:
        graph: Its name in the table.
        project: A copy for DVC.
        plain: Another one, in which the stages run without it.
        threads: Number of threads.
    """
    whole, _ = time_command(project, REPRO, threads)
    work, starts = 0.0, 0.0
    for stage in read_yaml((plain / "dvc.yaml").read_text(encoding="utf-8"))["stages"]:
        command = [sys.executable, "-m", "benchmarks.stage_work", stage, str(threads)]
        taken, printed = time_command(plain, command, threads)
        own = float(printed.split()[-1])
        work += own
        starts += taken - own
    return [
        Row(
            PART,
            f"first dvc repro over the stages' work, {graph}",
            whole / work,
            "x",
            "lower",
            None,
            True,
            "one run of each; the rest is the start of a process per stage, and DVC",
        )
    ]


def _measure_idle_runs(project: Path, threads: int) -> list[Row]:
    """Measures runs in which nothing has changed, by DVC and by the flow."""
    if threads == 1:  # what counts of a run that only looks is how long one waits for it
        return []
    repro = _time_in_turn(project, {"repro": REPRO}, threads)["repro"]
    flow = float(
        run(project, [sys.executable, "-m", "benchmarks.idle_flow", str(ROUNDS)]).split()[-1]
    )
    return [
        Row(PART, "dvc repro with nothing to do", repro, "s", "lower", "at most 3 s", False),
        Row(
            PART,
            "flow pipeline with nothing to do",
            flow,
            "s",
            "lower",
            None,
            False,
            "a task per stage, each with a DVC of its own; without the server's start",
        ),
    ]


def _time_in_turn(
    folder: Path, commands: Mapping[str, Sequence[str]], threads: int
) -> dict[str, float]:
    """Times commands side by side, after one round that does not count; medians in seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(ROUNDS + 1):
        for name, command in commands.items():
            taken, _ = time_command(folder, command, threads)
            if number:
                seconds[name].append(taken)
    return {name: median(each) for name, each in seconds.items()}
