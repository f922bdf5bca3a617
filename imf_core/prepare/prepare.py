"""Makes the graph from the raw folder.

In: the raw folder of `download`, and decisions of people. Out: the graph with dense ids and
leak-free splits, the list of image sources, a summary with counts and issues, and a table of the
relations.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from imf_core.base.config import OWN_GRAPHS, PrepareParams
from imf_core.base.errors import DataError
from imf_core.graph.decided import no_decided
from imf_core.graph.entities import ImageSources
from imf_core.graph.issues import read_issues
from imf_core.graph.labels import SPLITS, Facts, GraphLabels
from imf_core.graph.numbers import Numbers
from imf_core.prepare.apply_decisions import apply_decisions
from imf_core.prepare.decisions import Decision
from imf_core.prepare.facts import find_cardinality
from imf_core.prepare.find_issues import find_issues, has_relation_last
from imf_core.prepare.redundancy import Redundancy, find_redundancy
from imf_core.prepare.source import (
    LabelledTexts,
    SourceGraph,
    read_id_graph,
    read_image_sources,
    read_label_graph,
    read_labelled_texts,
    read_spaced_graph,
    read_titles,
    read_wikidata_json,
)
from imf_core.prepare.split import SplitError, Splits, keep_splits, make_splits
from imf_core.prepare.summary import Summary, relation_rows, summarise
from imf_core.sources.layout import (
    ENTITY_DESCRIPTIONS,
    ENTITY_NAMES,
    ENTITY_NUMBERS,
    RELATION_NAMES,
)
from imf_core.sources.numbers import read_numbers
from imf_core.sources.registry import Counts, DownloadedDataset, find_dataset


@dataclass(frozen=True)
class Prepared:
    """The results of `prepare`.

    Attributes:
        labels: Labels and texts of the graph.
        facts: Split name -> distinct facts as ids, shape: (N, 3), dtype: int64.
        decided: `accepted` and `rejected` -> decided facts in no split, shape: (N, 3), int64.
        images: Image sources of the entities.
        numbers: Quantities and dates of the entities.
        summary: Counts and data issues: `results/data.json`.
        relation_rows: A row for each relation: `results/data_relations.csv`.
    """

    labels: GraphLabels
    facts: dict[str, Facts]
    decided: dict[str, Facts]
    images: ImageSources
    numbers: Numbers
    summary: Summary
    relation_rows: list[dict[str, Any]]


def prepare_graph(
    raw: Path, dataset_name: str, params: PrepareParams, decisions: Sequence[Decision] = ()
) -> Prepared:
    """Reads the raw folder of a data set and makes its graph.

    Args:
        raw: Folder with the source files.
        dataset_name: Name of a registered set, or `folder`.
        params: Parameters of the split.
        decisions: Lines of the file of decisions.

    Returns:
        The graph, its image sources and numbers, the summary and a row for every relation.

    Raises:
        ConfigError: If the data set is unknown.
        SplitError: If the facts cannot be split; `audit_unsplit` counts them.
        DataError: If a file is missing or malformed, or the counts differ from the registry,
            or decisions leave no train fact.
    """
    download = _find_download(dataset_name)
    source = _read_source(raw, download)
    redundancy = _find_redundancy(source)
    sizes = len(source.entity_labels), len(source.relation_labels)
    try:
        splits = make_splits(source.facts, redundancy, *sizes, params)
    except SplitError as error:
        raise _blame_column_order(error, source, raw) from error
    applied = apply_decisions(decisions, source, splits.facts)
    splits = replace(splits, facts=applied.facts)
    prepared = _assemble(raw, dataset_name, source, splits, applied.redundancy)
    prepared.summary["issues"] += [issue.as_row() for issue in applied.issues]
    if applied.counts:
        prepared.summary["decisions"] = applied.counts
    return replace(prepared, decided=applied.decided)


def audit_unsplit(raw: Path, dataset_name: str) -> Summary:
    """Counts a graph that `prepare_graph` cannot split: facts are in the splits of the source.

    Args:
        raw: Folder with the source files.
        dataset_name: Name of a registered set, or `folder`.

    Returns:
        As in `Prepared`, without issues about leaks, since no split is made.

    Raises:
        ConfigError: If the data set is unknown.
        DataError: If a file is missing or malformed, or the counts differ from the registry.
    """
    source = _read_source(raw, _find_download(dataset_name))
    splits = keep_splits(source.facts, len(source.entity_labels), len(source.relation_labels))
    return _assemble(
        raw, dataset_name, source, splits, _find_redundancy(source), is_split=False
    ).summary


def _find_download(dataset_name: str) -> DownloadedDataset | None:
    dataset = None if dataset_name in OWN_GRAPHS else find_dataset(dataset_name)
    return dataset if isinstance(dataset, DownloadedDataset) else None


def _find_redundancy(source: SourceGraph) -> Redundancy:
    """Finds redundant relations in all splits together.

    Redundancy does not depend on the split, and a random four fifths of two perfect inverses no
    longer share 0.8 of their pairs.
    """
    facts = np.concatenate(list(source.facts.values()))
    return find_redundancy(facts, len(source.entity_labels), len(source.relation_labels))


def _assemble(
    raw: Path,
    dataset_name: str,
    source: SourceGraph,
    splits: Splits,
    redundancy: Redundancy,
    is_split: bool = True,
) -> Prepared:
    """Returns the results of `prepare` for given splits, without decided facts."""
    download = _find_download(dataset_name)
    num_entities, num_relations = len(source.entity_labels), len(source.relation_labels)
    cardinality = find_cardinality(splits.facts["train"], num_entities, num_relations)
    names, descriptions = _read_entity_texts(raw, download, source.entity_labels)
    relation_names = _read_relation_names(raw, download, source.relation_labels)
    labels = GraphLabels(
        entity_labels=source.entity_labels,
        entity_names=_or_labels(names.texts, source.entity_labels),
        entity_descriptions=descriptions.texts,
        relation_labels=source.relation_labels,
        relation_names=_or_labels(relation_names.texts, source.relation_labels),
    )
    images, skipped_images = read_image_sources(raw, labels.entity_labels)
    numbers, number_issues = read_numbers(raw / ENTITY_NUMBERS, labels.entity_labels)
    summary = summarise(
        dataset_name,
        source,
        splits,
        redundancy,
        cardinality,
        labels,
        names,
        descriptions,
        relation_names,
        images,
        skipped_images,
        numbers,
    )
    texts = (
        ("name", names, source.entity_labels),
        ("description", descriptions, source.entity_labels),
        ("name of a relation", relation_names, source.relation_labels),
    )
    issues = find_issues(read_issues(raw), source, labels, texts, skipped_images, summary, is_split)
    summary["issues"] = [issue.as_row() for issue in [*issues, *number_issues]]
    rows = relation_rows(labels, splits.facts, redundancy, cardinality)
    return Prepared(labels, splits.facts, no_decided(), images, numbers, summary, rows)


def _read_source(raw: Path, download: DownloadedDataset | None) -> SourceGraph:
    """Reads labels and facts in the format of the set, and checks the registered counts."""
    if download is None:
        return read_label_graph(raw)
    match download.format:
        case "labels":
            source = read_label_graph(raw)
        case "spaced":
            source = read_spaced_graph(raw)
        case "ids":
            source = read_id_graph(raw, "hrt")
        case "ids-htr":
            source = read_id_graph(raw, "htr")
    _require_counts(source, download.counts, raw)
    return source


def _require_counts(source: SourceGraph, counts: Counts, raw: Path) -> None:
    """Raises a `DataError` unless the source has the registered counts."""
    found = {
        "entities": len(source.entity_labels),
        "relations": len(source.relation_labels),
        **{f"{split} lines": len(source.facts.get(split, ())) for split in SPLITS},
    }
    expected = [counts.entities, counts.relations, counts.train, counts.valid, counts.test]
    faults = [
        f"{name}: expected {number}, found {found[name]}"
        for name, number in zip(found, expected, strict=True)
        if number not in (None, found[name])
    ]
    if faults:
        raise DataError(
            f"{raw} does not hold the registered data set ({'; '.join(faults)}); delete it and run "
            "`dvc repro` again, or bring the changed files as your own folder"
        )


def _blame_column_order(error: SplitError, source: SourceGraph, raw: Path) -> SplitError:
    """Returns the error, or one that says that the columns are head, tail, relation if they are.

    Relations in the place of tails make every fact the only one of its relation, so that none can
    be held out.
    """
    if not has_relation_last(np.concatenate(list(source.facts.values()))):
        return error
    return SplitError(
        f"the columns of the files in {raw} seem to be head, tail, relation, as in OpenKE's files: "
        "the second has many different labels and the third few. They must be head, relation, "
        "tail; exchange the second and the third in the source, such as by "
        "`awk -F'\\t' -v OFS='\\t' '{print $1, $3, $2}' OLD > NEW`. If they are right: "
        f"{error}"
    )


def _read_entity_texts(
    raw: Path, download: DownloadedDataset | None, labels: list[str]
) -> tuple[LabelledTexts, LabelledTexts]:
    """Reads names and descriptions of entities from the text files, else from registered files."""
    names = read_labelled_texts(raw / ENTITY_NAMES, labels)
    descriptions = read_labelled_texts(raw / ENTITY_DESCRIPTIONS, labels)
    if download and download.entity_titles:
        names = read_titles(raw / download.entity_titles, labels)
    if download and download.wikidata_json:
        other_names, other_descriptions = read_wikidata_json(raw / download.wikidata_json, labels)
        names = names if names.present else other_names
        descriptions = descriptions if descriptions.present else other_descriptions
    return names, descriptions


def _read_relation_names(
    raw: Path, download: DownloadedDataset | None, labels: list[str]
) -> LabelledTexts:
    """Reads the names of relations, from titles if the set has them."""
    if download and download.relation_titles:
        return read_titles(raw / download.relation_titles, labels)
    return read_labelled_texts(raw / RELATION_NAMES, labels)


def _or_labels(texts: list[str], labels: list[str]) -> list[str]:
    """Replaces missing texts by labels."""
    return [text or label for text, label in zip(texts, labels, strict=True)]
