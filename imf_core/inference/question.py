"""Questions to a model and its answers, in labels and names."""

from dataclasses import dataclass

ASKED = "?"
"""Placeholder of the entity that a question asks for."""


@dataclass(frozen=True)
class Question:
    """`(head, relation, ?)` or `(?, relation, tail)`.

    Attributes:
        head: Label or name; None if the question asks for the head.
        relation: Label or name.
        tail: Label or name; None if the question asks for the tail.
    """

    head: str | None
    relation: str
    tail: str | None


@dataclass(frozen=True)
class Answer:
    """One answer to a question.

    Attributes:
        label: Label of the entity.
        name: Name of the entity.
        probability: Probability that the answer is right: that of `Calibration`, which assumes a
            further answer, times `further`.
        further: Share of similar questions that have a further answer, the smaller one of the
            fact's two questions, (head, relation, ?) and (?, relation, tail); one if neither has a
            known answer.
        used_up: Entities with a used-up relation, those with a share below one half: `head`,
            `tail`, `both` or `none`.
        known_in: `train`, `valid`, `test` or `new`.
        shares: Share of each channel in the support of the answer.
    """

    label: str
    name: str
    probability: float
    further: float
    used_up: str
    known_in: str
    shares: dict[str, float]


def parse_question(head: str | None, relation: str, tail: str | None) -> Question:
    """Makes a question of its three parts; `?` marks the missing entity."""
    return Question(None if head == ASKED else head, relation, None if tail == ASKED else tail)
