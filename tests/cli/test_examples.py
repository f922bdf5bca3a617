"""Example answers that `imf run` prints before the long stages."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_world import tiny_graph

from cli import examples
from imf_core.base.errors import DataError
from imf_core.graph.labels import save_graph
from stages.paths import GRAPH


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny graph in a folder without a model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(examples, "MODEL", Path("model"))
    save_graph(tiny_graph(), tiny_graph().facts, GRAPH)


def test_examples_come_from_train_facts_until_a_model_is_trained_on_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examples.show_examples()
    printed = capsys.readouterr().out
    assert "Before any training, a pretrained network reads the train facts." in printed
    shown = re.findall(
        r"^  (new|true \((?:valid|test)\))  E\d\d - .* - E\d\d$", printed, re.MULTILINE
    )
    assert 1 <= len(shown) <= examples.COUNT
    config = SimpleNamespace(facts_digest=tiny_graph().facts_digest)
    monkeypatch.setattr(examples, "load_config", lambda _: config)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").touch()
    examples.show_examples()
    assert capsys.readouterr().out == ""
    (tmp_path / "model/config.json").unlink()
    monkeypatch.setattr(examples, "MAX_ENTITIES", 3)
    examples.show_examples()
    assert capsys.readouterr().out.startswith("22 entities, more than 3: the run goes on without")


@pytest.mark.parametrize("content", ["", "{}", '{"facts_digest": 1}'])
def test_a_damaged_or_older_model_is_no_model(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text(content)
    examples.show_examples()
    assert "Before any training" in capsys.readouterr().out


def test_without_weights_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise DataError("no weights")

    monkeypatch.setattr(examples, "load_pretrained", fail)
    examples.show_examples()
    assert capsys.readouterr().out == f"no weights: {examples.WITHOUT_RUN}\n"
