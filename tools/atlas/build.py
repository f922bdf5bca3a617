"""Writes the embedded data set: countries of the world, with flags drawn from a specification.

    python -m tools.atlas.build

In: the tables and the flag specifications beside this file. Out: `imf_core/sources/atlas`, a folder
in the format that users bring (`docs/your-graph.md`). The folder is committed; run this after a
change of a table or a flag.
"""

from pathlib import Path

from imf_core.base.artifacts import atomic_path, write_text
from imf_core.base.errors import DataError
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
from tools.atlas.tables import Fact, Tables, entity_label, read_tables

TABLES = Path(__file__).parent


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
