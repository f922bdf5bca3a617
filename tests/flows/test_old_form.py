"""An experiment's form that is older than params.yaml: it names the keys it would reset."""

from flows.experiments.run_experiment import find_outdated

FORM = {"fusion": {"rank": 3, "dropout": 0.1}, "train": {"epochs": 100}}


def test_values_that_only_the_form_is_behind_with_are_named() -> None:
    base = {"fusion": {"rank": 8, "dropout": 0.1}, "train": {"epochs": 100}}
    filled_in = {"fusion": {"rank": 3, "dropout": 0.2}, "train": {"epochs": 100}}
    assert find_outdated(filled_in, base, FORM) == ["fusion.rank"]


def test_nothing_is_named_without_a_form_or_where_it_is_up_to_date() -> None:
    filled_in = {"fusion": {"rank": 3, "dropout": 0.2}, "train": {"epochs": 100}}
    assert find_outdated(filled_in, FORM, FORM) == []
    assert find_outdated(filled_in, FORM, {}) == []
