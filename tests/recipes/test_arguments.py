"""Arguments of `dvc exp run`: a shell and DVC parse them back to the same values."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from tiny_world import ROOT

from imf_core.base.errors import ConfigError
from imf_core.base.yaml_text import read_yaml
from recipes.__main__ import REFUSED, main
from recipes.recipe import make_arguments
from stages.runner import run_stage

VALUES = [3, 0.05, 5e-4, 1e-05, True, None, [], ["structure", "text"], [1, 2]]
VALUES += ["atlas", "yes", "null", "1e5", "0123", "12e45", "true", "a,b", "it's", "x=y", ""]
VALUES += [
    "sentence-transformers/all-MiniLM-L6-v2",
    "builtin:tfidf-svd",
    "../a b".replace(" ", "-"),
]
VALUES += [{"path": "/models/x.npy", "sha256": "0" * 64}]


def split_by_bash(words: str) -> list[str]:
    """Returns the arguments that a command gets from an unquoted `$(...)`."""
    script = f"printf '%s\\n' $(cat <<'END'\n{words}\nEND\n)"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_bash_and_dvc_hand_every_value_on_as_it_was(tmp_path: Path) -> None:
    keys = [f"section.key{number}" for number in range(len(VALUES))]
    wanted = dict(zip(keys, VALUES, strict=True))
    path = tmp_path / "params.yaml"
    lines = [f"  {key.removeprefix('section.')}: old" for key in keys]
    path.write_text("\n".join(["section:", *lines, ""]))
    got = split_by_bash(" ".join(make_arguments(wanted)))
    assert got[::2] == ["-S"] * len(VALUES)
    apply_overrides(path, got[1::2])
    found = read_yaml(path.read_text())["section"]
    assert [(key, found[key.removeprefix("section.")]) for key in keys] == list(wanted.items())


def test_a_value_with_a_blank_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"dataset.path contains a blank, .*'my graph'"):
        make_arguments({"dataset.path": "my graph"})


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Returns a function that runs the command with arguments."""

    def run(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["recipes", *arguments])
        run_stage(main)

    monkeypatch.chdir(ROOT)
    return run


def test_the_command_prints_recipe_row_and_seed(
    run: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    run("db15k", "--row", "structure", "--seed", "1")
    words = capsys.readouterr().out.split()
    assert {"dataset.name=db15k", "model.modalities=[structure]", "train.seed=1"} <= set(words)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "there is no recipe 'nope'"),
        (["db15k", "--row", "image"], "db15k has no row image: the row needs a modality"),
        (["db15k", "--row", "two-structures"], "imf measure db15k --rows two"),
        (["db15k", "--seed", "x"], "invalid int value"),
    ],
)
def test_what_cannot_be_made_gives_dvc_an_argument_that_it_refuses(
    arguments: list[str],
    message: str,
    run: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    printed = capsys.readouterr()
    assert ended.value.code
    assert printed.out == f"{REFUSED}\n"
    assert message in printed.err
