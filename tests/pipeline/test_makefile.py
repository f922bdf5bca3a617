"""`make clean` removes only the outputs of runs."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from tiny_world import ROOT

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
OUTS = [out for stage in STAGES for key in ("outs", "metrics") for out in stage.get(key, [])]
OWN = [
    "data/mygraph/train.txt",
    "data/raw.zip",
    "results/my notes.txt",
    ".imf/prefect/prefect.db",
    ".dvc/cache/files/md5/00/1",
    ".dvc/config",
    "dvc.lock",
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder without DVC, with all outs and with files of the user."""
    for name in ("Makefile", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    for out in [*OUTS, *OWN, ".venv/bin/python", ".dvc/plots.html"]:
        path = tmp_path / out if Path(out).suffix or out in OWN else tmp_path / out / "file"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def make(project: Path, target: str) -> str:
    run = subprocess.run(["make", target], cwd=project, capture_output=True, text=True, check=True)
    return run.stdout


def files(project: Path) -> set[str]:
    return {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}


def test_clean_removes_the_outs_and_the_environment_and_keeps_all_else(project: Path) -> None:
    make(project, "clean")
    assert files(project) == {"Makefile", "dvc.yaml", *OWN}


def test_clean_may_be_repeated_and_leaves_no_empty_folders(project: Path) -> None:
    shutil.rmtree(project / "data/mygraph")
    (project / "data/raw.zip").unlink()
    for _ in range(2):
        make(project, "clean")
    assert not (project / "data").exists()
    assert [path.name for path in (project / "results").iterdir()] == ["my notes.txt"]


def test_clean_finds_outs_with_options_and_of_further_stages(project: Path) -> None:
    text = (project / "dvc.yaml").read_text()
    first = text.replace("      - data/raw\n\n", "      - data/raw:\n          cache: false\n\n", 1)
    more = """
  more:
    cmd: more
    deps:
      - data/mygraph
    outs:
      - results/one file.txt:
          cache: false
      - results/two
"""
    (project / "dvc.yaml").write_text(first.replace("\nplots:", f"{more}\nplots:", 1))
    (project / "results/one file.txt").touch()
    (project / "results/two").touch()
    (project / "file.txt").touch()
    make(project, "clean")
    assert files(project) == {"Makefile", "dvc.yaml", "file.txt", *OWN}


def test_clean_cache_says_what_goes_and_removes_the_cache_alone(project: Path) -> None:
    before = files(project)
    assert "earlier runs and experiments, and the data" in make(project, "clean-cache")
    assert before - files(project) == {".dvc/cache/files/md5/00/1"}
