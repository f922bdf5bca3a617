"""The stage `images` in a separate project folder."""

import shutil
import socket
from pathlib import Path

import pytest
from feature_inputs import Workspace, picture

from imf_core.base.errors import NetworkError
from imf_core.web import hosts
from stages import images

PROJECT = Path(__file__).parents[2]
WEB = "http://example.org"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A working folder with a graph of four entities without looked-up media."""
    shutil.copy(PROJECT / "params.yaml", tmp_path)
    shutil.copy(PROJECT / "decisions.jsonl", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IMF_STATE", raising=False)
    monkeypatch.setenv("IMF_MIRROR", "data/mirror")
    made = Workspace(tmp_path / "data", [(f"e{i}", f"Name{i}", "") for i in range(4)])
    shutil.move(made.list_sources([]), tmp_path / "data/media")
    return made


def test_what_the_web_may_mend_is_told_with_the_command_that_has_it_asked_again(
    place: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    good, text, half = (f"{WEB}/{name}" for name in ("good.png", "text.png", "half.png"))
    place.put_on_web(good, picture(0))
    place.put_on_web(text, b"no picture at all" * 9)
    place.put_on_web(half, picture(0, (200, 200))[:-200])
    place.list_sources([(0, good), (1, text), (2, half), (3, f"{WEB}/%2e%2e/a.png")])
    images.main()
    expected = "status not_an_image, truncated, refused: replace files of your own; to fetch from"
    assert expected in capsys.readouterr().out


def test_nothing_is_to_be_forgotten_where_all_is_well(
    place: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    place.list_sources([(0, place.put_on_web(f"{WEB}/a.png", picture(0)))])
    images.main()
    assert "forget" not in capsys.readouterr().out


def test_the_stage_fails_where_nobody_answers(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "FIRST_PAUSE_SECONDS", 0.001)
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        monkeypatch.setenv("IMF_MIRROR", f"http://127.0.0.1:{bound.getsockname()[1]}")
        place.list_sources([(0, f"{WEB}/a.png")])
        with pytest.raises(NetworkError, match=r"IMF_MIRROR .* does not answer"):
            images.main()
    assert not (place.images / "manifest.parquet").exists()
