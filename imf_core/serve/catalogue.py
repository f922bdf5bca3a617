"""The entities, relations and facts of a graph as the page shows them, and the search for names.

The facts of all splits are grouped by entity once, so that a page about an entity costs no pass
over the graph.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from imf_core.base.errors import QuestionError
from imf_core.graph.graph import Graph, count_train_facts
from imf_core.graph.known_tails import KnownTails, known_tails_in
from imf_core.inference.fact_table import FactTable
from imf_core.inference.names import Names
from imf_core.serve.pictures import Pictures
from imf_core.serve.schemas import Entity, Found, KnownAnswer, Relation, Split
from imf_core.serve.search import SearchIndex

MAX_COMPARED = 5_000
"""Names that an unknown one is compared with; of more, those with the same words are given."""

NEAR = 5
"""Names given for an unknown one of a larger graph."""


class UnknownNameError(QuestionError):
    """No entity, or no relation, has the name."""


class Catalogue:
    """A graph with its names, pictures and texts.

    Args:
        graph: The graph.
        entities: Finds entities by label or name.
        relations: Finds relations.
        pictures: Pictures of the entities, None for none.
        descriptions: Texts of all entities to show; None for those of the graph.
        num_new: Entities at the end of the graph that it lacked when it was trained.

    Attributes:
        graph: See the argument.
        pictures: See the argument.
    """

    def __init__(
        self,
        graph: Graph,
        entities: Names,
        relations: Names,
        pictures: Pictures | None = None,
        descriptions: Sequence[str] | None = None,
        num_new: int = 0,
    ) -> None:
        self.graph, self.pictures = graph, pictures
        self._entities, self._relations = entities, relations
        self._descriptions, self._num_known = descriptions, graph.num_entities - num_new

    @cached_property
    def index(self) -> SearchIndex:
        """Entities by the beginnings of their names; those with most train facts come first."""
        return SearchIndex(self.graph.entity_labels, self.graph.entity_names, self.degrees)

    @cached_property
    def degrees(self) -> NDArray[np.int64]:
        """Train facts of each entity, shape: (E,)."""
        degrees: NDArray[np.int64] = count_train_facts(self.graph).numpy()
        return degrees

    @cached_property
    def relation_index(self) -> SearchIndex:
        """Relations, those with most train facts first."""
        relations = self.graph.triples["train"][:, 1]
        counts = torch.bincount(relations, minlength=self.graph.num_relations).numpy()
        return SearchIndex(self.graph.relation_labels, self.graph.relation_names, counts)

    @cached_property
    def known(self) -> KnownTails:
        """Known answers of all splits."""
        return known_tails_in(self.graph)

    @cached_property
    def _facts(self) -> FactTable:
        """Finds the split of a fact."""
        return FactTable(self.graph, ())

    def prepare(self) -> None:
        """Builds all that the first requests need."""
        _ = self.index, self.relation_index, self.known, self._facts

    def entity(self, number: int) -> Entity:
        """Returns an entity by id."""
        has_picture = self.pictures is not None and self.pictures.count(number) > 0
        return Entity(
            id=number,
            label=self.graph.entity_labels[number],
            name=self.graph.entity_names[number],
            picture=self.picture_path(number) if has_picture else None,
            is_new=number >= self._num_known,
        )

    def picture_path(self, entity: int, position: int = 0) -> str:
        """Returns the address of a picture; browsers keep it, so each graph has its own."""
        graph = self.graph.fingerprint[:12]
        return f"/api/picture/{entity}?graph={graph}&position={position}"

    def relation(self, number: int) -> Relation:
        """Returns a relation by id, without inverses."""
        return Relation(
            label=self.graph.relation_labels[number], name=self.graph.relation_names[number]
        )

    def description(self, entity: int) -> str:
        """Returns the text of an entity, "" for none."""
        texts = self._descriptions or self.graph.entity_descriptions
        return texts[entity] if entity < len(texts) else ""

    def find_entity(self, text: str, is_compared: bool = True) -> int:
        """Returns the id of an entity by label or name.

        Args:
            text: Label or name.
            is_compared: Whether an unknown name is compared with all others, which takes time; if
                not, the message has those with the same words.

        Raises:
            UnknownNameError: If no entity has it; the message names the nearest.
            QuestionError: If several have it.
        """
        labels = self.graph.entity_labels
        return self._find(self._entities, self.index, labels, text, is_compared)

    def find_relation(self, text: str, is_compared: bool = True) -> int:
        """Returns the id of a relation; arguments and errors as in `find_entity`."""
        labels = self.graph.relation_labels
        return self._find(self._relations, self.relation_index, labels, text, is_compared)

    def is_entity(self, text: str) -> bool:
        """Returns whether an entity has the label or name."""
        return bool(self._entities.find_all(text))

    @staticmethod
    def _find(
        names: Names, index: SearchIndex, labels: Sequence[str], text: str, is_compared: bool
    ) -> int:
        found = names.find_all(text)
        if len(found) == 1:
            return found[0]
        if found or (is_compared and len(names) <= MAX_COMPARED):
            try:
                return names.find(text)  # raises, with the candidates
            except QuestionError as error:
                kind = QuestionError if found else UnknownNameError
                raise kind(str(error)) from error
        near = [labels[number] for number in index.find(text, NEAR)]
        nearest = f"nearest are {', '.join(map(repr, near))}" if near else "search for it"
        raise UnknownNameError(f"no label or name is {text!r}; {nearest}")

    def search(self, text: str, kind: str, limit: int) -> Found:
        """Finds entities or relations while one types.

        Args:
            text: First letters of a name, label or word.
            kind: `entity` or `relation`.
            limit: Results, at most.
        """
        if kind == "relation":
            found = self.relation_index.find(text, limit)
            return Found(relations=[self.relation(number) for number in found])
        return Found(entities=[self.entity(number) for number in self.index.find(text, limit)])

    def labelled(self, label: str) -> Entity:
        """Returns an entity by its label."""
        return self.entity(self._entities.find(label))

    def known_answers(self, entity: int, relation: int) -> list[int]:
        """Returns the answers of all splits.

        Args:
            entity: Id.
            relation: Id, with inverses.
        """
        _, tails = self.known.lookup(torch.tensor([[entity, relation]]))
        found: list[int] = tails.tolist()
        return found

    def with_splits(self, entity: int, relation: int, others: Sequence[int]) -> list[KnownAnswer]:
        """Returns known answers with the split of each fact."""
        if not others:
            return []
        same = [entity] * len(others)
        is_inverse = relation >= self.graph.num_relations
        heads, tails = (others, same) if is_inverse else (same, others)
        number = relation % self.graph.num_relations
        facts = np.array([heads, [number] * len(others), tails], dtype=np.int64).T
        splits = self.find_splits(facts)
        return [
            KnownAnswer(entity=self.entity(other), known_in=split)
            for other, split in zip(others, splits, strict=True)
        ]

    def find_splits(self, facts: NDArray[np.int64]) -> list[Split]:
        """Returns the split of each fact, shape: (N, 3), or `new`."""
        splits: list[Split] = self._facts.find_split(facts).to_pylist()
        return splits
