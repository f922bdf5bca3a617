"""The DAG is the one that dvc.yaml describes."""

from pathlib import Path

import pytest
import yaml
from workspace import ROOT, Workspace

from flows.errors import FlowError
from flows.running.stage import Stage, read_dag

# DVC's own libraries warn of their deprecations.
pytestmark = pytest.mark.filterwarnings("default")


def described() -> dict[str, Stage]:
    """Derives the DAG from the deps and outs in dvc.yaml."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    outs = {
        name: [*stage.get("outs", []), *stage.get("metrics", [])] for name, stage in stages.items()
    }

    def reads(dependency: str, out: str) -> bool:
        return f"{dependency}/".startswith(f"{out}/") or f"{out}/".startswith(f"{dependency}/")

    return {
        name: Stage(
            name,
            tuple(
                sorted(
                    other
                    for other, written in outs.items()
                    if any(reads(dep, out) for dep in stage["deps"] for out in written)
                )
            ),
            tuple(outs[name]),
        )
        for name, stage in stages.items()
    }


def test_it_equals_what_dvc_yaml_describes() -> None:
    read = {stage.name: stage for stage in read_dag(ROOT, print)}
    assert read.keys() == described().keys()
    for name, stage in described().items():
        assert read[name].needs == stage.needs
        assert set(read[name].outs) == set(stage.outs)


def test_a_stage_comes_after_those_that_it_needs() -> None:
    seen: set[str] = set()
    for stage in read_dag(ROOT, print):
        assert set(stage.needs) <= seen
        seen.add(stage.name)


def test_a_folder_that_is_no_project_is_named(tmp_path: Path) -> None:
    with pytest.raises(FlowError, match=str(tmp_path)):
        read_dag(tmp_path, print)


@pytest.mark.slow
def test_a_description_that_dvc_refuses_is_an_error_that_says_why(copied: Workspace) -> None:
    (copied.folder / "dvc.yaml").write_text("stages:\n  train:\n    deps: [x]\n")
    with pytest.raises(FlowError, match=r"dvc.yaml' validation failed.*`dvc status`"):
        read_dag(copied.folder, print)
