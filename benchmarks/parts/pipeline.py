"""Pipeline: the cost of DVC, Prefect and process starts beside the stages' own work.

Everything runs in copies of the project. Processor time is that of all processes together. As a
program, with STAGE THREADS it times a stage without its imports in the working folder, with `flow`
RUNS the flow `pipeline` without changes.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from statistics import median

import yaml

from benchmarks.accuracy import ROOT
from benchmarks.results import Row
from imf_core.base.yaml_text import read_yaml

COPIED = (
    "imf_core",
    "stages",
    "flows",
    "recipes",
    "benchmarks",
    "examples",
    "dvc.yaml",
    "params.yaml",
)
IGNORES = (".gitignore", ".dvcignore")


def copy_project(folder: Path, changes: Mapping[str, object]) -> Path:
    """Copies the project into `folder` and makes it a new git and DVC repository.

    Args:
        folder: Folder to create.
        changes: Values to set in params.yaml, by "section.key".

    Returns:
        The folder.
    """
    folder.mkdir(parents=True)
    for name in (*COPIED, *IGNORES):
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    path = folder / "params.yaml"
    params = read_yaml(path.read_text(encoding="utf-8"))
    for dotted, value in changes.items():
        section, key = dotted.split(".")
        params[section][key] = value
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    run(folder, ["git", "init", "-q"])
    run(folder, [sys.executable, "-m", "dvc", "init", "-q"])
    run(folder, ["git", "add", "-A"])
    author = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost"]
    author += ["-c", "commit.gpgsign=false"]
    run(folder, ["git", *author, "commit", "-qm", "start"])
    return folder


def run(folder: Path, command: Sequence[str]) -> str:
    """Runs a command in a folder and returns its stdout.

    Raises:
        RuntimeError: If it fails, with its output.
    """
    # `dvc.yaml` runs `python`, which must be this interpreter.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def time_command(folder: Path, command: Sequence[str], threads: int) -> tuple[float, str]:
    """Runs a command and returns its seconds and stdout.

    With one thread it measures processor time, of all child processes; with several, wall-clock
    time, as in `benchmarks.case`.
    """

    def now() -> float:
        if threads > 1:
            return time.perf_counter()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    start = now()
    printed = run(folder, command)
    return now() - start, printed


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
    "the core without torch": "imf_core.base.config, imf_core.base.artifacts",
    "torch": "torch",
    "the core with torch": "imf_core.training.trainer, imf_core.model.saved",
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
        command = [sys.executable, "-m", "benchmarks.parts.pipeline", stage, str(threads)]
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
        run(
            project, [sys.executable, "-m", "benchmarks.parts.pipeline", "flow", str(ROUNDS)]
        ).split()[-1]
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


def time_stage(stage: str, threads: str) -> float:
    """Returns the seconds of a stage without its imports: wall-clock time with several threads."""
    work = import_module(f"stages.{stage}").main
    clock = time.process_time if threads == "1" else time.perf_counter
    start = clock()
    work()
    return clock() - start


def time_flow(runs: str) -> float:
    """Returns the median wall-clock seconds of the flow, after a run without timing.

    It has its own Prefect server. Processor time would miss the other processes, which do most of
    the work.
    """
    from prefect.testing.utilities import prefect_test_harness  # noqa: PLC0415 (slow)

    from flows.pipeline import pipeline  # noqa: PLC0415

    seconds = []
    with prefect_test_harness(server_startup_timeout=120):
        for _ in range(int(runs) + 1):
            start = time.perf_counter()
            pipeline()
            seconds.append(time.perf_counter() - start)
    return median(seconds[1:])


if __name__ == "__main__":
    first, second = sys.argv[1:]
    print(time_flow(second) if first == "flow" else time_stage(first, second))
