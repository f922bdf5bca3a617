"""Collects the data issues of the prepared graph.

In: the issues of `download`, and the inputs, decisions and counts of `prepare`. Out: issues by
importance: first those that make metrics wrong, then omissions, then possible mistakes.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from imf_core.base.terminal import find_alike, plain_form, show_alike
from imf_core.graph.issues import DataIssue, data_issue
from imf_core.graph.labels import Facts, GraphLabels, fact_keys
from imf_core.prepare.facts import count_distinct_ids
from imf_core.prepare.redundancy import HELD_OUT_SPLITS, is_among
from imf_core.prepare.source import LabelledTexts, SkippedImageLines, SourceGraph
from imf_core.prepare.split import HELD_OUT
from imf_core.prepare.summary import Summary

MIN_RATIO = 3
"""Smallest ratio of relations to tails that suggests the columns head, tail, relation."""

MAX_FACTS = 5
"""Largest mean number of facts per relation that suggests these columns."""


def find_issues(
    downloaded: Sequence[DataIssue],
    source: SourceGraph,
    graph: GraphLabels,
    texts: Sequence[tuple[str, LabelledTexts, Sequence[str]]],
    skipped_images: SkippedImageLines,
    summary: Summary,
    is_split: bool,
) -> list[DataIssue]:
    """Collects the issues.

    Args:
        downloaded: Issues of `download`.
        source: The graph of the source.
        graph: Labels and texts of the prepared graph.
        texts: For names, descriptions and names of relations: a noun, the texts and their labels.
        skipped_images: Omitted lines of the image index.
        summary: All counts.
        is_split: Whether splits are made; if not, leaks and their repairs are left out.
    """
    return [
        *(_leak_issues(summary) if is_split else ()),
        *_whole_split_issues(source),
        *downloaded,
        *_unseen_issues(summary),
        *data_issue(
            "duplicate_facts",
            "lines repeat a fact of their split: dropped",
            _duplicate_facts(source),
            sum(len(facts) - len(_first_lines(source, facts)) for facts in source.facts.values()),
        ),
        *_column_order_issues(graph),
        *find_alike_labels(graph),
        *_text_issues(texts),
        *data_issue(
            "images_of_unknown_entities",
            "images are of labels that no fact has: ignored",
            _with_alike(skipped_images.unknown, graph.entity_labels),
            len(skipped_images.unknown),
        ),
        *_count(
            "repeated_image_lines",
            summary["ignored"]["repeated_image_lines"],
            "lines of the image index are repeated: ignored",
        ),
        *data_issue(
            "shared_names",
            "names are those of several entities, which people cannot tell apart",
            _shared_names(graph),
        ),
    ]


def _leak_issues(summary: Summary) -> Iterator[DataIssue]:
    """Reports leaks and repairs that affect the metrics."""
    source, leaks, facts = summary["source"], summary["leaks"], summary["facts"]
    if leaks["test_given_away"]:
        share = leaks["test_given_away"] / facts["test"]
        yield DataIssue(
            "test_leaks",
            leaks["test_given_away"],
            f"of {facts['test']} test facts LEAK ({share:.1%}), as train gives them away: "
            f"{leaks['test_in_train']} word for word, "
            f"{leaks['test_symmetric_copies']} by a symmetric relation, "
            f"{leaks['test_inverse_copies']} by an inverse one, "
            f"{leaks['test_duplicate_copies']} by a duplicate one; test is left as given "
            "(prepare.test: as-given) and its metrics flatter whoever copies; cleaned drops these",
        )
    yield from _count(
        "test_facts_dropped",
        source["test_facts_dropped"],
        "test facts are given away by train: dropped from test (prepare.test: cleaned)",
    )
    yield from _count(
        "train_facts_dropped",
        source["train_facts_dropped"],
        "train facts are also in test: dropped from train (prepare.split: leak-free)",
    )
    contaminated = source["valid_in_train"] + source["valid_in_test_only"]
    if contaminated:
        lines, kept = source["lines"]["valid"], summary["valid_source"] != HELD_OUT
        still = leaks["valid_in_train"] + leaks["valid_in_test_only"]
        remedy = "a new valid is held out of train"
        if kept:
            remedy = "left as given (prepare.split: official)" if still else "these are dropped"
        yield DataIssue(
            "valid_contaminated",
            contaminated,
            f"of {lines} valid lines ({contaminated / lines:.1%}) are in train "
            f"({source['valid_in_train']}) or test ({source['valid_in_test_only']}): {remedy}",
        )
    yield from _count(
        "valid_leaks", leaks["valid_given_away"], "valid facts are given away by train"
    )
    for split in ("test", "valid"):
        yield from _count(
            f"{split}_pairs_linked",
            leaks[f"{split}_pairs_linked_in_train"],
            f"{split} facts join a pair that train links as well",
        )


def _whole_split_issues(source: SourceGraph) -> Iterator[DataIssue]:
    """Reports a split file that contains all facts of another one, which is rarely intended."""
    sizes = len(source.entity_labels), len(source.relation_labels)
    facts = source.facts
    for name, other in (("train", "test"), ("train", "valid"), ("test", "valid")):
        if name not in facts or other not in facts:
            continue
        has_name = bool(is_among(facts[name], facts[other], *sizes).all())
        has_other = bool(is_among(facts[other], facts[name], *sizes).all())
        if has_name or has_other:
            held, holder = (name, other) if has_name else (other, name)
            cause = f"{holder} holds each of them"
            if has_name and has_other:
                cause = f"the files of {name} and {other} hold the same facts"
            yield DataIssue(
                "split_in_split",
                len(np.unique(fact_keys(facts[held], *sizes))),
                f"facts are all that {held} has, and {cause}; bring a {held} of its own",
            )


def has_relation_last(facts: Facts) -> bool:
    """Whether the columns of facts rather are head, tail, relation: many relations and few tails.

    Args:
        facts: With duplicates, shape: (N, 3), dtype: int64.
    """
    num_relations, num_tails = (count_distinct_ids(facts[:, column]) for column in (1, 2))
    return bool(num_relations >= MIN_RATIO * num_tails and num_relations > len(facts) / MAX_FACTS)


def _column_order_issues(graph: GraphLabels) -> list[DataIssue]:
    """Reports relations that are entities, as in a file with the order head, tail, relation."""
    both = sorted(set(graph.relation_labels) & set(graph.entity_labels))
    if 2 * len(both) <= graph.num_relations:
        return []
    return data_issue(
        "relations_that_are_entities",
        "relations have the label of an entity: the columns must be head, relation, tail",
        (repr(label) for label in both),
    )


def _unseen_issues(summary: Summary) -> Iterator[DataIssue]:
    """Counts entities and relations without train facts."""
    leaks = summary["leaks"]
    for split in reversed(HELD_OUT_SPLITS):
        key = f"{split}_entities_unseen_in_train"
        yield from _count(key, leaks[key], f"entities of {split} have no train fact")
    yield from _count(
        "relations_without_train_fact",
        summary["relations"]["without_train_fact"],
        "relations have no train fact",
    )
    yield from _count(
        "entities_in_no_fact", summary["entities"]["in_no_fact"], "entities are in no fact"
    )


def _duplicate_facts(source: SourceGraph) -> Iterator[str]:
    """Yields the repeated lines of each split as facts."""
    for facts in source.facts.values():
        repeated = np.delete(facts, _first_lines(source, facts), axis=0)
        yield from (_format_fact(source, row) for row in repeated)


def _first_lines(source: SourceGraph, facts: Facts) -> NDArray[np.int64]:
    """Returns the index of the first line of each fact."""
    keys = fact_keys(facts, len(source.entity_labels), len(source.relation_labels))
    return np.unique(keys, return_index=True)[1]


def _format_fact(source: SourceGraph, fact: Facts) -> str:
    head, relation, tail = fact.tolist()
    labels = source.entity_labels
    return f"{labels[head]!r} {source.relation_labels[relation]!r} {labels[tail]!r}"


def find_alike_labels(graph: GraphLabels) -> Iterator[DataIssue]:
    """Reports labels of entities and of relations that look alike."""
    for noun, labels in (("entity", graph.entity_labels), ("relation", graph.relation_labels)):
        yield from data_issue(
            f"{noun}_labels_alike",
            f"{noun} labels look like another one: they differ in spaces, quotes, invisible "
            "characters or the form or script of letters, and stay apart",
            chain.from_iterable(
                (show_alike([group[0], label]) for label in group[1:])
                for group in find_alike(labels)
            ),
        )


def _text_issues(
    texts: Sequence[tuple[str, LabelledTexts, Sequence[str]]],
) -> Iterator[DataIssue]:
    """Reports texts of unknown labels and labels with an empty text."""
    yield from data_issue(
        "texts_of_unknown_labels",
        "texts are of labels that no fact has: ignored",
        chain.from_iterable(
            (f"{noun} of {shown}" for shown in _with_alike(found.unknown, labels))
            for noun, found, labels in texts
        ),
        sum(len(found.unknown) for _, found, _ in texts),
    )
    yield from data_issue(
        "empty_texts",
        "texts are empty: ignored",
        (f"{noun} of {label!r}" for noun, found, _ in texts for label in found.empty),
        sum(len(found.empty) for _, found, _ in texts),
    )


def _with_alike(unknown: Iterable[str], labels: Sequence[str]) -> Iterator[str]:
    """Yields unknown labels, each with a similar label of the graph, if any."""
    by_form: dict[str, str] | None = None
    for label in unknown:
        if by_form is None:
            by_form = {plain_form(each): each for each in labels}
        known = by_form.get(plain_form(label))
        yield repr(label) if known is None else f"{label!a}, which looks like {known!a}"


def _shared_names(graph: GraphLabels) -> Iterator[str]:
    """Yields names of several entities, with their first labels."""
    owners: defaultdict[str, list[str]] = defaultdict(list)
    for label, name in zip(graph.entity_labels, graph.entity_names, strict=True):
        owners[name].append(label)
    for name, labels in owners.items():
        if len(labels) > 1:
            further = f" and {len(labels) - 3} more" if len(labels) > 3 else ""
            yield f"{name!r}: {', '.join(map(repr, labels[:3]))}{further}"


def _count(kind: str, count: int, text: str) -> list[DataIssue]:
    return data_issue(kind, text, (), count)
