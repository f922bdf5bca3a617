"""The command `imf forget`, and the next run of the stage `images`."""

import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from feature_inputs import Workspace, picture

from cli.__main__ import call
from imf_core.base.artifacts import read_parquet
from stages import images

PROJECT = Path(__file__).parents[2]
URL = "http://example.org/a.png"
PAGE = b"<html>The picture is not here today.</html>"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A working folder with a graph of one entity, whose picture is at `URL`."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(PROJECT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IMF_STATE", raising=False)
    monkeypatch.setenv("IMF_MIRROR", "data/mirror")
    made = Workspace(tmp_path / "data", [("e", "Name", "")])
    shutil.move(made.list_sources([]), tmp_path / "data/media")
    made.list_sources([(0, URL)])
    return made


@pytest.fixture
def forget_with(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs the command with arguments."""

    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, getattr(sys, stream))

    def run(*arguments: str) -> None:
        call(["forget", *arguments])

    return run


Forget = Callable[..., None]


def run_images_with(place: Workspace, content: bytes) -> dict[str, object]:
    """Runs the stage while the web has `content`, and returns the outcome of the source."""
    place.put_on_web(URL, content)
    images.main()
    (row,) = read_parquet(place.images / "sources.parquet").to_pylist()
    return dict(row)


def make_old(place: Workspace) -> None:
    with sqlite3.connect(place.root.parent / ".imf/web/index.sqlite") as index:
        index.execute("UPDATE outcomes SET asked_at = '2020-01-01T00:00:00Z'")
    index.close()


def test_what_was_no_picture_is_asked_for_again(place: Workspace, forget_with: Forget) -> None:
    assert run_images_with(place, PAGE)["status"] == "not_an_image"
    assert run_images_with(place, picture(0))["status"] == "not_an_image"
    forget_with("--failed")
    assert run_images_with(place, picture(0))["status"] == "ok"


def test_a_good_picture_is_asked_for_again_once_it_is_old(
    place: Workspace, forget_with: Forget, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run_images_with(place, picture(0))
    forget_with("--failed", "--older-than-days", "30")
    assert run_images_with(place, picture(1)) == first
    make_old(place)
    capsys.readouterr()
    forget_with("--older-than-days", "30")
    assert capsys.readouterr().out.startswith("1 files and answers last requested 30 or more days")
    assert run_images_with(place, picture(1))["sha256"] != first["sha256"]


def test_a_page_does_not_take_the_place_of_a_picture(
    place: Workspace, forget_with: Forget, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run_images_with(place, picture(0))
    for _ in range(2):
        make_old(place)
        forget_with("--older-than-days", "30")
        assert run_images_with(place, PAGE) == first
        assert (
            "warning: 1 files or answers were requested again without success"
            in capsys.readouterr().out
        )


def test_an_unchanged_picture_leaves_the_same_bytes(place: Workspace, forget_with: Forget) -> None:
    run_images_with(place, picture(0))
    before = {path.name: path.read_bytes() for path in place.images.iterdir()}
    make_old(place)
    forget_with("--older-than-days", "30")
    run_images_with(place, picture(0))
    assert {path.name: path.read_bytes() for path in place.images.iterdir()} == before


def test_where_nothing_was_asked_there_is_nothing_to_forget(
    place: Workspace, forget_with: Forget, capsys: pytest.CaptureFixture[str]
) -> None:
    forget_with("--failed")
    assert "there were no web requests" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [(), ("--older-than-days", "0")])
def test_a_command_that_says_nothing_or_nonsense_is_refused(
    arguments: tuple[str, ...], place: Workspace, forget_with: Forget
) -> None:
    with pytest.raises(SystemExit):
        forget_with(*arguments)
