"""The study of a sweep: its values, also after an interruption."""

from pathlib import Path

import pytest

from flows.errors import FlowError
from flows.experiments.space import Choice, Range
from flows.experiments.study import SamplerName, Study

SPACE = [
    Choice(key="model.modalities", values=[["structure"], ["text"]]),
    Range(key="train.n3", low=1e-4, high=1.0, log=True),
    Range(key="fusion.rank", low=1, high=9),
]
GRID = [Choice(key="fusion.rank", values=[1, 2, 3]), Choice(key="fusion.detach", values=[True])]


def draw(study: Study, count: int) -> list[dict[str, object]]:
    """Runs trials whose result is their rank."""
    drawn = []
    for _ in range(count):
        trial = study.ask()
        study.tell(trial.number, float(trial.changes["fusion.rank"]))
        drawn.append(trial.changes)
    return drawn


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_sweep_that_was_interrupted_draws_what_it_would_have(
    tmp_path: Path, sampler: SamplerName
) -> None:
    whole = draw(Study(tmp_path / "whole", SPACE, sampler, 7), 14)
    first = draw(Study(tmp_path / "cut", SPACE, sampler, 7), 5)
    second = draw(Study(tmp_path / "cut", SPACE, sampler, 7), 9)
    assert first + second == whole
    assert len({str(changes) for changes in whole}) == 14
    assert {tuple(changes) for changes in whole} == {tuple(item.key for item in SPACE)}


def test_a_grid_is_drawn_once_each_across_an_interruption(tmp_path: Path) -> None:
    drawn = draw(Study(tmp_path, GRID, "grid", 0), 2) + draw(Study(tmp_path, GRID, "grid", 0), 1)
    assert sorted(changes["fusion.rank"] for changes in drawn) == [1, 2, 3]  # type: ignore[type-var]


def test_trials_are_kept_with_their_ends(tmp_path: Path) -> None:
    study = Study(tmp_path, GRID, "grid", 0)
    numbers = [study.ask().number for _ in range(3)]
    study.tell(numbers[0], 0.5)
    study.fail(numbers[1], "out of memory")
    trials = Study(tmp_path, GRID, "grid", 0).list_trials()
    assert [(trial.status, trial.valid_mrr, trial.failure) for trial in trials] == [
        ("completed", 0.5, ""),
        ("failed", None, "out of memory"),
        ("running", None, ""),
    ]


def test_another_plan_under_the_same_name_is_refused(tmp_path: Path) -> None:
    plan = {"sampler": "grid", "params.yaml": {"train.epochs": 4, "train.n3": 0.1}}
    Study(tmp_path, GRID, "grid", 0).check_plan(plan)
    Study(tmp_path, GRID, "grid", 0).check_plan(plan)
    other = {**plan, "params.yaml": {"train.epochs": 5, "train.n3": 0.1}}
    with pytest.raises(FlowError, match=r"another params.yaml: train.epochs 4, now 5; go on with"):
        Study(tmp_path, GRID, "grid", 0).check_plan(other)
    with pytest.raises(FlowError, match=r"another params.yaml: train.n3 0.1, now nothing"):
        Study(tmp_path, GRID, "grid", 0).check_plan({**plan, "params.yaml": {"train.epochs": 4}})
    with pytest.raises(FlowError, match=r'another code: null, now {"a.py": "1"}'):
        Study(tmp_path, GRID, "grid", 0).check_plan({**plan, "code": {"a.py": "1"}})
    with pytest.raises(FlowError, match=r'another sampler: "grid", now null'):
        Study(tmp_path, GRID, "grid", 0).check_plan({"params.yaml": plan["params.yaml"]})
    with pytest.raises(FlowError, match=r'another sampler: "grid", now "tpe"; .* another name'):
        Study(tmp_path, GRID, "tpe", 0).check_plan({**plan, "sampler": "tpe"})
