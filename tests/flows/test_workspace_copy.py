"""The copy of the workspace for an experiment: its content; making it changes no file."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from workspace import Workspace

from flows.errors import FlowError
from flows.experiments.form import read_values
from flows.experiments.names import check_tracked_paths
from flows.experiments.run_experiment import apply_changes
from flows.experiments.workspace_copy import forget_runs_except, git, record_version, temporary_copy
from imf_core.base.yaml_text import read_yaml

# DVC and the libraries below it warn of their own deprecations.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

COPY = Path(".dvc/tmp/copy")

HALF_WRITTEN = """
import time
from pathlib import Path
from dvc.repo import Repo
file = Path("dvc.lock")
text = file.read_text()
with Repo() as repo, repo.lock:
    file.write_text("")
    print("emptied", flush=True)
    time.sleep(1)
    file.write_text(text)
"""


@contextmanager
def copy_of_now() -> Iterator[Path]:
    with temporary_copy(record_version(print), COPY):
        yield COPY


def state() -> tuple[str, ...]:
    """The state of the workspace in git."""
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
    with copy_of_now() as copy:
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
    with copy_of_now() as copy:
        forget_runs_except(copy, {"download", "prepare"})
        status = copied.dvc("--cd", str(copy), "status", "evaluate")
        assert "deleted:" in status.stdout or "new:" in status.stdout
        text = (copy / "dvc.lock").read_text()
        assert "data/raw" in text
        assert "results/evaluation" not in text


def test_strings_that_look_like_numbers_stay_strings_in_a_copy(copied: Workspace) -> None:
    text = Path("dvc.lock").read_text()
    digits = "123456789012345678901234567890e1"
    md5 = read_yaml(text)["stages"]["download"]["outs"][0]["md5"]
    text = text.replace(f"md5: {md5}", f"md5: '{digits}'")
    Path("dvc.lock").write_text(text.replace("contact: ''", "contact: '1e-3'"))
    git("add", "dvc.lock")
    with copy_of_now() as copy:
        forget_runs_except(copy, {"download"})
        kept = read_yaml((copy / "dvc.lock").read_text())["stages"]
    assert kept == {"download": read_yaml(Path("dvc.lock").read_text())["stages"]["download"]}
    assert kept["download"]["outs"][0]["md5"] == digits
    assert kept["download"]["params"]["params.yaml"]["fetch"]["contact"] == "1e-3"


def test_copies_of_one_version_are_alike_whatever_happens_in_between(copied: Workspace) -> None:
    version = record_version(print)
    Path("params.yaml").write_text(Path("params.yaml").read_text() + "# later\n")
    git("commit", "-qam", "later")
    with temporary_copy(version, COPY):
        assert "# later" not in (COPY / "params.yaml").read_text()
        assert git("rev-parse", "HEAD", folder=COPY).strip() == version.commit


def test_no_half_written_lock_file_is_recorded(copied: Workspace) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", HALF_WRITTEN], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert "emptied\n" in writer.stdout
    version = record_version(print)
    writer.communicate()
    assert git("show", f"{version.tree}:dvc.lock") == Path("dvc.lock").read_text()


def test_a_shallow_clone_can_be_copied(copied: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    git("commit", "-q", "--allow-empty", "-m", "later")
    git("clone", "-q", "--depth", "1", copied.folder.as_uri(), "shallow")
    monkeypatch.chdir("shallow")
    with copy_of_now() as copy:
        assert (copy / "params.yaml").read_text() == Path("params.yaml").read_text()
        git("commit", "-q", "--allow-empty", "-m", "made there", folder=copy)
        git("fetch", "-q", str(copy), "HEAD:refs/heads/made")


def test_a_project_without_a_commit_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    with pytest.raises(FlowError, match="this project has none; commit it first"):
        record_version(print)


def reach(changes: dict[str, object]) -> None:
    check_tracked_paths(apply_changes(read_values(), changes), print)


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
        ({"dataset.path": "..mine"}, "a file that does not exist: ..mine"),
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
    Path("data/raw/mine").touch()
    with pytest.raises(FlowError, match="has changed since DVC saw it; run `dvc repro`"):
        reach({"dataset.path": "data/raw"})
