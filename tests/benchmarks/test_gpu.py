"""The command for a GPU runs on a CPU at tiny sizes, with few packages."""

import io
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import torch
from tiny_world import ROOT

from benchmarks import gpu
from benchmarks.gpu_bench import TINY, Bench
from benchmarks.gpu_graphs import load_world, read_graph
from benchmarks.results import Row, load_results

ABSENT = (
    *("dvc", "dvclive", "prefect", "aiohttp", "yarl", "PIL", "pyoxigraph", "typer"),
    *("ruamel", "rapidfuzz", "fastapi"),
    *("ray", "pykeen", "matplotlib", "playwright", "pytest"),
)
"""Packages that a GPU machine may lack."""

RUN = f"""
import sys
sys.modules.update(dict.fromkeys({ABSENT!r}))
from benchmarks.__main__ import main
main()
"""


def test_all_parts_run_without_the_packages_of_the_pipeline(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    words = ["gpu", "--dry-run", "--output", str(path)]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = load_results(path).runs.values()
    figures = {row.name: row for row in run.rows}
    assert run.environment["device"] == "cpu"
    assert figures["loss in float32 against the CPU"].value < 1e-6
    assert figures["ranks equal to those on the CPU"].value == 100
    assert figures["paths: largest difference to the CPU over the largest score"].value < 1e-5
    for name in ("db15k", "fb15k-237"):
        for figure in ("epoch in bfloat16", "ranking", "MRR on test"):
            row = figures[f"synthetic {name}: {figure}"]
            assert row.value > 0
            assert "its files are missing" in row.note
    assert {"CLIP, forward pass", "BERT, forward pass"} <= figures.keys()


def test_a_part_that_fails_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Bench) -> None:
        raise RuntimeError("broken")

    parts = {"one": fail, "two": lambda bench: bench.add("a", 1.0, "s")}
    monkeypatch.setattr(gpu, "list_parts", lambda: parts)
    kept: list[list[Row]] = []
    bench = Bench(torch.device("cpu"), TINY, None, None, time.monotonic() + 60)
    assert gpu.run_parts(bench, lambda rows: kept.append(list(rows))) == ["one"]
    assert [[row.name for row in rows] for rows in kept] == [[], ["a"]]
    bench.end = time.monotonic() - 1
    assert gpu.run_parts(bench, kept.append) == ["one (no time left)", "two (no time left)"]


def test_without_a_gpu_the_command_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SystemExit):
        gpu.main([])
    assert "--dry-run" in capsys.readouterr().err


def test_the_splits_of_a_read_graph_share_no_fact() -> None:
    train = b"".join(b"a%d\tr\tb%d\n" % (number, number) for number in range(100))
    graph = read_graph({"train": train, "valid": b"a1 r b1\n", "test": b"a2\tr\tb2\n"})
    splits = [set(map(tuple, graph.triples[name].tolist())) for name in ("train", "valid", "test")]
    assert [len(each) for each in splits] == [94, 5, 1]
    assert len(set.union(*splits)) == 100
    head, relation, tail = graph.triples["test"][0].tolist()
    labels = graph.entity_labels
    assert (labels[head], graph.relation_labels[relation], labels[tail]) == ("a2", "r", "b2")


@pytest.mark.parametrize("where", ["folder", "mirror"])
def test_facts_are_read_from_a_folder_or_a_mirror(where: str, tmp_path: Path) -> None:
    lines = {"train": b"a\tr\tb\nb\tr\tc\n", "valid": b"c\tr\ta\n", "test": b"a\tr\tc\n"}
    (tmp_path / "fb15k-237").mkdir()
    for split, content in lines.items():
        (tmp_path / "fb15k-237" / f"{split}.txt").write_bytes(content)
    if where == "mirror":
        commit = "f3c0eb286025410fa5b4c04696c918264163d0ca"
        folder = tmp_path / "raw.githubusercontent.com/TimDettmers/ConvE" / commit
        folder.mkdir(parents=True)
        with tarfile.open(folder / "FB15k-237.tar.gz", "w:gz") as archive:
            for split, content in lines.items():
                member = tarfile.TarInfo(f"{split}.txt")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    places = (tmp_path, None) if where == "mirror" else (None, tmp_path)
    named = load_world("fb15k-237", *places, shrink=50)
    assert named.name == "fb15k-237"
    assert named.world.graph.num_entities == 3
    assert "random features" in named.source
