"""Diagrams of paths: the entities from the one asked about to an answer, and the steps between."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from imf_core.base.path_text import format_path
from imf_core.graph.graph import Graph
from imf_core.inference.reasons import explain
from imf_core.model.scorer import Scorer


@dataclass(frozen=True)
class Step:
    """A fact that leads to the next entity of a path.

    Attributes:
        relation: Relation id.
        is_forward: Whether the next entity is the tail of the fact.
        entity: Id of the next entity.
        known_in: Split of the fact.
    """

    relation: int
    is_forward: bool
    entity: int
    known_in: str


@dataclass(frozen=True)
class Diagram:
    """A path as the page draws it.

    Attributes:
        start: Id of the entity asked about.
        steps: Up to the answer.
        weight: In [0, 1].
        text: Of `format_path`, for screen readers.
    """

    start: int
    steps: tuple[Step, ...]
    weight: float
    text: str

    @property
    def entities(self) -> list[int]:
        """Ids of all entities, the one asked about first."""
        return [self.start, *(step.entity for step in self.steps)]


class LabelIds:
    """Ids of the labels of a graph.

    Attributes:
        entities: Id by label.
        relations: Id by label.
    """

    def __init__(self, graph: Graph) -> None:
        self.entities = {label: number for number, label in enumerate(graph.entity_labels)}
        self.relations = {label: number for number, label in enumerate(graph.relation_labels)}

    def draw(self, asked: int, paths: Iterable[Mapping[str, Any]]) -> list[Diagram]:
        """Turns paths into diagrams.

        Args:
            asked: Id of the entity asked about, where all paths begin.
            paths: Values of `imf_core.inference.reasons.PATH`.
        """
        return [
            Diagram(asked, self._walk(asked, path["facts"]), path["weight"], format_path(path))
            for path in paths
        ]

    def _walk(self, entity: int, facts: Iterable[Mapping[str, Any]]) -> tuple[Step, ...]:
        steps = []
        for fact in facts:
            head, tail = self.entities[fact["head"]], self.entities[fact["tail"]]
            is_forward = head == entity
            entity = tail if is_forward else head
            relation = self.relations[fact["relation"]]
            steps.append(Step(relation, is_forward, entity, fact["known_in"]))
        return tuple(steps)


def draw_best_paths(scorer: Scorer, graph: Graph, answers: Tensor) -> list[list[Diagram]]:
    """Draws the best path of each answer.

    Args:
        scorer: The trained model.
        graph: Its graph.
        answers: (asked entity, relation with inverses, answer), shape: (N, 3), dtype: long, on the
            CPU.

    Returns:
        At most one path for each answer; none where the model has no channel of paths.
    """
    channel, ids = scorer.model.paths, LabelIds(graph)
    if channel is None:
        return [[] for _ in answers]
    found = explain(channel.network, channel.graph, graph, answers, limit=1).to_pylist()
    return [
        ids.draw(asked, paths) for asked, paths in zip(answers[:, 0].tolist(), found, strict=True)
    ]
