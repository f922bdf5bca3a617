"""Finds header lines: first lines with titles of columns instead of a fact.

In: the facts and texts of a user's folder. Out: certain header lines, which are left out, and
possible ones, which stay. A first line of facts is certainly a header if each label consists of
title words (`TITLE_WORDS`) and at least two of the three occur in no other fact. It is possibly a
header if all three occur in no other fact; a true fact may do so too. A first line of texts is a
header if its label consists of title words and is in no fact.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from imf_core.data.formats import LabelTriples

_TITLE_WORDS = """
    head h relation relationship rel r tail t subject subj sub s predicate pred p object obj o
    source src start from target tgt dest destination end to left right lhs rhs first second
    node edge entity ent concept item term arg argument label name title id ids
    identifier key mid qid uri iri url property prop type kind link verb role triple fact
    text desc description definition image img picture photo path file filename
    wikidata wikipedia article
"""
TITLE_WORDS = frozenset(_TITLE_WORDS.split())


Row = tuple[str, str, str]


@dataclass(frozen=True)
class HeaderLine:
    """A first line that is, or may be, a header.

    Attributes:
        labels: The labels of the line.
        is_certain: Whether it is certain, and left out.
    """

    labels: tuple[str, ...]
    is_certain: bool


def find_fact_headers(splits: Mapping[str, LabelTriples]) -> dict[str, HeaderLine]:
    """Finds files of facts with a header.

    Args:
        splits: File name -> its facts.
    """
    firsts = {name: next(_rows(facts)) for name, facts in splits.items()}
    titles = {row for row in firsts.values() if all(map(is_title, row))}
    found = {}
    for name, first in firsts.items():
        num_unseen = _count_unseen(first, splits, {first, *titles})
        is_certain = first in titles and num_unseen >= 2
        if is_certain or num_unseen == 3:
            found[name] = HeaderLine(first, is_certain)
    return found


def find_text_header(labels: Iterable[str], known: Collection[str]) -> HeaderLine | None:
    """Finds the header of a `label <tab> text` file.

    Args:
        labels: Labels of the lines, in order.
        known: Labels of the facts.
    """
    first = next(iter(labels), None)
    if first is None or first in known or not is_title(first):
        return None
    return HeaderLine((first,), is_certain=True)


def without_header(content: bytes, header: HeaderLine) -> bytes:
    """Returns the content of a file without its header line and its repetitions.

    Args:
        content: UTF-8 with or without byte order mark.
        header: The header line.
    """
    fields = [label.encode() for label in header.labels]
    end = b"\n" if b"\n" in content else b"\r"
    lines = content.removeprefix(b"\xef\xbb\xbf").split(end)
    return end.join(
        line for line in lines if line.removesuffix(b"\r").split(b"\t")[: len(fields)] != fields
    )


def is_title(label: str) -> bool:
    """Returns whether a label consists of title words: `node1`, `Head_ID`, `#subject`.

    A single letter counts only alone: `s` may be a title, `s1` is rather an entity.
    """
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", label)
    has_other = re.search(r"[^A-Za-z0-9\s#_.:;,<>()\[\]\"'?/-]", label) is not None
    has_digit = any(character.isdigit() for character in label)
    return (
        bool(words)
        and not has_other
        and all(word.lower() in TITLE_WORDS for word in words)
        and not (has_digit and min(map(len, words)) == 1)
    )


def _count_unseen(first: Row, splits: Mapping[str, LabelTriples], excluded: set[Row]) -> int:
    """Counts the labels of a line that occur in no other fact; 0 without other facts."""
    head, relation, tail = first
    entities, relations = {head, tail}, {relation}
    has_others = False
    for row in chain.from_iterable(map(_rows, splits.values())):
        if row in excluded:
            continue
        has_others = True
        entities.difference_update((row[0], row[2]))
        relations.discard(row[1])
        if not entities and not relations:
            break
    return has_others * sum([head in entities, relation in relations, tail in entities])


def _rows(facts: LabelTriples) -> Iterator[Row]:
    return zip(facts.heads, facts.relations, facts.tails, strict=True)
