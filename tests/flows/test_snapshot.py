"""The copy that an experiment runs in: what is in it, and that taking it touches nothing."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from workspace import Workspace

from flows.experiments.form import read_values
from flows.experiments.git import git
from flows.experiments.reach import check_reach
from flows.experiments.run_experiment import apply_changes
from flows.experiments.snapshot import keep_locked, taken_snapshot
from flows.faults import FlowError

# DVC and the libraries below it warn of their own deprecations.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

COPY = Path(".dvc/tmp/copy")


@contextmanager
def snapshot() -> Iterator[Path]:
    with taken_snapshot(COPY):
        yield COPY


def state() -> tuple[str, ...]:
    """Everything that git knows of the workspace."""
    head = Path(".git/HEAD").read_text()
    return (head, git("for-each-ref"), git("stash", "list"), git("status", "--short"), git("diff"))


def test_a_copy_has_what_git_tracks_as_it_stands_and_the_workspace_stays(
    copied: Workspace,
) -> None:
    Path("params.yaml").write_text(Path("params.yaml").read_text() + "# mine\n")
    Path("examples/solar-system/README.md").unlink()
    for name in ("staged", "intended", "untracked"):
        Path(name).write_text(name)
    git("add", "staged")
    git("add", "--intent-to-add", "intended")
    before = state()
    with snapshot() as copy:
        assert (copy / "params.yaml").read_text().endswith("# mine\n")
        assert not (copy / "examples/solar-system/README.md").exists()
        assert [(copy / name).exists() for name in ("staged", "intended", "untracked")] == [
            True,
            True,
            False,
        ]
        assert git("rev-parse", "HEAD", folder=copy) == git("rev-parse", "HEAD")
    assert state() == before
    assert not list(COPY.parent.glob("copy*"))


def test_a_copy_forgets_the_runs_of_stages_that_an_experiment_leaves_out(
    copied: Workspace,
) -> None:
    with snapshot() as copy:
        keep_locked(copy, {"download", "prepare"})
        status = copied.dvc("--cd", str(copy), "status", "evaluate")
        assert "deleted:" in status.stdout or "new:" in status.stdout
        text = (copy / "dvc.lock").read_text()
        assert "data/raw" in text
        assert "results/evaluation" not in text


def test_a_project_without_a_commit_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    with pytest.raises(FlowError, match="this project has none; commit it first"):
        taken_snapshot(COPY).__enter__()


def reach(changes: dict[str, object]) -> None:
    check_reach(apply_changes(read_values(), changes))


def test_files_that_an_experiment_would_not_find_are_named(copied: Workspace) -> None:
    ready = {"path": "ready.npy", "sha256": "0" * 64}
    Path("ready.npy").touch()
    for folder in ("mine", "data/mine"):
        Path(folder).mkdir()
        Path(folder, "train.txt").touch()
    for changes, message in [
        ({"dataset.path": "mine"}, r"dataset.path names mine, .* not track mine/train.txt"),
        ({"dataset.path": "data/mine"}, r"dataset.path names data/mine, .* not track"),
        ({"dataset.path": "../mine"}, "leads out of the project: ../mine.* absolute path: /"),
        ({"dataset.path": "nowhere"}, "a file that does not exist: nowhere"),
        ({"dataset.image_folders": ["mine"]}, "dataset.image_folders names mine"),
        ({"text_features.model": "mine"}, "text_features.model names mine"),
        ({"image_features.precomputed": ready}, r"image_features.precomputed.path names ready.npy"),
    ]:
        with pytest.raises(FlowError, match=message):
            reach(changes)
    git("add", "--intent-to-add", "--force", "mine")
    reach({"dataset.path": "mine", "text_features.model": "mine"})
    reach({"dataset.path": str(copied.folder.parent), "text_features.model": "a-hub/model"})


def test_data_under_dvc_reach_an_experiment_as_dvc_last_saw_them(copied: Workspace) -> None:
    Path("mine").mkdir()
    Path("mine/train.txt").write_text("a\tb\tc\n")
    copied.dvc("add", "-q", "mine")
    reach({"dataset.path": "mine"})
    Path("mine/train.txt").write_text("a\tb\td\n")
    with pytest.raises(FlowError, match="has changed since DVC saw it; run `dvc add mine`"):
        reach({"dataset.path": "mine"})
