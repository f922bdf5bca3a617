"""The stage `tune` chooses a value for each key that is `auto`, and repeats no finished trial."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
import yaml
from tiny_world import ROOT, no_features, small_params, tiny_graph, tiny_tables

from imf_core.base.artifacts import read_json
from imf_core.base.config import ModelParams, TrainParams
from imf_core.base.errors import DivergenceError
from imf_core.base.sections import AUTO
from imf_core.graph.feature_table import FeatureTable, save_features
from imf_core.graph.graph import Graph
from imf_core.graph.labels import save_graph
from imf_core.report.curves import read_trials
from stages import tune
from stages.paths import CHOSEN, FEATURES, GRAPH, TRIALS

STAGE = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]["tune"]
HEADER = "channels,trial,setting,epochs,valid_mrr,ended,is_chosen\n"
STRUCTURAL = ("train.n3", "model.head_dropout")
OF_ENCODERS = ("train.encoder_n3", "model.dropout")


class KilledError(Exception):
    pass


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The prepared tiny graph with its features; trials have four epochs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tune, "trial_epochs", lambda _: 4)
    write_inputs(tiny_tables())
    return tmp_path


def write_inputs(tables: Mapping[str, FeatureTable]) -> None:
    graph = tiny_graph()
    save_graph(graph, graph.facts, GRAPH)
    for name, path in FEATURES.items():
        save_features(tables.get(name, no_features()), graph.fingerprint, path)


def run(*auto: str, **overrides: object) -> dict[str, object]:
    """Runs the stage with some keys `auto`; returns the chosen values."""
    given = {key.replace("__", "."): value for key, value in overrides.items()}
    raw = small_params(given).model_dump()
    for dotted in auto:
        section, _, key = dotted.partition(".")
        raw[section][key] = AUTO
    Path("params.yaml").write_text(yaml.safe_dump(raw), "utf-8")
    tune.main()
    chosen: dict[str, object] = read_json(CHOSEN)
    return chosen


@dataclass
class FakeTraining:
    """Replaces `run_trial`: counts trainings and returns the MRR of each setting at once.

    Attributes:
        score: The MRR of a trial, or an error to raise after one validation.
        trained: The trials' modalities and parameters.
        dies_in: Number of the training that is killed; 0 for none.
    """

    score: Callable[[ModelParams, TrainParams], float | Exception]
    trained: list[tuple[list[str], ModelParams, TrainParams]] = field(default_factory=list)
    dies_in: int = 0

    def __call__(
        self,
        graph: Graph,
        tables: Mapping[str, FeatureTable],
        model: ModelParams,
        train: TrainParams,
        on_validation: Callable[[int, float], None],
    ) -> None:
        self.trained.append((list(model.modalities), model, train))
        score = self.score(model, train)
        on_validation(1, 0.01)
        if len(self.trained) == self.dies_in:
            raise KilledError
        if isinstance(score, Exception):
            raise score
        on_validation(2, score)


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> FakeTraining:
    """Trainings in which penalties of 0.03 and no dropout are best."""
    fake = FakeTraining(
        lambda model, train: (
            0.5 - abs(train.n3 - 0.03) - abs(train.encoder_n3 - 0.03) - model.head_dropout
        )
    )
    monkeypatch.setattr(tune, "run_trial", fake)
    return fake


def test_values_are_chosen_for_keys_that_are_auto_and_those_that_dvc_does_not_watch(
    training: FakeTraining,
) -> None:
    chosen = run("train.n3", "model.dropout")
    assert chosen.keys() == {"train.n3", "model.dropout", *tune.UNWATCHED}
    assert chosen["train.fused_n3"] == pytest.approx(chosen["train.n3"] / 2)


def test_where_every_value_is_given_nothing_is_tried(training: FakeTraining) -> None:
    assert run().keys() == set(tune.UNWATCHED)
    assert training.trained == []
    assert TRIALS.read_text("utf-8") == HEADER
    assert read_trials(TRIALS) == []


def test_what_dvc_does_not_watch_has_no_say(training: FakeTraining) -> None:
    run("train.n3")
    first = CHOSEN.read_bytes(), TRIALS.read_bytes()
    run("train.n3", *tune.UNWATCHED)
    assert (CHOSEN.read_bytes(), TRIALS.read_bytes()) == first
    run("train.n3", "train.patience", fusion__rank=0, train__seed=3, train__epochs=99)
    assert (CHOSEN.read_bytes(), TRIALS.read_bytes()) == first


def test_dvc_watches_neither_fusion_nor_seed_and_epochs() -> None:
    unwatched = {"train.seed", "train.patience", "train.processes", *tune.UNWATCHED}
    watched = set(STAGE["params"])
    assert watched & unwatched == set()
    assert {param.split(".")[0] for param in watched} == {"tune", "model", "train"}
    keys = {f"train.{key}" for key in TrainParams.model_fields}
    assert {param for param in watched if "." in param} == keys - unwatched


def test_the_structural_channel_comes_first_and_the_others_without_it(
    training: FakeTraining,
) -> None:
    run(*STRUCTURAL, *OF_ENCODERS, tune__trials=8)
    channels = [modalities for modalities, _, _ in training.trained]
    assert channels[0] == ["structure"]
    assert channels[-1] == ["image", "text"]
    first = channels.index(["image", "text"])
    assert all(each == ["structure"] for each in channels[:first])
    assert all(each == ["image", "text"] for each in channels[first:])


def test_later_channels_are_tried_with_the_values_chosen_before(training: FakeTraining) -> None:
    chosen = run(*STRUCTURAL, *OF_ENCODERS, tune__trials=8)
    _, model, train = training.trained[-1]
    assert model.head_dropout == chosen["model.head_dropout"] == 0.0
    assert train.n3 == chosen["train.n3"] == 0.03333


def test_a_value_given_by_hand_stands_in_every_trial(training: FakeTraining) -> None:
    run("model.head_dropout", "model.dropout", train__n3=0.07, tune__trials=8)
    assert len(training.trained) > 2
    assert {train.n3 for _, _, train in training.trained} == {0.07}


@pytest.mark.parametrize("trials", [1, 3, 8])
def test_no_more_trials_are_trained_than_asked_for(training: FakeTraining, trials: int) -> None:
    run(*STRUCTURAL, *OF_ENCODERS, tune__trials=trials)
    assert len(training.trained) <= trials
    assert len(TRIALS.read_text("utf-8").splitlines()) == 1 + len(training.trained)


def test_without_trials_values_are_those_of_the_rules(
    training: FakeTraining, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = run(*STRUCTURAL, *OF_ENCODERS, tune__trials=0)
    assert training.trained == []
    assert (chosen["train.n3"], chosen["model.head_dropout"]) == (0.1, 0.1)
    assert TRIALS.read_text("utf-8") == HEADER
    assert "chosen by rules of thumb, " in capsys.readouterr().out


def test_the_log_and_the_table_say_what_was_tried_and_chosen(
    training: FakeTraining, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = run("train.n3", tune__trials=3)
    lines = TRIALS.read_text("utf-8").splitlines()
    assert lines[0] == "channels,trial,setting,epochs,valid_mrr,ended,is_chosen"
    (row,) = (line for line in lines if line.endswith(",yes"))
    assert f"train.n3 {chosen['train.n3']}," in row
    printed = capsys.readouterr().out
    assert printed.count(" on valid (") == len(lines) - 1
    assert f"processor time: train.n3 {chosen['train.n3']}\n" in printed


def test_two_runs_write_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for name in ("one", "other"):
        monkeypatch.setenv("IMF_STATE", str(tmp_path / name))
        run(*STRUCTURAL, *OF_ENCODERS, tune__trials=6)
        found.append((CHOSEN.read_bytes(), TRIALS.read_bytes()))
    assert found[0] == found[1]
    assert found[0][1].count(b"\n") > 4


@pytest.mark.parametrize("dies_in", [1, 3, 5])
def test_a_killed_stage_repeats_no_finished_trial(
    dies_in: int, training: FakeTraining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auto = (*STRUCTURAL, *OF_ENCODERS)
    monkeypatch.setenv("IMF_STATE", str(tmp_path / "whole"))
    expected = run(*auto, tune__trials=8), TRIALS.read_bytes()
    whole = len(training.trained)
    monkeypatch.setenv("IMF_STATE", str(tmp_path / "killed"))
    training.trained.clear()
    training.dies_in = dies_in
    with pytest.raises(KilledError):
        run(*auto, tune__trials=8)
    training.dies_in = 0
    assert (run(*auto, tune__trials=8), TRIALS.read_bytes()) == expected
    assert len(training.trained) == whole + 1  # that which was under way, twice


def test_a_smaller_budget_forgets_no_finished_trial(training: FakeTraining) -> None:
    first = run("train.n3", tune__trials=8)
    trained = len(training.trained)
    run("train.n3", tune__trials=2)
    assert run("train.n3", tune__trials=8) == first
    assert len(training.trained) == trained


def test_finished_trials_of_other_values_are_not_taken(training: FakeTraining) -> None:
    run("train.n3", model__dim=8)
    before = len(training.trained)
    run("train.n3", model__dim=4)
    assert len(training.trained) == 2 * before


def test_a_trial_that_diverges_is_counted_and_loses(
    training: FakeTraining,
) -> None:
    usual = training.score
    training.score = lambda model, train: (
        DivergenceError("not finite") if train.n3 < 0.1 else usual(model, train)
    )
    chosen = run("train.n3", model__modalities=["structure"], tune__trials=3)
    rows = TRIALS.read_text("utf-8").splitlines()[1:]
    assert chosen["train.n3"] == 0.1
    assert rows[1].endswith(",0.0000,diverged,")
    assert len(rows) == len(training.trained) == 3


def test_a_trial_far_behind_the_best_one_is_stopped(
    training: FakeTraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    def validate(*arguments: object) -> None:
        *_, train, on_validation = arguments
        training.trained.append(([], None, train))
        for epoch in range(1, 5):
            on_validation(epoch, 0.4 if train.n3 == 0.1 else 0.1)

    monkeypatch.setattr(tune, "run_trial", validate)
    run("train.n3", "model.head_dropout", model__modalities=["structure"], tune__trials=8)
    rows = [line.split(",") for line in TRIALS.read_text("utf-8").splitlines()[1:]]
    assert [row[-2] for row in rows[:2]] == ["complete", "stopped"]
    assert rows[1][-4] == "2"  # the first of four epochs is a head start


def test_other_errors_of_a_trial_end_the_stage(training: FakeTraining) -> None:
    training.score = lambda model, train: KilledError("a bug")
    with pytest.raises(KilledError, match="a bug"):
        run("train.n3")


def test_without_images_the_image_channel_is_left_out_with_nothing_set(
    training: FakeTraining,
) -> None:
    tables = tiny_tables()
    nobody = torch.zeros_like(tables["image"].is_present)
    write_inputs({**tables, "image": replace(tables["image"], is_present=nobody)})
    chosen = run("model.modalities", *STRUCTURAL, *OF_ENCODERS, tune__trials=8)
    assert chosen["model.modalities"] == ["structure", "text"]
    assert training.trained[-1][0] == ["text"]


def test_without_images_and_texts_all_trials_are_of_the_structural_channel(
    training: FakeTraining,
) -> None:
    nobody = {
        name: replace(table, is_present=torch.zeros_like(table.is_present))
        for name, table in tiny_tables().items()
    }
    write_inputs(nobody)
    chosen = run("model.modalities", *STRUCTURAL, *OF_ENCODERS, tune__trials=8)
    assert chosen["model.modalities"] == ["structure"]
    assert {tuple(modalities) for modalities, _, _ in training.trained} == {("structure",)}


def test_no_trial_predicts_relations_in_a_dense_context(training: FakeTraining) -> None:
    chosen = run("train.n3", "train.relation_weight", model__context="dense", tune__trials=8)
    assert chosen["train.relation_weight"] == 0.0
    assert {train.relation_weight for _, _, train in training.trained} == {0.0}
