"""Names and results of runs, in one line."""

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from prefect.exceptions import ParameterTypeError
from workspace import ROOT

from flows.experiments.comparison import Comparison, summarise, write_page
from flows.pages.results_page import graph_name, headline, name_run
from flows.pipeline import pipeline
from flows.running.stage import StageName

OLD, NEW = {"test": {"mrr": 0.534}}, {"test": {"mrr": 0.5361}}


@pytest.mark.parametrize(
    ("name", "path", "shown"),
    [
        ("atlas", "examples/solar-system", "atlas"),
        ("folder", "examples/solar-system", "solar-system"),
        ("folder", "/data/mine/", "mine"),
        ("folder", "graphs/mine.v2", "mine.v2"),
        ("rdf", "dumps/people.nt.gz", "people"),
        ("folder", ".", "mine"),
        ("folder", "..", "above"),
    ],
)
def test_a_graph_has_the_name_of_its_data_set_or_of_its_place(
    name: str, path: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "above/mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "above/mine")
    assert graph_name({"dataset": {"name": name, "path": path}}) == shown


def test_a_run_is_named_after_its_flow_its_graph_and_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    assert re.fullmatch(r"pipeline atlas \d\d \w+ \d\d:\d\d", name_run("pipeline"))


def test_a_run_has_a_name_where_params_yaml_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert re.fullmatch(r"refresh \d\d \w+ \d\d:\d\d", name_run("refresh"))


def test_the_result_of_a_run_has_its_change() -> None:
    assert headline("atlas", OLD, NEW) == "atlas: test MRR 53.6 (+0.2)"
    assert headline("atlas", NEW, NEW) == "atlas: test MRR 53.6 (+0.0)"
    assert headline("atlas", None, NEW) == "atlas: test MRR 53.6"
    other = OLD | {"test_digest": "of other facts"}
    assert headline("atlas", other, NEW) == "atlas: test MRR 53.6"


def comparison(has_path: bool = False, **changes: tuple[object, object]) -> Comparison:
    shown = {key.replace("__", "."): pair for key, pair in changes.items()}
    return Comparison(
        "the last committed run", {"test.mrr": 0.5}, {"test.mrr": 0.6}, shown, has_path
    )


def test_an_experiment_on_the_same_graph_is_compared() -> None:
    made = comparison(fusion__rank=(3, 64), dataset__image_folders=([], ["mine"]))
    assert summarise("rank-64", made) == "rank-64: test MRR 60.0 (+10.0)"
    assert "different facts" not in write_page("rank-64", made)


@pytest.mark.parametrize("key", ["dataset__name", "dataset__path", "prepare__seed"])
def test_a_comparison_of_different_graphs_says_so(key: str) -> None:
    made = comparison(True, **{key: ("atlas", "db15k")})
    assert summarise("db15k", made) == "db15k: test MRR 60.0"
    told = f"**The two runs have different facts** ({key.replace('__', '.')})"
    assert told in write_page("db15k", made)


def test_a_path_that_no_graph_is_read_from_does_not_make_the_facts_differ() -> None:
    made = comparison(dataset__path=("here", "there"))
    assert summarise("x", made) == "x: test MRR 60.0 (+10.0)"


def test_an_experiment_without_metrics_has_its_name_alone() -> None:
    assert summarise("cut", Comparison(None, {}, {}, {})) == "cut"


def test_the_stages_that_a_form_offers_are_those_of_dvc_yaml() -> None:
    described = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert set(get_args(StageName)) == set(described)
    force = pipeline.parameters.properties["force"]
    assert force["items"]["enum"] == list(get_args(StageName))
    assert force["default"] == []


@pytest.mark.parametrize("force", [["trian"], "train", [None]])
def test_a_stage_that_there_is_not_is_refused_before_anything_runs(force: object) -> None:
    with pytest.raises(ParameterTypeError):
        pipeline.validate_parameters({"force": force})
