"""Finds entities and relations by what people call them: a label, or a name if it is but one's."""

import difflib
import reprlib
from collections import defaultdict
from collections.abc import Sequence
from numbers import Integral

from imf_core.base.errors import QuestionError
from imf_core.base.terminal import plain_form
from imf_core.inference.answers import ASKED, Question

SHOWN = 5

MAX_COMPARED = 100_000
"""Names that an unknown one is compared with; a million take about a minute."""

_QUOTES = "\"'\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"


def require_type(value: object, kind: type | tuple[type, ...], name: str, form: str) -> None:
    """Refuses an argument of another type; a truth value is no number.

    Args:
        value: The argument.
        kind: The expected type, or several.
        name: Its name, for the error.
        form: The expected form, for the error.

    Raises:
        QuestionError: If the argument has another type.
    """
    if not isinstance(value, kind) or isinstance(value, bool):
        raise QuestionError(f"{name} must be {form}, got {reprlib.repr(value)}")


def require_positive(k: int, noun: str) -> None:
    """Refuses a number of answers that is no positive whole number.

    Raises:
        QuestionError: If it is not.
    """
    require_type(k, Integral, "k", "a whole number")
    if k < 1:
        raise QuestionError(f"at least one {noun} must be asked for, got k = {k}")


class Names:
    """Finds the ids of entities, or of relations, by label or name.

    Args:
        kind: `entity` or `relation`, for errors.
        labels: Source labels; the position is the id.
        names: Names for people, in the same order.
    """

    def __init__(self, kind: str, labels: Sequence[str], names: Sequence[str]) -> None:
        self._kind = kind
        self._labels, self._names = labels, names
        self._by_label = {label: number for number, label in enumerate(labels)}
        self._by_plain_label: dict[str, list[int]] = defaultdict(list)
        for number, label in enumerate(labels):
            plain = plain_form(label)
            if plain != label:
                self._by_plain_label[plain].append(number)
        self._by_name: dict[str, list[int]] = defaultdict(list)
        for number, name in enumerate(names):
            self._by_name[folded(name)].append(number)

    def __len__(self) -> int:
        """Returns the number of labels."""
        return len(self._labels)

    def find(self, text: str) -> int:
        """Returns the id of a label or, where there is no such label, of a name.

        Labels are compared character by character, then in their plain form: without regard to
        invisible characters, the number of spaces and the form of letters. Names are compared in
        their plain form and without regard to case; of several that differ in case alone the one
        of the same case is taken.

        Raises:
            QuestionError: If the text is none, no label or name matches, or several do.
        """
        alike = self.find_all(text)
        if len(alike) == 1:
            return alike[0]
        if alike:
            raise QuestionError(
                f"{len(alike)} {self._plural} are called {text!r}; give the label of one: "
                f"{self._list(alike)}"
            )
        raise QuestionError(
            f"no {self._kind} has the label or name {text!r}; {self._without_quotes(text)}"
            f"{self._nearest(text)}"
        )

    def find_all(self, text: str) -> list[int]:
        """Returns the ids that `find` chooses from.

        Raises:
            QuestionError: If the text is none, or empty.
        """
        require_type(text, str, f"the {self._kind}", "a label or name")
        if text in self._by_label:
            return [self._by_label[text]]
        plain = plain_form(text)
        if not plain:
            raise QuestionError(f"the label or name of the {self._kind} is empty, got {text!r}")
        alike = list(self._by_plain_label.get(plain, ()))
        if plain in self._by_label:
            alike.append(self._by_label[plain])
        if alike:
            return alike
        found = self._by_name.get(folded(text), [])
        return [each for each in found if plain_form(self._names[each]) == plain] or found

    def show(self, label: str) -> str:
        """Returns the name of a label, with the label in brackets if `find` takes another by it."""
        number = self._by_label[label]
        name = self._names[number]
        is_found = name == label or (plain_form(name) and self.find_all(name) == [number])
        return name if is_found else f"{name} ({label})"

    @property
    def _plural(self) -> str:
        return {"entity": "entities"}.get(self._kind, f"{self._kind}s")

    @staticmethod
    def _without_quotes(text: str) -> str:
        """Advises against quotes around a name, which word processors and tables add."""
        bare = text.strip(_QUOTES)
        return f"leave the quotes out ({bare}); " if bare and bare != text else ""

    def _nearest(self, text: str) -> str:
        """Names what looks most like a text."""
        if len(self._labels) > MAX_COMPARED:
            return f"there are {len(self._labels)}, too many to look for one that is like it"
        if numbers := self.find_near(text):
            return f"nearest are {self._list(numbers)}"
        return (
            f"there are {len(self._labels)}, such as {self._list(list(range(len(self._labels))))}"
        )

    def find_near(self, text: str, cutoff: float = 0.5) -> list[int]:
        """Returns the ids of the names and labels that look most like a text, nearest first.

        Args:
            text: Any text.
            cutoff: Least likeness, from 0 to 1.
        """
        near = difflib.get_close_matches(folded(text), self._by_name, n=SHOWN, cutoff=cutoff)
        numbers = [number for name in near for number in self._by_name[name]]
        least = max(cutoff, 0.7)
        labels = difflib.get_close_matches(text, self._by_label, n=SHOWN, cutoff=least)
        return list(dict.fromkeys(numbers + [self._by_label[label] for label in labels]))

    def _list(self, numbers: Sequence[int]) -> str:
        """Lists the first few as label (name)."""
        shown = [
            repr(self._labels[number])
            + (f" ({self._names[number]})" if self._names[number] != self._labels[number] else "")
            for number in numbers[:SHOWN]
        ]
        return ", ".join(shown) + (", ..." if len(numbers) > SHOWN else "")


def find_query(question: Question, entities: Names, relations: Names) -> tuple[int, int]:
    """Returns ids of entity and relation; a head question has the inverse relation.

    Raises:
        QuestionError: If a name is unknown or ambiguous, or not exactly one of head and tail is
            missing.
    """
    head, name, tail = question.head, question.relation, question.tail
    if (head, name, tail).count(None) != 1:
        shown = " - ".join(ASKED if part is None else str(part) for part in (head, name, tail))
        raise QuestionError(
            "a question asks for the head, the relation or the tail, exactly one of them must be "
            f"'{ASKED}', got {shown}"
        )
    if name is None:
        raise QuestionError(
            f"{head} - {ASKED} - {tail} asks for the relation; only a trained model answers it, "
            "with `predict_relations`"
        )
    relation = relations.find(name)
    if head is not None:
        return entities.find(head), relation
    assert tail is not None
    return entities.find(tail), relation + len(relations)


def find_pairs(pairs: Sequence[tuple[str, str]], entities: Names) -> list[tuple[int, int]]:
    """Returns the ids of heads and tails.

    Raises:
        QuestionError: If there is no pair, or a name is none, unknown or ambiguous.
    """
    form = "a list of (head, tail), each a label or name"
    if isinstance(pairs, str) or not isinstance(pairs, Sequence) or not pairs:
        raise QuestionError(f"pairs must be {form}, at least one, got {reprlib.repr(pairs)}")
    for pair in pairs:
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise QuestionError(f"pairs must be {form}, got {reprlib.repr(pair)} among them")
    return [(entities.find(head), entities.find(tail)) for head, tail in pairs]


def folded(name: str) -> str:
    """Returns a name in the form in which names are compared: plain and of one case."""
    return plain_form(plain_form(name).casefold())


def require_triples(triples: object, name: str) -> None:
    """Refuses what is no sequence of (head, relation, tail) by labels or names.

    Raises:
        QuestionError: If it is not.
    """
    form = "a list of (head, relation, tail), each a label or name"
    if isinstance(triples, str) or not isinstance(triples, Sequence):
        raise QuestionError(f"{name} must be {form}, got {reprlib.repr(triples)}")
    for triple in triples:
        is_sequence = isinstance(triple, Sequence) and not isinstance(triple, str)
        if not is_sequence or [isinstance(part, str) for part in triple] != [True] * 3:
            raise QuestionError(f"{name} must be {form}, got {reprlib.repr(triple)} among them")


def find_facts(
    triples: Sequence[tuple[str, str, str]], entities: Names, relations: Names
) -> list[tuple[int, int, int]]:
    """Returns facts by ids.

    Raises:
        QuestionError: If a name is unknown or ambiguous.
    """
    return [
        (entities.find(head), relations.find(relation), entities.find(tail))
        for head, relation, tail in triples
    ]
