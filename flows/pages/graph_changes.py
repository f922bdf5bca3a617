"""The differences between two snapshots of the graph: counts and examples."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from flows.pages.graph_snapshot import Snapshot
from imf_core.markdown import escape, table

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
