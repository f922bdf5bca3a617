"""Runs every stage on a large synthetic graph: `python -m benchmarks.large_graph`.

The graph has names, descriptions and some pictures, and `train.epochs` is 1. Each stage runs in a
process of its own in a copy of the project. The table gives the processor time and the peak memory
of each, its imports included; the slowest stage and the largest one are what a user waits for.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from subprocess import DEVNULL, Popen

from benchmarks.encoders import make_sources, make_texts
from benchmarks.graphs import make_graph
from benchmarks.parts.pipeline import copy_project
from imf_core.base.yaml_text import read_yaml
from recipes.environment import describe_environment

NUM_RELATIONS, NUM_PICTURES = 200, 2_000
HELD_OUT = 5_000
MIB = 2**20
PAUSE_SECONDS = 0.05


def main() -> None:
    """Prints a row for each stage once it has ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entities", type=int, default=200_000)
    parser.add_argument("--facts", type=int, default=1_000_000)
    parser.add_argument("--trials", type=int, default=0, help="of the stage tune (0)")
    parser.add_argument("--keep", type=Path, help="a new folder to run in, kept")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (chosen.keep or Path(temporary) / "run").resolve()
        graph = folder.with_name(folder.name + "-graph")
        write_graph(graph, chosen.entities, chosen.facts)
        changes: dict[str, object] = {
            "dataset.name": "folder",
            "dataset.path": str(graph),
            "tune.trials": chosen.trials,
            "train.epochs": 1,
        }
        project = copy_project(folder, changes)
        print(f"{chosen.entities:,} entities, {chosen.facts:,} facts; {describe_environment()}\n")
        print("| stage | processor time | clock | peak memory |\n|---|---:|---:|---:|")
        for stage in read_yaml((project / "dvc.yaml").read_text(encoding="utf-8"))["stages"]:
            print(run_stage(project, stage), flush=True)


def write_graph(folder: Path, num_entities: int, num_facts: int) -> None:
    """Writes a graph in the folder format, with a text for each entity and some pictures."""
    graph = make_graph(num_entities, NUM_RELATIONS, num_facts, HELD_OUT)
    (folder / "images").mkdir(parents=True)
    for split, facts in graph.triples.items():
        lines = [f"e{head}\tr{relation}\te{tail}\n" for head, relation, tail in facts.tolist()]
        (folder / f"{split}.txt").write_text("".join(lines), encoding="utf-8")
    texts = make_texts(num_entities)
    for name, words in (("entity2name.txt", slice(2)), ("entity2desc.txt", slice(None))):
        lines = [f"e{n}\t{' '.join(text.split()[words])}\n" for n, text in enumerate(texts)]
        (folder / name).write_text("".join(lines), encoding="utf-8")
    index = []
    for number, content in enumerate(make_sources(min(NUM_PICTURES, num_entities))):
        (folder / "images" / f"{number}.img").write_bytes(content)
        index.append(f"e{number}\timages/{number}.img\n")
    (folder / "image_index.tsv").write_text("".join(index), encoding="utf-8")


def run_stage(project: Path, stage: str) -> str:
    """Runs a stage and returns its row of the table.

    Raises:
        SystemExit: If the stage fails.
    """
    start = time.perf_counter()
    with (project / f"{stage}.log").open("wb") as log:
        process = Popen(
            [sys.executable, "-m", f"stages.{stage}"],
            cwd=project,
            stdin=DEVNULL,
            stdout=log,
            stderr=log,
        )
        peak = [0]
        watch = threading.Thread(target=_watch, args=(process.pid, peak))
        watch.start()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        watch.join()
    if process.returncode:
        sys.exit(f"{stage} failed:\n{(project / f'{stage}.log').read_text(errors='replace')}")
    seconds = used.ru_utime + used.ru_stime
    clock, largest = time.perf_counter() - start, max(peak[0], used.ru_maxrss * 1024)
    return f"| {stage} | {seconds:,.0f} s | {clock:,.0f} s | {largest / MIB:,.0f} MiB |"


def _watch(pid: int, peak: list[int]) -> None:
    """Records the largest sum of the resident memory of a process and its children."""
    while True:
        pids, total = [pid], 0
        while pids:
            each = pids.pop()
            try:
                pids += [
                    int(child)
                    for task in Path(f"/proc/{each}/task").iterdir()
                    for child in (task / "children").read_text().split()
                ]
                resident = int(Path(f"/proc/{each}/statm").read_text().split()[1])
            except (OSError, IndexError):
                continue
            total += resident * os.sysconf("SC_PAGE_SIZE")
        if not total:
            return
        peak[0] = max(peak[0], total)
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
