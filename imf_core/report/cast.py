"""The entities that appear on the page: names and descriptions, pictures, a sample of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from imf_core.data.degrees import count_train_facts
from imf_core.data.graph import Graph

SAMPLE = 12
"""Entities shown to give an idea of the graph."""

FACTS_OF_EACH = 3
LONGEST_TEXT = 180
"""Characters of a description that are shown."""


@dataclass(frozen=True)
class Entity:
    """An entity as the page shows it.

    Attributes:
        name: For people.
        description: Cut to `LONGEST_TEXT`, "" where there is none.
        picture: A data URI, None where there is none.
        facts: Some of what train says of it, one of a relation, first where it is the head; only of
            a sampled entity.
        num_facts: How many train facts it has in all; only of a sampled entity.
    """

    name: str
    description: str
    picture: str | None
    facts: list[str] = field(default_factory=list)
    num_facts: int = 0


class EntityCards:
    """All entities by id, with the pictures of those that appear.

    Args:
        names: In id order.
        descriptions: In id order, "" where there is none.
        pictures: Data URIs by entity id.
    """

    def __init__(
        self, names: Sequence[str], descriptions: Sequence[str], pictures: Mapping[int, str]
    ) -> None:
        self._names = names
        self._descriptions = descriptions
        self._pictures = pictures

    def name(self, entity_id: int) -> str:
        """Returns the name of an entity."""
        return self._names[entity_id]

    def entity(self, entity_id: int) -> Entity:
        """Returns an entity as it appears beside a fact."""
        return Entity(
            self._names[entity_id],
            _shorten(self._descriptions[entity_id]),
            self._pictures.get(entity_id),
        )

    def sampled(self, entity_id: int, graph: Graph, relation_names: Sequence[str]) -> Entity:
        """Returns an entity of the sample, with some of its train facts."""
        train = graph.triples["train"]
        of_it = train[(train[:, 0] == entity_id) | (train[:, 2] == entity_id)].tolist()
        as_head = {relation: tail for head, relation, tail in reversed(of_it) if head == entity_id}
        as_tail = {relation: head for head, relation, tail in reversed(of_it) if head != entity_id}
        facts = [
            f"{relation_names[relation]}: {self.name(tail)}"
            for relation, tail in sorted(as_head.items())
        ]
        facts += [
            f"{self.name(head)} – {relation_names[relation]} – {self.name(entity_id)}"
            for relation, head in sorted(as_tail.items())
        ]
        plain = self.entity(entity_id)
        return Entity(
            plain.name, plain.description, plain.picture, facts[:FACTS_OF_EACH], len(of_it)
        )


def choose_sample(graph: Graph, with_picture: Iterable[int]) -> list[int]:
    """Chooses entities evenly from the best connected to the least, with pictures where they are.

    Args:
        graph: Gives the number of facts of each entity.
        with_picture: Ids of the entities that have a picture.

    Returns:
        At most `SAMPLE` ids, the best connected first.
    """
    degrees = count_train_facts(graph).numpy()
    pool = np.array(sorted(with_picture), dtype=np.int64)
    if len(pool) < SAMPLE:
        others = np.setdiff1d(np.arange(graph.num_entities), pool)
        others = others[np.argsort(-degrees[others], kind="stable")]
        pool = np.concatenate([pool, others[: SAMPLE - len(pool)]])
    pool = pool[np.argsort(-degrees[pool], kind="stable")]
    places = np.linspace(0, len(pool) - 1, min(SAMPLE, len(pool))).round().astype(np.int64)
    return [int(each) for each in pool[places]]


def _shorten(text: str) -> str:
    """Cuts a text at a word."""
    text = " ".join(text.split())
    if len(text) <= LONGEST_TEXT:
        return text
    return text[:LONGEST_TEXT].rsplit(" ", 1)[0].rstrip(",.;:") + "\N{NO-BREAK SPACE}…"
