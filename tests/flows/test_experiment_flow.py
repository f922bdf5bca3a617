"""Experiments, their promotion and sweeps with the real DVC and a real server."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import State
from prefect.exceptions import PrefectHTTPStatusError
from workspace import Workspace

from flows.experiment import experiment
from flows.experiments.form import read_values, state_folder, write_values
from flows.experiments.names import RUNNING
from flows.experiments.space import Choice
from flows.experiments.study import Study
from flows.experiments.workspace_copy import Experiment, git, list_experiments, read_head
from flows.promote import promote
from flows.sweep import sweep

# Prefect's server and the libraries below it warn of their own deprecations.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("prefect_server"),
]


def changed(section: str, key: str, value: object) -> dict[str, Any]:
    values = copy.deepcopy(read_values())
    values[section][key] = value
    return values


def run_name(state: State) -> str:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(UUID(str(state.state_details.flow_run_id))).name


def newest_artifact(key: str) -> str:
    """Returns the content of the last artifact of a key."""
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        )
    newest = max(found, key=lambda artifact: str(artifact.created))
    return str(newest.data)


def test_the_server_refuses_a_value_out_of_bounds_and_names_it(replayed: Workspace) -> None:
    deployment = experiment.to_deployment(
        name="form", parameters={"name": None, "recipe": None, **read_values()}
    )
    deployment_id = deployment.apply(work_pool_name=None)  # type: ignore[union-attr]
    with get_client(sync_client=True) as client:
        for section, key, value in [("fusion", "rank", -1), ("fusion", "rnk", 3)]:
            with pytest.raises(PrefectHTTPStatusError, match=f"{section}.*{key}"):
                client.create_flow_run_from_deployment(
                    deployment_id, parameters=changed(section, key, value)
                )
        form = client.read_deployment(deployment_id)
    assert form.parameters["fusion"]["rank"] == 3
    assert form.enforce_parameter_schema


def test_an_experiment_is_named_compared_and_promoted(replayed: Workspace) -> None:
    state = experiment(name=None, recipe=None, **changed("fusion", "rank", 4), return_state=True)
    assert state.is_completed()
    assert run_name(state) == "fusion-rank-4"
    page = newest_artifact("experiment")
    assert "| parameter | baseline | experiment |" in page
    assert "| fusion.rank | 3 | 4 |" in page
    assert page.count("| test ") == page.count("| valid ") == 4
    assert len(page.splitlines()) < 20
    assert git("status", "--short") == ""

    assert promote("fusion-rank-4", return_state=True).is_completed()
    assert read_values()["fusion"]["rank"] == 4
    assert replayed.dvc("status").stdout == "Data and pipelines are up to date.\n"
    (made,) = list_experiments()
    assert git("diff", "--stat", made.commit) == ""


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (lambda: changed("dataset", "path", "../mine"), "dataset.path leads out of the project"),
        (lambda: {"name": "a b", **read_values()}, "name must be at most"),
        (lambda: {"recipe": "nope", **read_values()}, "there is no recipe 'nope', there are atlas"),
    ],
)
def test_what_an_experiment_cannot_do_is_said_at_once(
    replayed: Workspace, values: Callable[[], dict[str, Any]], message: str
) -> None:
    state = experiment(**{"name": None, "recipe": None, **values()}, return_state=True)
    assert state.is_failed()
    assert message in str(state.message)


def test_a_sweep_goes_on_where_it_stopped_and_names_the_best(replayed: Workspace) -> None:
    space = [Choice(key="fusion.rank", values=[2, 3]), Choice(key="model.dim", values=[16, 8])]
    first = sweep("s", space, "grid", trials=2, at_once=2, return_state=True)
    assert first.is_completed()
    study = Study(state_folder() / "sweeps" / "s", space, "grid", 0)
    done = study.list_trials()
    assert [trial.status for trial in done] == ["completed"] * 2
    interrupted = study.ask()  # as a killed run leaves it, its experiment made and not noted
    text = write_values(Path("params.yaml").read_text(), interrupted.changes)
    Path("params.yaml").write_text(text)
    unsettled = Experiment("s-2", read_head(), git("stash", "create").strip())
    git("update-ref", unsettled.ref, unsettled.commit)
    git("checkout", "-q", "params.yaml")
    second = sweep("s", space, "grid", trials=3, return_state=True)
    trials = study.list_trials()
    assert trials[:2] == done
    assert trials[2].changes == interrupted.changes
    assert len({str(trial.changes) for trial in trials}) == 3
    best = max(trials, key=lambda trial: trial.valid_mrr or 0)
    assert f"s-{best.number} is the best on valid: MRR" in str(second.message)
    assert f"run the flow `promote` with s-{best.number}" in str(second.message)
    assert [made.name for made in list_experiments()] == ["s-0", "s-1", "s-2"]
    table = newest_artifact("sweep-s")
    assert table.count('"completed, best"') == 1
    assert table.count('"valid MRR %"') == 3
    other = sweep("s", space[:1], "grid", trials=3, return_state=True)
    assert "this sweep began with another space" in str(other.message)
    assert git("status", "--short") == ""
    code = Path("imf_core/model/fusion.py")
    code.write_text(code.read_text() + "# changed\n")
    other = sweep("s", space, "grid", trials=3, return_state=True)
    assert "another code: imf_core/model/fusion.py" in str(other.message)


def test_a_trial_that_fails_counts_as_one_and_the_sweep_goes_on(replayed: Workspace) -> None:
    space = [Choice(key="text_features.model", values=["/nowhere", "builtin:tfidf-svd"])]
    state = sweep("f", space, "grid", trials=2, return_state=True)
    assert state.is_completed()
    table = newest_artifact("sweep-f")
    assert table.count('"failed"') == 1
    assert "/nowhere" in table
    assert len(list_experiments()) == 1
    assert not list(RUNNING.glob("*/"))
