"""The changes that a refresh made, as Markdown: warnings, the graph, the metrics.

Two snapshots of the graph and its media are compared by labels, whatever ids they have. A snapshot
is held in memory, since DVC removes the files before a run.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flows.pages.results_page import metrics_table, read_metrics
from flows.running.command import Logger
from flows.running.workspace import whole_files
from imf_core.base.artifacts import read_parquet, read_parquet_metadata
from imf_core.base.terminal import escape, table

ENTITIES = Path("data/graph/entities.parquet")
RELATIONS = Path("data/graph/relations.parquet")
TRIPLES = Path("data/graph/triples.parquet")
DESCRIPTIONS = Path("data/media/descriptions.parquet")
IMAGES = Path("data/images/sources.parquet")
FILES = (ENTITIES, RELATIONS, TRIPLES, DESCRIPTIONS, IMAGES)

_FINGERPRINT = "graph_fingerprint"
"""Metadata of each file: the fingerprint of its graph."""


@dataclass(frozen=True)
class Snapshot:
    """A graph and its media.

    Attributes:
        facts: Columns head, relation, tail: labels. Each fact of all splits once.
        entities: Columns label, name, description (own or looked up), images (hashes of the good
            ones); "" if there is none.
        relations: Columns label, name.
    """

    facts: pa.Table
    entities: pa.Table
    relations: pa.Table


def take_snapshot(folder: Path = Path()) -> Snapshot | None:
    """Reads a graph.

    Args:
        folder: Folder with the files, at their paths in a project.

    Returns:
        None if a file is missing or the files are of different graphs: no run was complete.

    Raises:
        DataError: If a file is damaged.
    """
    files = [folder / path for path in FILES]
    if not all(path.exists() for path in files):
        return None
    if len({read_parquet_metadata(path).get(_FINGERPRINT) for path in files}) > 1:
        return None
    entities = read_parquet(folder / ENTITIES, ["entity_label", "name", "description"])
    relations = read_parquet(folder / RELATIONS, ["relation_label", "name"])
    return Snapshot(
        _facts(folder, entities["entity_label"], relations["relation_label"]),
        pa.table(
            {
                "label": entities["entity_label"],
                "name": entities["name"],
                "description": _descriptions(folder, entities["description"]),
                "images": _images(folder, len(entities)),
            }
        ),
        pa.table({"label": relations["relation_label"], "name": relations["name"]}),
    )


def _facts(
    folder: Path, entity_labels: pa.ChunkedArray, relation_labels: pa.ChunkedArray
) -> pa.Table:
    triples = read_parquet(folder / TRIPLES, ["head", "relation", "tail"])
    distinct = triples.group_by(["head", "relation", "tail"]).aggregate([])
    return pa.table(
        {
            "head": entity_labels.take(distinct["head"]),
            "relation": relation_labels.take(distinct["relation"]),
            "tail": entity_labels.take(distinct["tail"]),
        }
    )


def _descriptions(folder: Path, own: pa.ChunkedArray) -> pa.Array:
    """Returns the own descriptions, or the looked-up ones of entities without their own."""
    texts = own.to_pylist()
    found = read_parquet(folder / DESCRIPTIONS, ["entity_id", "description"])
    columns = found["entity_id"].to_pylist(), found["description"].to_pylist()
    for entity_id, text in zip(*columns, strict=True):
        if not texts[entity_id].strip():
            texts[entity_id] = text
    return pa.array(texts, pa.string())


def _images(folder: Path, num_entities: int) -> pa.Array:
    """Reads the hashes of every entity's good images."""
    table = read_parquet(folder / IMAGES, ["entity_id", "status", "sha256"])
    columns = (table[name].to_pylist() for name in ("entity_id", "status", "sha256"))
    hashes: dict[int, list[str]] = defaultdict(list)
    for entity_id, status, digest in zip(*columns, strict=True):
        if status == "ok":
            hashes[entity_id].append(digest)
    return pa.array((" ".join(hashes.get(each, [])) for each in range(num_entities)), pa.string())


NUM_EXAMPLES = 5

_FACT = ("head", "relation", "tail")


@dataclass(frozen=True)
class Examples:
    """A count, and the names of the first few."""

    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """The changes of one kind.

    Attributes:
        kind: Name in the plural: "facts", for example.
        came: Only in the later snapshot.
        went: Only in the earlier snapshot.
        changed: In both, with another value; None for a kind without values.
    """

    kind: str
    came: Examples
    went: Examples
    changed: Examples | None = None

    @property
    def is_any(self) -> bool:
        """Whether anything changed."""
        return any(some and some.count for some in (self.came, self.went, self.changed))


def compare(before: Snapshot, after: Snapshot) -> list[Change]:
    """Counts additions, removals and changes; for descriptions and images, of entities in both."""
    return [
        Change("facts", _facts_of(after, before), _facts_of(before, after)),
        Change(
            "entities",
            _names(_rows_of(after.entities, before.entities, ["label"])),
            _names(_rows_of(before.entities, after.entities, ["label"])),
        ),
        Change(
            "relations",
            _names(_rows_of(after.relations, before.relations, ["label"])),
            _names(_rows_of(before.relations, after.relations, ["label"])),
        ),
        _media("descriptions", "description", before, after),
        _media("images", "images", before, after),
    ]


def describe_changes(changes: Sequence[Change]) -> str:
    """Formats changes as Markdown: a table and examples, or a sentence if there are none."""
    if not any(change.is_any for change in changes):
        return "Nothing changed in the graph, nor in the texts and images of its entities."
    rows = [
        [change.kind, *(f"{some.count:,}" if some else "" for some in _columns(change))]
        for change in changes
    ]
    parts = [table(["", "came", "went", "changed"], rows)]
    for change in changes:
        for some, verb in zip(_columns(change), ("came", "went", "changed"), strict=True):
            if some and some.count:
                lines = [f"- {escape(each)}" for each in some.examples]
                if more := some.count - len(lines):
                    lines.append(f"- and {more:,} more")
                parts.append(f"{change.kind.capitalize()} that {verb}:\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def _columns(change: Change) -> tuple[Examples, Examples, Examples | None]:
    return change.came, change.went, change.changed


def _rows_of(one: pa.Table, other: pa.Table, keys: list[str]) -> pa.Table:
    """Returns the rows of `one` with keys that are not in `other`."""
    return one.join(other.select(keys), keys, join_type="left anti", use_threads=False)


def _first(rows: pa.Table, keys: Iterable[str]) -> pa.Table:
    """Returns the first few rows in the order of the labels."""
    return rows.sort_by([(key, "ascending") for key in keys]).slice(0, NUM_EXAMPLES)


def _names(rows: pa.Table) -> Examples:
    """Counts entities or relations and names some."""
    return Examples(len(rows), tuple(_first(rows, ["label"])["name"].to_pylist()))


def _facts_of(one: Snapshot, other: Snapshot) -> Examples:
    """Counts the facts of `one` that are not in `other`, and names some."""
    rows = _rows_of(one.facts, other.facts, list(_FACT))
    few = _first(rows, _FACT)
    tables = (one.entities, one.relations, one.entities)
    columns = [
        [_name(table, label) for label in few[column].to_pylist()]
        for column, table in zip(_FACT, tables, strict=True)
    ]
    return Examples(len(rows), tuple(" – ".join(names) for names in zip(*columns, strict=True)))


def _name(table: pa.Table, label: str) -> str:
    """Looks up the name of a label."""
    return str(table["name"][pc.index(table["label"], label).as_py()].as_py())


def _media(kind: str, column: str, before: Snapshot, after: Snapshot) -> Change:
    """Compares one column of the entities in both snapshots."""
    old = before.entities.select(["label", column]).rename_columns(["label", "old"])
    both = after.entities.join(old, "label", join_type="inner", use_threads=False)
    had, has = pc.not_equal(both["old"], ""), pc.not_equal(both[column], "")
    is_other = pc.not_equal(both["old"], both[column])
    return Change(
        kind,
        _names(both.filter(pc.and_(has, pc.invert(had)))),
        _names(both.filter(pc.and_(had, pc.invert(has)))),
        _names(both.filter(pc.and_(is_other, pc.and_(had, has)))),
    )


@dataclass(frozen=True)
class RunSnapshot:
    """The graph and the metrics at one moment.

    Attributes:
        graph: The graph and its media, None if incomplete.
        metrics: Metrics of the last evaluation, None without one.
    """

    graph: Snapshot | None
    metrics: Mapping[str, Any] | None


def take_run_snapshot(logger: Logger) -> RunSnapshot:
    """Reads the graph and the metrics of the working folder.

    Args:
        logger: Receives a line if the call waits for a `dvc repro`.

    Raises:
        DataError: If a file is damaged.
    """
    with whole_files(FILES, logger.info) as folder:
        graph = take_snapshot(folder)
    return RunSnapshot(graph, read_metrics(logger))


def report(before: RunSnapshot, after: RunSnapshot, warnings: Sequence[str]) -> str:
    """Formats the changes.

    Args:
        before: State before the first stage.
        after: State after the last stage.
        warnings: Warnings of the stages.
    """
    parts = []
    if warnings:
        parts.append("### Warnings\n\n" + "\n".join(f"- {escape(each)}" for each in warnings))
    parts.append(f"### Graph\n\n{_graph(before.graph, after.graph)}")
    parts.append(f"### Metrics\n\n{_metrics(before.metrics, after.metrics)}")
    return "\n\n".join(parts)


def _graph(before: Snapshot | None, after: Snapshot | None) -> str:
    if after is None:
        return "The graph is incomplete: a stage before training failed."
    now = (
        f"There are {len(after.facts):,} facts, {len(after.entities):,} entities and "
        f"{len(after.relations):,} relations."
    )
    if before is None:
        return f"There was no complete graph before to compare with. {now}"
    return f"{describe_changes(compare(before, after))}\n\n{now}"


def _metrics(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    if after is None:
        return "There are none: a stage failed."
    if before == after:
        return "Nothing changed in the metrics."
    return metrics_table(before, after)
