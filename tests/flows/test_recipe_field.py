"""A recipe in an experiment's form: the form's changes override it, its defaults do not."""

import copy
from typing import Any

import pytest
from tiny_world import ROOT

from flows.errors import FlowError
from flows.experiments.form import read_values
from flows.experiments.names import derive_name
from flows.experiments.run_experiment import apply_recipe

BASE: dict[str, Any] = read_values(ROOT / "params.yaml")
RECIPE = {
    "dataset.name": "db15k",
    "model.modalities": ["structure", "text"],
    "fusion.rank": 9,
    "train.n3": 0.25,
}


@pytest.fixture(autouse=True)
def _recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.experiments.run_experiment.read_recipe", lambda _: RECIPE)


def test_a_form_as_it_came_gives_the_recipe() -> None:
    values = apply_recipe("db15k", BASE, BASE)
    assert values["dataset"]["name"] == "db15k"
    assert values["train"] == {**BASE["train"], "n3": 0.25}


def test_what_the_form_changes_comes_on_top_of_the_recipe() -> None:
    filled_in = copy.deepcopy(BASE)
    filled_in["train"]["n3"] = 0.5
    filled_in["model"]["dim"] = 64
    values = apply_recipe("db15k", filled_in, BASE)
    assert (values["train"]["n3"], values["model"]["dim"]) == (0.5, 64)
    assert values["fusion"]["rank"] == 9


def test_without_a_recipe_the_form_is_taken_as_it_is() -> None:
    assert apply_recipe(None, BASE, BASE) == BASE


def test_a_recipe_that_params_yaml_does_not_know_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flows.experiments.run_experiment.read_recipe", lambda _: {"fusion.rnk": 1})
    with pytest.raises(FlowError, match=r"recipes/x.yaml: unknown key fusion.rnk; .*fusion.rank"):
        apply_recipe("x", BASE, BASE)


def test_a_recipe_that_does_not_exist_is_refused_with_those_that_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    with pytest.raises(FlowError, match=r"no recipe 'db15', there are atlas, .*did you mean db15k"):
        apply_recipe("db15", BASE, BASE)


@pytest.mark.parametrize(
    ("changes", "name"), [({}, "db15k"), ({"fusion.rank": 64}, "db15k-fusion-rank-64")]
)
def test_an_experiment_is_named_after_its_recipe(changes: dict[str, Any], name: str) -> None:
    assert derive_name(changes, "db15k") == name
