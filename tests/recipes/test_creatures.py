"""The generated graph of typed entities."""

import sys
from pathlib import Path

import pytest

from recipes import creatures
from recipes.type_check import read_types


def test_every_entity_has_a_type_and_every_fact_is_in_one_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["creatures", str(tmp_path)])
    creatures.main()
    facts = [
        tuple(line.split("\t"))
        for split in ("train", "valid", "test")
        for line in (tmp_path / f"{split}.txt").read_text().splitlines()
    ]
    types = read_types(tmp_path / "entity2type.txt")
    assert len(set(facts)) == len(facts) > 4000
    assert {types[head] for head, _, _ in facts} == set(creatures.EVERYTHING)
    assert {types[tail] for _, _, tail in facts} <= set(creatures.SIZES)
