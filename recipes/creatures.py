"""Generates a graph of typed entities that share relations, for `recipes.type_check`.

    python -m recipes.creatures FOLDER

All entities have a generation and most a language; some relations have heads of two or three types,
others of one. Nine tenths of the facts are in train.
"""

import argparse
from pathlib import Path

import numpy as np

from imf_core.base.artifacts import write_text
from imf_core.base.terminal import protect_output

SIZES = {
    "species": 300,
    "ability": 120,
    "move": 200,
    "item": 150,
    "generation": 9,
    "growth": 6,
    "colour": 10,
    "element": 18,
    "effect": 12,
    "pocket": 8,
    "language": 3,
}
EVERYTHING = ("species", "ability", "move", "item")
RELATIONS = (
    ("generation", EVERYTHING, "generation", 1.0, 1),
    ("growth_rate", ("species",), "growth", 1.0, 1),
    ("colour", ("species",), "colour", 1.0, 1),
    ("has_element", ("species", "move"), "element", 1.0, 1),
    ("has_effect", ("ability", "move", "item"), "effect", 0.6, 1),
    ("kept_in", ("item",), "pocket", 1.0, 1),
    ("has_ability", ("species",), "ability", 0.9, 2),
    ("learns", ("species",), "move", 0.9, 2),
    ("evolves_to", ("species",), "species", 0.4, 1),
    ("described_in", EVERYTHING, "language", 0.7, 1),
)
"""Relation, types of heads, type of tails, share of heads with the relation, facts per head."""

MOSTLY_THE_FIRST = ("growth", "pocket", "language")
"""Four fifths of the facts have the first entity of these types as tail."""


def main() -> None:
    """Writes the splits and `entity2type.txt`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    generator = np.random.default_rng(0)
    facts = sorted(draw_facts(generator))
    place = generator.random(len(facts))
    for split, least, most in (("train", 0, 0.9), ("valid", 0.9, 0.95), ("test", 0.95, 1)):
        lines = [
            "\t".join(fact) for fact, at in zip(facts, place, strict=True) if least <= at < most
        ]
        write_text(folder / f"{split}.txt", "\n".join(lines) + "\n")
    types = [f"{kind}{number}\t{kind}" for kind, size in SIZES.items() for number in range(size)]
    write_text(folder / "entity2type.txt", "\n".join(types) + "\n")


def draw_facts(generator: np.random.Generator) -> set[tuple[str, str, str]]:
    """Draws the facts of all splits."""
    facts = set()
    for relation, kinds, tail_kind, share, count in RELATIONS:
        for kind in kinds:
            for head in range(SIZES[kind]):
                if generator.random() >= share:
                    continue
                for _ in range(count):
                    tail = int(generator.integers(SIZES[tail_kind]))
                    if tail_kind in MOSTLY_THE_FIRST and generator.random() < 0.8:
                        tail = 0
                    facts.add((f"{kind}{head}", relation, f"{tail_kind}{tail}"))
    return facts


if __name__ == "__main__":
    protect_output()
    main()
