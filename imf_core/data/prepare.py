"""From the raw folder to the graph.

In: a raw folder as `download` left it. Out: the graph with dense ids and leak-free splits, the
list of image sources, a summary of what was found, kept and left out, and a table of the relations.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imf_core.config import PrepareParams
from imf_core.data.cardinality import find_cardinality
from imf_core.data.folder import ENTITY_DESCRIPTIONS, ENTITY_NAMES, RELATION_NAMES
from imf_core.data.graph import SPLITS, Graph
from imf_core.data.image_sources import ImageSources, read_image_sources
from imf_core.data.redundancy import find_redundancy
from imf_core.data.registry import FOLDER, Counts, DownloadedDataset, find_dataset
from imf_core.data.relation_table import relation_rows
from imf_core.data.source import SourceGraph, read_id_graph, read_label_graph
from imf_core.data.split import make_splits
from imf_core.data.summary import Summary, summarise
from imf_core.data.texts import LabelledTexts, read_labelled_texts, read_titles
from imf_core.errors import DataError


@dataclass(frozen=True)
class Prepared:
    """What `prepare` makes."""

    graph: Graph
    images: ImageSources
    summary: Summary
    relation_rows: list[dict[str, Any]]


def prepare_graph(raw: Path, dataset_name: str, params: PrepareParams) -> Prepared:
    """Reads the raw folder of a data set and makes its graph.

    Args:
        raw: Folder with the source files.
        dataset_name: Name of a registered set, or `folder`.
        params: How facts become train, valid and test.

    Returns:
        The graph, its image sources, the summary and a row for every relation.

    Raises:
        ConfigError: If there is no such data set.
        DataError: If a file is missing or malformed, or the counts are not those registered.
    """
    dataset = None if dataset_name == FOLDER else find_dataset(dataset_name)
    download = dataset if isinstance(dataset, DownloadedDataset) else None
    source = _read_source(raw, download)
    num_entities, num_relations = len(source.entity_labels), len(source.relation_labels)
    # Of all splits together: what relations say does not depend on how their facts were dealt out,
    # and a random four fifths of two perfect inverses no longer share 0.8 of their pairs.
    redundancy = find_redundancy(
        np.concatenate(list(source.facts.values())), num_entities, num_relations
    )
    splits = make_splits(source.facts, redundancy, num_entities, num_relations, params)
    cardinality = find_cardinality(splits.facts["train"], num_entities, num_relations)
    names, relation_names = _read_names(raw, download, source)
    descriptions = read_labelled_texts(raw / ENTITY_DESCRIPTIONS, source.entity_labels)
    graph = Graph(
        entity_labels=source.entity_labels,
        entity_names=_or_labels(names.texts, source.entity_labels),
        entity_descriptions=descriptions.texts,
        relation_labels=source.relation_labels,
        relation_names=_or_labels(relation_names.texts, source.relation_labels),
        triples={split: torch.from_numpy(splits.facts[split].copy()) for split in SPLITS},
    )
    images, image_faults = read_image_sources(raw, graph)
    summary = summarise(
        dataset_name,
        source,
        splits,
        redundancy,
        cardinality,
        graph,
        names,
        descriptions,
        relation_names,
        images,
        image_faults,
    )
    return Prepared(graph, images, summary, relation_rows(graph, redundancy, cardinality))


def _read_source(raw: Path, download: DownloadedDataset | None) -> SourceGraph:
    """Reads labels and facts in the format of the set, checking the registered counts."""
    if download is None:
        return read_label_graph(raw)
    source = read_id_graph(raw) if download.format == "ids" else read_label_graph(raw)
    _require_counts(source, download.counts, raw)
    return source


def _require_counts(source: SourceGraph, counts: Counts, raw: Path) -> None:
    """Raises a `DataError` unless the source holds what the registry says."""
    found = {
        "entities": len(source.entity_labels),
        "relations": len(source.relation_labels),
        **{f"{split} lines": len(source.facts.get(split, ())) for split in SPLITS},
    }
    expected = [counts.entities, counts.relations, counts.train, counts.valid, counts.test]
    faults = [
        f"{name}: expected {number}, found {found[name]}"
        for name, number in zip(found, expected, strict=True)
        if found[name] != number
    ]
    if faults:
        raise DataError(
            f"{raw} does not hold the registered data set ({'; '.join(faults)}); delete it and run "
            "`dvc repro` again, or bring the changed files as your own folder"
        )


def _read_names(
    raw: Path, download: DownloadedDataset | None, source: SourceGraph
) -> tuple[LabelledTexts, LabelledTexts]:
    """Reads the names of entities and relations, from titles where the set has them."""
    entity_titles = download.entity_titles if download else None
    relation_titles = download.relation_titles if download else None
    if entity_titles:
        entities = read_titles(raw / entity_titles, source.entity_labels)
    else:
        entities = read_labelled_texts(raw / ENTITY_NAMES, source.entity_labels)
    if relation_titles:
        relations = read_titles(raw / relation_titles, source.relation_labels)
    else:
        relations = read_labelled_texts(raw / RELATION_NAMES, source.relation_labels)
    return entities, relations


def _or_labels(texts: list[str], labels: list[str]) -> list[str]:
    """Puts the label where there is no text."""
    return [text or label for text, label in zip(texts, labels, strict=True)]
