"""Reads a raw folder in a format of the registry: labels, facts with duplicates, texts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imf_core.base.artifacts import read_json
from imf_core.base.errors import DataError
from imf_core.graph.entities import ImageSources
from imf_core.graph.labels import Facts
from imf_core.sources.formats import (
    LabelTriples,
    name_from_title,
    read_id_triples,
    read_label_ids,
    read_label_list,
    read_label_triples,
    read_spaced_triples,
    read_texts,
)
from imf_core.sources.layout import IMAGE_INDEX, TEST, TRAIN, VALID, read_image_index


@dataclass(frozen=True)
class LabelledTexts:
    """Texts in the order of the labels.

    Attributes:
        texts: Text of each label, "" if there is none.
        unknown: Labels with a text that are not in the graph, in line order.
        repeated: Lines that repeat an earlier one.
        empty: Labels with an empty text, in line order.
        blank_lines: Blank lines.
    """

    texts: list[str]
    unknown: tuple[str, ...] = ()
    repeated: int = 0
    empty: tuple[str, ...] = ()
    blank_lines: int = 0

    @property
    def present(self) -> int:
        """Number of labels that have a text."""
        return sum(bool(text) for text in self.texts)


def read_labelled_texts(path: Path, labels: list[str]) -> LabelledTexts:
    """Reads a `label <tab> text` file, if there is one.

    Raises:
        DataError: If the file is malformed or gives a label two different texts.
    """
    if not path.is_file():
        return LabelledTexts([""] * len(labels))
    found = read_texts(path)
    texts = [found.by_label.get(label, "") for label in labels]
    unknown = _unknown(found.by_label, labels)
    return LabelledTexts(texts, unknown, found.repeated, tuple(found.empty), found.blank_lines)


def read_titles(path: Path, labels: list[str]) -> LabelledTexts:
    """Reads titles from a map of titles to the same ids, and makes names from them.

    Raises:
        DataError: If the file is malformed or does not cover the ids of `labels`.
    """
    titles = read_label_ids(path)
    if len(titles) != len(labels):
        raise DataError(f"{path} has {len(titles)} titles for {len(labels)} ids; it must fit them")
    return LabelledTexts([name_from_title(title) for title in titles])


def read_wikidata_json(path: Path, labels: list[str]) -> tuple[LabelledTexts, LabelledTexts]:
    """Reads names and descriptions from `{label: {"label": ..., "description": ...}}`.

    Raises:
        DataError: If the file is malformed.
    """
    found = read_json(path)
    if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
        raise DataError(f"{path} must map each label to an object; it is no such file")
    unknown = _unknown(found, labels)
    names, descriptions = (
        [_one_line((found.get(label) or {}).get(key)) for label in labels]
        for key in ("label", "description")
    )
    return LabelledTexts(names, unknown), LabelledTexts(descriptions, unknown)


def _unknown(found: Iterable[str], labels: list[str]) -> tuple[str, ...]:
    known = set(labels)
    return tuple(label for label in found if label not in known)


def _one_line(text: object) -> str:
    """Returns a text without line breaks, "" for other values."""
    return " ".join(text.split()) if isinstance(text, str) else ""


SPLIT_FILES = {"train": TRAIN, "valid": VALID, "test": TEST}
ENTITY_IDS, RELATION_IDS, RELATION_LIST = "entity2id.txt", "relation2id.txt", "relations.txt"


@dataclass(frozen=True)
class SourceGraph:
    """Labels and facts of a source.

    Attributes:
        entity_labels: The position is the entity id.
        relation_labels: The position is the relation id.
        facts: Split name -> lines in file order, shape: (N, 3), dtype: int64; a split without a
            file is absent.
        blank_lines: Number of blank lines in these files.
    """

    entity_labels: list[str]
    relation_labels: list[str]
    facts: dict[str, Facts]
    blank_lines: int


def read_label_graph(raw: Path) -> SourceGraph:
    """Reads `train.txt` and, if present, `valid.txt` and `test.txt` with labels by tab.

    Ids follow the sorted labels, so they do not depend on the order of the lines.

    Raises:
        DataError: If `train.txt` is missing or a file is malformed.
    """
    files = {split: read_label_triples(raw / name) for split, name in _present(raw).items()}
    return _number(files, *_sorted_labels(files))


def read_spaced_graph(raw: Path) -> SourceGraph:
    """Reads the same files with labels by white space and an optional final full stop.

    Ids come from `entity2id.txt` and `relation2id.txt` if these exist, else they follow the sorted
    labels.

    Raises:
        DataError: If `train.txt` is missing, a file is malformed, or a label has no id.
    """
    files = {split: read_spaced_triples(raw / name) for split, name in _present(raw).items()}
    entities, relations = _sorted_labels(files)
    return _number(
        files,
        _in_given_order(entities, raw / ENTITY_IDS),
        _in_given_order(relations, raw / RELATION_IDS),
    )


def read_id_graph(raw: Path, columns: str) -> SourceGraph:
    """Reads facts as ids, and their labels; the ids stay unchanged.

    Labels are in `entity2id.txt` and `relation2id.txt`, or in `relations.txt` with one label per
    line.

    Args:
        raw: The raw folder.
        columns: `hrt` or `htr`, the order of the columns.

    Raises:
        DataError: If a file is missing or malformed, or an id has no label.
    """
    entities = read_label_ids(raw / ENTITY_IDS)
    has_list = (raw / RELATION_LIST).is_file()
    relations = (
        read_label_list(raw / RELATION_LIST) if has_list else read_label_ids(raw / RELATION_IDS)
    )
    facts, blank = {}, 0
    for split, name in _present(raw).items():
        facts[split], skipped = read_id_triples(raw / name, len(entities), len(relations), columns)
        blank += skipped
    return SourceGraph(entities, relations, facts, blank)


def _present(raw: Path) -> dict[str, str]:
    """Returns the existing split files."""
    if not (raw / TRAIN).is_file():
        raise DataError(f"{raw / TRAIN} is missing; run `dvc repro` to make it")
    return {split: name for split, name in SPLIT_FILES.items() if (raw / name).is_file()}


def _sorted_labels(files: dict[str, LabelTriples]) -> tuple[list[str], list[str]]:
    """Returns all labels of entities and of relations, sorted."""
    entities = {label for file in files.values() for label in (*file.heads, *file.tails)}
    return sorted(entities), sorted({label for file in files.values() for label in file.relations})


def _in_given_order(labels: list[str], ids: Path) -> list[str]:
    """Returns the labels of an id map, if there is one, after checking that it has all `labels`."""
    if not ids.is_file():
        return labels
    listed = read_label_ids(ids)
    unknown = sorted(set(labels) - set(listed))
    if unknown:
        raise DataError(
            f"{ids} gives no id to {len(unknown)} labels of the facts, the first of them "
            f"{unknown[0]!r}; the file does not fit them"
        )
    return listed


def _number(
    files: dict[str, LabelTriples], entities: list[str], relations: list[str]
) -> SourceGraph:
    """Maps labels to their positions in the lists."""
    entity_ids = {label: position for position, label in enumerate(entities)}
    relation_ids = {label: position for position, label in enumerate(relations)}
    facts = {split: _to_ids(file, entity_ids, relation_ids) for split, file in files.items()}
    blank = sum(file.blank_lines for file in files.values())
    return SourceGraph(entities, relations, facts, blank)


def _to_ids(file: LabelTriples, entity_ids: dict[str, int], relation_ids: dict[str, int]) -> Facts:
    """Returns the facts of a file as ids, shape: (N, 3), dtype: int64."""
    columns = (
        [entity_ids[label] for label in file.heads],
        [relation_ids[label] for label in file.relations],
        [entity_ids[label] for label in file.tails],
    )
    return np.stack([np.array(column, dtype=np.int64) for column in columns], axis=1)


@dataclass(frozen=True)
class SkippedImageLines:
    """Lines of an image index that were left out.

    Attributes:
        unknown: Labels that are in no fact, in line order.
        repeated: Lines that repeat an entity with the same source.
        blank: Blank lines and lines without an image.
    """

    unknown: list[str]
    repeated: int
    blank: int


def read_image_sources(
    raw: Path, entity_labels: Sequence[str]
) -> tuple[ImageSources, SkippedImageLines]:
    """Reads the image index of a raw folder, if it has one, against the labels of a graph.

    Args:
        raw: The folder.
        entity_labels: The position is the entity id.

    Raises:
        DataError: If the index is malformed.
    """
    lines, blank = read_image_index(raw / IMAGE_INDEX)
    ids = {label: position for position, label in enumerate(entity_labels)}
    known = [(ids[line.entity_label], line.source) for line in lines if line.entity_label in ids]
    distinct = list(dict.fromkeys(known))
    unknown = [line.entity_label for line in lines if line.entity_label not in ids]
    skipped = SkippedImageLines(unknown, len(known) - len(distinct), blank)
    return ImageSources([row[0] for row in distinct], [row[1] for row in distinct]), skipped
