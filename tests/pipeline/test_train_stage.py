"""The stage `train` reads the chosen values and reports its progress."""

from pathlib import Path

import pytest
import yaml
from tiny_world import no_features, small_params, tiny_graph, tiny_tables

from imf_core.base.artifacts import read_json, write_json
from imf_core.base.errors import ConfigError
from imf_core.base.sections import AUTO
from imf_core.graph.feature_table import save_features
from imf_core.graph.labels import save_graph
from imf_core.training import trainer
from stages import train
from stages.paths import CHOSEN, FEATURES, GRAPH, MODEL

WEIGHTS = MODEL / "model.safetensors"


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The prepared tiny graph with its features, and one chosen value."""
    monkeypatch.chdir(tmp_path)
    graph = tiny_graph()
    save_graph(graph, graph.facts, GRAPH)
    for name, path in FEATURES.items():
        save_features(tiny_tables().get(name, no_features()), graph.fingerprint, path)
    write_json(CHOSEN, {"model.dim": 4})
    return tmp_path


def run(**overrides: object) -> dict[str, object]:
    """Runs the stage; returns the training data in the model's file."""
    raw = small_params().model_dump()
    for dotted, value in overrides.items():
        section, _, key = dotted.partition("__")
        raw[section][key] = value
    Path("params.yaml").write_text(yaml.safe_dump(raw), "utf-8")
    train.main()
    training: dict[str, object] = read_json(MODEL / "config.json")["training"]
    return training


def test_the_model_has_the_chosen_values() -> None:
    run(model__dim=AUTO)
    assert read_json(MODEL / "config.json")["model"]["dim"] == 4


def test_a_value_given_by_hand_stands() -> None:
    run(model__dim=6)
    assert read_json(MODEL / "config.json")["model"]["dim"] == 6


def test_a_value_that_was_not_chosen_is_named_before_training() -> None:
    with pytest.raises(ConfigError, match=r"no value for train\.n3, .* run `dvc repro tune`"):
        run(train__n3=AUTO)
    assert not MODEL.exists()


def test_the_time_of_training_is_estimated_after_its_first_epoch(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(train__epochs=3)
    printed = capsys.readouterr().out
    assert "at most 3 epochs" in printed
    assert printed.count("an epoch takes about") == 1
    assert printed.index("an epoch takes about") < printed.index("selected epoch")


def test_a_sample_of_valid_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "sample_facts", lambda facts, *_: facts[:4])
    run(train__epochs=1)
    assert "use a sample of 4 of the 6 facts of valid" in capsys.readouterr().out


@pytest.mark.parametrize("is_rising", [True, False])
def test_a_best_epoch_that_is_the_last_one_is_said_with_the_value_to_set(
    is_rising: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    take_in = train.Trainer._take_in

    def set_mrr(trainer: train.Trainer, record: dict[str, float]) -> None:
        mrr = record["epoch"] / 10
        take_in(trainer, record | {"valid_mrr": mrr if is_rising else 1 - mrr})

    monkeypatch.setattr(train.Trainer, "_take_in", set_mrr)
    training = run(train__epochs=3)
    assert training["is_still_rising"] is is_rising
    assert ("set train.epochs to 6" in capsys.readouterr().out) is is_rising


def test_raised_epochs_go_on_to_the_bytes_of_an_uninterrupted_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IMF_STATE", str(tmp_path / "whole"))
    whole = run(train__epochs=7, train__validate_every=2)
    files = WEIGHTS.read_bytes(), Path("results/training/metrics.json").read_bytes()
    monkeypatch.setenv("IMF_STATE", str(tmp_path / "raised"))
    run(train__epochs=3, train__validate_every=2)
    capsys.readouterr()
    assert run(train__epochs=7, train__validate_every=2) == whole
    assert "the last checkpoint of this run" in capsys.readouterr().out
    assert (WEIGHTS.read_bytes(), Path("results/training/metrics.json").read_bytes()) == files


def test_a_state_of_the_run_is_kept_for_more_epochs() -> None:
    run()
    assert len(list(Path(".imf/checkpoints").glob("*/finished"))) == 1
