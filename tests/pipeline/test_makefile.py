"""`make clean` removes only the outputs of runs; a run installs no packages of the tests."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
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


def make(project: Path, *words: str) -> str:
    run = subprocess.run(["make", *words], cwd=project, capture_output=True, text=True, check=True)
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


def read_lock(name: str) -> set[str]:
    """Returns the pinned releases of a lock, without the conditions on platforms."""
    return {line.partition(" ;")[0].strip() for line in (ROOT / name).read_text().splitlines()}


def test_the_lock_of_a_run_is_the_part_of_the_other_without_packages_of_the_tests() -> None:
    run, dev = read_lock("requirements.lock"), read_lock("requirements-dev.lock")
    assert run < dev
    names = {release.partition("==")[0] for release in run}
    assert not names & {"ray", "playwright", "mypy", "pytest", "pytest-xdist", "ruff", "hypothesis"}
    assert {"torch", "dvc", "prefect", "transformers"} <= names


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A project folder in which `make install` has been called."""
    for name in ("Makefile", "requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in (".venv/.readers", ".venv/.installed", "cli/pipeline.py", ".dvc/plots.html"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    os.utime(tmp_path / "cli/pipeline.py", (0, 0))
    return tmp_path


def test_a_first_run_shows_the_graph_before_the_large_packages_come(installed: Path) -> None:
    for name in (".readers", ".installed"):
        (installed / ".venv" / name).unlink()
    commands = make(installed, "-n", "run")
    order = ["--constraint requirements.lock", "stages.download", "stages.prepare"]
    order += ["-r requirements.lock", "imf run"]
    places = [commands.index(each) for each in order]
    assert places == sorted(places)


def test_the_packages_that_read_a_graph_are_those_of_the_first_stages() -> None:
    (line,) = re.findall(r"^READERS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    waiting, allowed = line.split(), set()
    while waiting:
        name = re.split(r"[^\w.-]", waiting.pop())[0].lower().replace("_", "-")
        if name in allowed:
            continue
        allowed.add(name)
        with suppress(PackageNotFoundError):  # of other platforms
            waiting += [each for each in requires(name) or () if "extra ==" not in each]
    others = {
        module: None  # Python refuses to import it
        for module, owners in packages_distributions().items()
        if not {owner.lower().replace("_", "-") for owner in owners} & (allowed | {"imf"})
    }
    code = f"import sys; sys.modules |= {others}; import stages.download, stages.prepare"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("target", ["run", "ui", "recipe"])
def test_a_run_does_not_install_the_packages_of_the_tests(target: str, installed: Path) -> None:
    assert "pip" not in make(installed, "-n", target)
    (installed / ".venv/.installed").unlink()
    assert "-r requirements.lock" in (commands := make(installed, "-n", target))
    assert "requirements-dev.lock" not in commands


@pytest.mark.parametrize("target", ["test", "gate", "lint", "format"])
def test_the_first_test_installs_the_packages_of_the_tests_and_the_second_none(
    target: str, installed: Path
) -> None:
    assert make(installed, "-n", target).count("pip install") == 1
    assert "-r requirements-dev.lock" in make(installed, "-n", target)
    (installed / ".venv/.installed-dev").touch()
    assert "pip" not in make(installed, "-n", target)


@pytest.mark.parametrize("target", ["test", "gate"])
def test_the_slowest_tests_are_printed(target: str, installed: Path) -> None:
    assert "-m pytest" in make(installed, "-n", target)
    options = tomllib.loads((installed / "pyproject.toml").read_text())["tool"]["pytest"]
    assert "--durations=10" in options["ini_options"]["addopts"].split()
