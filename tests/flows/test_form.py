"""The form of an experiment: missing keys and refused values."""

import copy
from typing import Any

import pytest
from prefect.utilities.schema_tools.validation import validate
from tiny_world import ROOT

from flows.errors import FlowError
from flows.experiment import experiment
from flows.experiments.form import complete_form, find_empty, read_values
from imf_core.base.config import Params

BASE: dict[str, Any] = read_values(ROOT / "params.yaml")
SCHEMA = experiment.parameters.model_dump()


def without_empty_values(values: Any) -> Any:
    """Removes keys like a browser's form: empty texts, empty lists and nulls."""
    if not isinstance(values, dict):
        return values
    return {
        key: without_empty_values(value)
        for key, value in values.items()
        if value not in ("", [], None)
    }


def test_a_form_without_its_empty_values_is_accepted_and_whole() -> None:
    sent = without_empty_values(BASE)
    assert "contact" not in sent["fetch"]
    assert "allowed_private_hosts" not in sent["fetch"]
    validate({"name": None, "recipe": None, **sent}, SCHEMA, raise_on_error=True)
    assert complete_form(sent, BASE) == BASE


@pytest.mark.parametrize("section", BASE)
def test_any_key_of_a_section_may_be_left_out(section: str) -> None:
    for key in BASE[section]:
        sent = copy.deepcopy(BASE)
        del sent[section][key]
        validate({"name": None, "recipe": None, **sent}, SCHEMA, raise_on_error=True)
        assert complete_form(sent, BASE) == BASE
        assert find_empty(sent, BASE) == [f"{section}.{key}"]


def test_one_value_of_a_section_is_enough() -> None:
    sent = {section: {} for section in BASE} | {"fusion": {"rank": 64}}
    assert complete_form(sent, BASE)["fusion"] == {**BASE["fusion"], "rank": 64}


def test_a_section_may_be_given_as_its_model() -> None:
    params = Params.model_validate(BASE)
    sections = {name: getattr(params, name) for name in BASE}
    assert complete_form(sections, BASE) == BASE
    assert find_empty(sections, BASE) == []


@pytest.mark.parametrize(
    ("section", "keys", "message"),
    [
        ("fusion", {"rank": -1}, "the form: fusion.rank must be greater .* got -1"),
        ("fusion", {"rnk": 3}, "the form: unknown key fusion.rnk; did you mean fusion.rank"),
        ("model", {"dim": 15}, "model.dim must be even"),
        (
            "image_features",
            {"precomputed": {"path": "ready.npy"}},
            "image_features.precomputed.sha256 is missing",
        ),
    ],
)
def test_what_a_form_may_not_say_is_named(
    section: str, keys: dict[str, object], message: str
) -> None:
    with pytest.raises(FlowError, match=message):
        complete_form({**BASE, section: keys}, BASE)
