"""Writes the embedded data set: countries of the world, with flags drawn from a specification.

    python -m tools.atlas.build

In: the three tables and the flag specifications beside this file. Out: `imf_core/sources/atlas`, a
folder in the format that users bring (`docs/your-graph.md`). The folder is committed; run this
after a change of a table or a flag. Tables are tab-separated with a header line, lists separated by
"; ". Every reference must lead to an entity; an error names file, line and value.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imf_core.base.artifacts import atomic_path, write_text
from imf_core.base.errors import DataError
from imf_core.sources.formats import read_lines
from imf_core.sources.layout import (
    ENTITY_DESCRIPTIONS,
    ENTITY_NAMES,
    IMAGE_INDEX,
    RELATION_NAMES,
    TRAIN,
    ImageLine,
    write_image_index,
)
from imf_core.sources.registry import EMBEDDED
from tools.atlas.flag_specs import (
    FLAGS_PATH,
    FlagSpec,
    flag_colours,
    flag_design,
    load_flag_specs,
)
from tools.atlas.flags import draw_flag

COUNTRIES, ENTITIES, FACTS = "countries.tsv", "entities.tsv", "facts.tsv"

# Column of countries.tsv -> relation, kind of the tail.
COUNTRY_RELATIONS = {
    "capital": ("capital", "city"),
    "official_languages": ("official_language", "language"),
    "currencies": ("currency", "currency"),
    "subregion": ("subregion", "subregion"),
    "organisations": ("member_of", "organisation"),
    "borders": ("borders", "country"),
    "coasts": ("coast", "sea"),
    "waters": ("water", "water"),
    "landforms": ("landform", "landform"),
    "drives_on": ("drives_on", "side"),
    "government": ("government", "government"),
}

_COLUMNS = {
    COUNTRIES: ["code", "name", *COUNTRY_RELATIONS, "description"],
    ENTITIES: ["kind", "name", "description"],
    FACTS: ["kind", "name", "relation", "tail_kind", "tail_name"],
}

_MAY_BE_EMPTY = {
    "official_languages",
    "currencies",
    "organisations",
    "borders",
    "coasts",
    "waters",
    "landforms",
}

TABLES = Path(__file__).parent


@dataclass(frozen=True)
class Entity:
    """An entity of the atlas."""

    name: str
    description: str


@dataclass(frozen=True, order=True)
class Fact:
    """A fact, as labels."""

    head: str
    relation: str
    tail: str


@dataclass(frozen=True)
class Tables:
    """The content of the three tables.

    Attributes:
        entities: Label -> entity, countries included.
        facts: Facts in table order.
        country_codes: In table order.
    """

    entities: dict[str, Entity]
    facts: list[Fact]
    country_codes: list[str]


@dataclass(frozen=True)
class _Row:
    """One line of a table and its place."""

    place: str
    cells: dict[str, str]


def entity_label(kind: str, name: str) -> str:
    """Returns the label of an entity, such as `city/New_Delhi`."""
    return f"{kind}/{name.replace(' ', '_')}"


def read_tables(folder: Path) -> Tables:
    """Reads and checks the tables.

    Raises:
        DataError: If a table is missing or malformed, an entity or a fact occurs twice, a fact
            names an unknown entity, or only one side has a border.
    """
    countries = _read_table(folder / COUNTRIES)
    others = _read_table(folder / ENTITIES)
    entities: dict[str, Entity] = {}
    for row in countries:
        _add_entity(entities, row, entity_label("country", row.cells["code"]))
    for row in others:
        _add_entity(entities, row, entity_label(row.cells["kind"], row.cells["name"]))
    facts: dict[Fact, str] = {}
    stated = (*_country_facts(countries), *_other_facts(_read_table(folder / FACTS)))
    for fact, place in stated:
        for label in (fact.head, fact.tail):
            if label not in entities:
                raise DataError(f"{place}: {fact.relation}: there is no {label} in {ENTITIES}")
        if fact in facts:
            raise DataError(f"{place}: {fact} is stated already in {facts[fact]}; state it once")
        facts[fact] = place
    for fact, place in facts.items():
        if fact.relation == "borders" and Fact(fact.tail, "borders", fact.head) not in facts:
            raise DataError(
                f"{place}: {fact.head} borders {fact.tail}, but not the other way; state both"
            )
    return Tables(entities, list(facts), [row.cells["code"] for row in countries])


def _read_table(path: Path) -> list[_Row]:
    columns = _COLUMNS[path.name]
    lines, _ = read_lines(path)
    if not lines or lines[0][1].split("\t") != columns:
        raise DataError(f"{path}, line 1: expected the columns {', '.join(columns)}")
    rows = []
    for number, line in lines[1:]:
        cells = line.split("\t")
        place = f"{path}, line {number}"
        if len(cells) != len(columns):
            raise DataError(f"{place}: expected {len(columns)} cells, got {len(cells)}: {line!r}")
        row = _Row(place, dict(zip(columns, cells, strict=True)))
        for column, cell in row.cells.items():
            if cell != cell.strip() or (not cell and column not in _MAY_BE_EMPTY):
                raise DataError(f"{place}: {column} must hold a trimmed text, got {cell!r}")
        rows.append(row)
    return rows


def _add_entity(entities: dict[str, Entity], row: _Row, label: str) -> None:
    """Adds a new entity."""
    if label in entities:
        raise DataError(f"{row.place}: {label} stands twice; keep one line")
    entities[label] = Entity(row.cells["name"], row.cells["description"])


def _country_facts(countries: list[_Row]) -> Iterator[tuple[Fact, str]]:
    """Yields the facts in the columns of countries.tsv, each with its place."""
    for row in countries:
        head = entity_label("country", row.cells["code"])
        for column, (relation, kind) in COUNTRY_RELATIONS.items():
            for value in filter(None, row.cells[column].split("; ")):
                name = value.capitalize() if kind == "side" else value
                yield Fact(head, relation, entity_label(kind, name)), row.place


def _other_facts(rows: list[_Row]) -> Iterator[tuple[Fact, str]]:
    """Yields the facts of facts.tsv, each with its place."""
    for row in rows:
        cells = row.cells
        head = entity_label(cells["kind"], cells["name"])
        tail = entity_label(cells["tail_kind"], cells["tail_name"])
        yield Fact(head, cells["relation"], tail), row.place


def write_atlas(folder: Path, tables: Path = TABLES, flags: Path = FLAGS_PATH) -> None:
    """Writes the atlas as a folder: `train.txt` with all facts, texts, and one PNG per flag.

    Args:
        folder: Output folder.
        tables: Folder with `countries.tsv`, `entities.tsv` and `facts.tsv`.
        flags: YAML file with the flag of each country, null for none.

    Raises:
        DataError: If a table is malformed or the tables contradict each other or the flags.
    """
    atlas = read_tables(tables)
    specs = _flags_of(atlas, flags)
    facts = sorted([*atlas.facts, *_flag_facts(atlas, specs, flags)])
    relations = sorted({fact.relation for fact in facts})
    labels = sorted(atlas.entities)
    _write_rows(folder / TRAIN, [(fact.head, fact.relation, fact.tail) for fact in facts])
    _write_rows(folder / ENTITY_NAMES, [(label, atlas.entities[label].name) for label in labels])
    _write_rows(
        folder / ENTITY_DESCRIPTIONS,
        [(label, atlas.entities[label].description) for label in labels],
    )
    _write_rows(folder / RELATION_NAMES, [(name, name.replace("_", " ")) for name in relations])
    index = []
    for code, spec in specs.items():
        image = f"images/{code}.png"
        with atomic_path(folder / image) as temporary:
            draw_flag(spec).save(temporary, format="PNG", optimize=True)
        index.append(ImageLine(entity_label("country", code), image, ""))
    write_image_index(folder / IMAGE_INDEX, index)


def _flags_of(atlas: Tables, flags: Path) -> dict[str, FlagSpec]:
    """Returns the existing flags in the order of their codes."""
    try:
        specs = load_flag_specs(flags)
    except ValueError as error:
        raise DataError(str(error)) from error
    wrong = sorted(set(specs) ^ set(atlas.country_codes))
    if wrong:
        raise DataError(
            f"{flags}: {', '.join(wrong)} stand there or in countries.tsv, but not in both; give "
            "every country a flag or null"
        )
    return {code: spec for code, spec in sorted(specs.items()) if spec is not None}


def _flag_facts(atlas: Tables, specs: dict[str, FlagSpec], flags: Path) -> list[Fact]:
    """Returns the facts about colours and designs of the flags."""
    facts = []
    for code, spec in specs.items():
        colours = [colour.replace("_", " ").capitalize() for colour in flag_colours(spec)]
        tails = [("flag_colour", entity_label("colour", colour)) for colour in colours]
        tails += [("flag_design", entity_label("flag_design", name)) for name in flag_design(spec)]
        for relation, tail in tails:
            if tail not in atlas.entities:
                raise DataError(f"{flags}: {code}: there is no {tail} in entities.tsv")
            facts.append(Fact(entity_label("country", code), relation, tail))
    return facts


def _write_rows(path: Path, rows: list[tuple[str, ...]]) -> None:
    write_text(path, "".join("\t".join(row) + "\n" for row in rows))


if __name__ == "__main__":
    write_atlas(EMBEDDED / "atlas")
