"""Values in a params.yaml: read back as they were, and nothing else touched."""

from typing import Any

import pytest
from tiny_world import ROOT

from flows.experiments.form import write_values
from imf_core.base.yaml_text import read_yaml

OURS = (ROOT / "params.yaml").read_text(encoding="utf-8")

STRINGS = ["yes", "on", "null", "~", "", " ", "1e-3", "1.0", "012", "1:30", "2020-01-01", "a, b: c"]
STRINGS += ["# x", "it's", '"q"', "${x}", "[a]", "{a: b}", "*a", "a\\b", "é", "a=b", "x" * 300]
NUMBERS = [1e-5, 2e20, 0.1, 5, -3.0, 2**62, None, True]
NESTED = [[], ["a, b", "yes"], {"path": "a: b, c.npy", "sha256": "0" * 64}]


@pytest.mark.parametrize("value", STRINGS + NUMBERS + NESTED, ids=repr)
def test_a_value_reads_as_it_was_written(value: object) -> None:
    found = read_yaml(write_values(OURS, {"fetch.contact": value}))["fetch"]["contact"]
    assert (found, type(found)) == (value, type(value))


def test_all_else_stays_as_it_stands_comments_too() -> None:
    changes = {"fusion.rank": 64, "train.encoder_n3": 1e-5, "text_features.precomputed": None}
    text = write_values(OURS, changes)
    pairs = zip(OURS.splitlines(), text.splitlines(), strict=True)
    changed = [new for old, new in pairs if old != new]
    assert [line.split("#")[0].strip() for line in changed] == ["rank: 64", "encoder_n3: 1e-05"]
    assert "# terms; full: one full-size per modality" in changed[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:\n  b:  # why\n  - x\n  - y  # last\n  # more\n  c: 1\n", "  b:     [z] # why"),
        ("a:\n  b:\n    c: 1\n  d: 2\n", "  b: [z]"),
        ("a:\n  b:\n", "  b: [z]"),
        ("a:\n  b: [x,\n    y]\n  c: 1\n", "  b: [z]"),
        ("a: {b: 1, c: 2}\n", "a: {b: [z], c: 2}"),
    ],
)
def test_any_way_of_writing_is_understood(text: str, expected: str) -> None:
    assert expected in write_values(text, {"a.b": ["z"]}).splitlines()


def test_all_values_can_be_written_over_themselves() -> None:
    params: dict[str, dict[str, Any]] = read_yaml(OURS)
    same = {f"{name}.{key}": value for name, keys in params.items() for key, value in keys.items()}
    assert read_yaml(write_values(OURS, same)) == params
