"""`imf measure`: measured, kept and refused rows."""

import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tiny_world import small_params, tiny_graph, tiny_tables

from imf_core.base.errors import ConfigError
from recipes import measure
from recipes.measure import read_setting, write_setting
from recipes.store import Store

Run = Callable[..., None]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results", tmp_path / ".imf" / "ranks")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Store) -> Run:
    """The command for atlas, in a repository with committed values of small models."""
    Path(tmp_path / "params.yaml").write_text(yaml.safe_dump(small_params().model_dump()))
    for command in (["init", "-q"], ["add", "params.yaml"], ["commit", "-qm", "start"]):
        author = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        subprocess.run(["git", *author, *command], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IMF_STATE", raising=False)
    monkeypatch.setattr(measure, "RESULTS", store.results)
    monkeypatch.setattr(measure, "INPUTS", ())
    monkeypatch.setattr(measure, "load_inputs", lambda: (tiny_graph(), tiny_tables()))

    def call(*arguments: str, rows: str = "structure", seeds: str = "0") -> None:
        settings = [word for word in arguments if word not in {"--set", "--again"}]
        numbers = [int(seed) for seed in seeds.split()]
        measure.measure("atlas", rows.split(), numbers, settings, "--again" in arguments)

    return call


def test_rows_and_seeds_are_measured_and_their_gain_computed(run: Run, store: Store) -> None:
    run(rows="structure full", seeds="0 1")
    found = [(each.row, each.seed) for each in store.load_all("atlas")]
    assert found == [("full", 0), ("full", 1), ("structure", 0), ("structure", 1)]
    gain = store.load_gain("atlas")["structure"]
    assert gain["seeds"] == [0, 1]
    mean = {
        row: sum(each.test["mrr"] for each in store.load_all("atlas") if each.row == row) / 2
        for row in ("full", "structure")
    }
    assert gain["pooled"]["gain"] == pytest.approx(mean["full"] - mean["structure"], abs=1e-5)


def test_a_row_stored_with_the_same_values_is_not_measured_again(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run()
    file = tmp_path / "results" / "atlas" / "structure-seed0.json"
    before = file.stat().st_mtime_ns
    run()
    assert "atlas, structure, seed 0: measured already, MRR" in capsys.readouterr().out
    assert file.stat().st_mtime_ns == before
    run("--again")
    assert file.stat().st_mtime_ns > before


def test_other_values_are_measured_again_and_recorded(run: Run, store: Store) -> None:
    run()
    run("--set", "train.epochs=2")
    found = store.load("atlas", "structure", 0)
    assert found is not None
    assert found.overrides["train.epochs"] == 2
    assert found.models[0].trained_epochs == 2
    assert found.command.endswith("atlas --rows structure --seeds 0 --set train.epochs=2")


def test_a_row_is_measured_again_with_other_facts_or_features(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(rows="structure text")
    graph, tables = tiny_graph(), tiny_tables()
    tables["text"] = replace(tables["text"], vectors=tables["text"].vectors * 2)
    monkeypatch.setattr(measure, "load_inputs", lambda: (graph, tables))
    run(rows="structure text")
    printed = capsys.readouterr().out
    assert "structure, seed 0: measured already" in printed
    assert "text, seed 0: measured already" not in printed
    graph.triples["test"] = graph.triples["test"][1:]
    run(rows="structure")
    assert "measured already" not in capsys.readouterr().out


def test_a_row_is_measured_again_with_other_values_in_params_yaml(run: Run, store: Store) -> None:
    run()
    params = small_params({"train.epochs": 2}).model_dump()
    Path("params.yaml").write_text(yaml.safe_dump(params))
    author = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", *author, "commit", "-qam", "other values"], check=True)
    run()
    found = store.load("atlas", "structure", 0)
    assert found is not None
    assert found.models[0].trained_epochs == 2


@pytest.mark.parametrize(
    ("row", "setting", "message"),
    [
        ("structure", "model.modalities=[text]", "the row structure itself sets model.moda"),
        ("structure-text", "fusion.rank=8", "sets fusion.rank to 0; set another key"),
        ("full", "train.seed=4", "give the seeds of a row with --seeds"),
    ],
)
def test_values_of_the_row_itself_cannot_be_set(
    run: Run, row: str, setting: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=rf"--set {setting.partition('=')[0]}: .*{message}"):
        run("--set", setting, rows=row)


@pytest.mark.parametrize(
    "value", [["structure", "text"], None, 5e-7, True, "it's", "1e5", ".../model", {"path": "a b"}]
)
def test_a_shell_hands_a_recorded_setting_on_as_it_was(value: object) -> None:
    word = shlex.quote(write_setting("section.key", value))
    assert "\n" not in word
    assert list(map(read_setting, shlex.split(word))) == [("section.key", value)]


def test_a_command_is_recorded_so_that_a_shell_can_run_it(run: Run, store: Store) -> None:
    run("--set", "model.modalities=[structure, text]", rows="full")
    found = store.load("atlas", "full", 0)
    assert found is not None
    assert found.command.endswith("--seeds 0 --set 'model.modalities=[structure, text]'")


def test_a_workspace_that_holds_other_data_is_refused_with_keys_and_remedy(run: Run) -> None:
    params = small_params({"dataset.name": "nations", "text_features.dim": 64}).model_dump()
    Path("params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(ConfigError) as raised:
        run()
    assert "dataset.name is 'nations', not 'atlas'; text_features.dim is 64" in str(raised.value)
    assert "`dvc exp run $(python -m recipes atlas) tune`" in str(raised.value)


def test_data_that_dvc_made_with_other_values_are_refused(run: Run) -> None:
    made = {"params.yaml": {"prepare": {"seed": 9}, "train": {"epochs": 1}}}
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": {"prepare": {"params": made}}}))
    with pytest.raises(ConfigError, match=r"now: prepare.seed was 9, is 0. Run `dvc"):
        run()


@pytest.mark.parametrize(
    "text", ["", "schema: '2.0'\n", "stages:\n  prepare:\n", "stages:\n  prepare:\n    par"]
)
def test_a_file_of_runs_that_is_cut_is_an_error_that_says_so(run: Run, text: str) -> None:
    Path("dvc.lock").write_text(text)
    with pytest.raises(ConfigError, match=r"dvc.lock is empty or incomplete, .*try again"):
        run()


def test_another_model_may_be_set_and_its_path_is_not_recorded(run: Run, store: Store) -> None:
    model = "/somewhere/models/all-MiniLM"
    params = small_params({"text_features.model": model}).model_dump()
    Path("params.yaml").write_text(yaml.safe_dump(params))
    run("--set", f"text_features.model={model}")
    found = store.load("atlas", "structure", 0)
    assert found is not None
    assert found.overrides["text_features.model"] == ".../all-MiniLM"
    assert "somewhere" not in next(store.results.rglob("*.json")).read_text()


def test_values_that_an_experiment_left_in_params_yaml_take_no_part(run: Run, store: Store) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(small_params({"model.dim": 4}).model_dump()))
    run()
    found = store.load("atlas", "structure", 0)
    shutil.rmtree(store.results)
    subprocess.run(["git", "checkout", "-q", "params.yaml"], check=True)
    run()
    again = store.load("atlas", "structure", 0)
    assert found is not None
    assert again is not None
    assert found.test == again.test


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "train.epoch=2"], "unknown key train.epoch; did you mean train.epochs"),
        (["--set", "epochs"], "--set must be section.key=value, got 'epochs'"),
        (["--set", "train.epochs=["], "the value is not valid YAML"),
    ],
)
def test_a_faulty_setting_is_refused(run: Run, arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(*arguments)
