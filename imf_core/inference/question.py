"""A question to a model and an answer of it, in words."""

from dataclasses import dataclass

ASKED = "?"
"""Stands in writing for what is asked for."""


@dataclass(frozen=True)
class Question:
    """`(head, relation, ?)` or `(?, relation, tail)`.

    Attributes:
        head: Label or name; None where the head is asked for.
        relation: Label or name.
        tail: Label or name; None where the tail is asked for.
    """

    head: str | None
    relation: str
    tail: str | None


@dataclass(frozen=True)
class Answer:
    """One answer to a question.

    Attributes:
        label: Of the entity.
        name: Of the entity.
        probability: That it is right: the probability of `Calibration`, if the question has a
            further answer, times `further`.
        further: Share of the questions like it that have a further answer: the smaller one of the
            fact's two questions, (head, relation, ?) and (?, relation, tail). One where neither
            has a known answer.
        used_up: Entities with a used-up relation, where `further` is below one half: `head`,
            `tail`, `both` or `none`.
        known_in: `train`, `valid`, `test` or `new`.
        shares: Of each head in its support, by head.
    """

    label: str
    name: str
    probability: float
    further: float
    used_up: str
    known_in: str
    shares: dict[str, float]


def parse_question(head: str | None, relation: str, tail: str | None) -> Question:
    """Makes a question of its three parts, where `?` is what is asked for."""
    return Question(None if head == ASKED else head, relation, None if tail == ASKED else tail)
