"""The embedded data set: its writer on tiny tables, and its real tables."""

import filecmp
import re
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image, ImageChops
from tiny_world import ROOT

from imf_core.base.config import PrepareParams
from imf_core.base.errors import DataError
from imf_core.prepare.prepare import prepare_graph
from imf_core.sources.registry import EMBEDDED
from tools.atlas.build import (
    COUNTRY_RELATIONS,
    TABLES,
    Fact,
    Tables,
    entity_label,
    read_tables,
    write_atlas,
)
from tools.atlas.flag_specs import DESIGNS

COUNTRY_COLUMNS = "\t".join(["code", "name", *COUNTRY_RELATIONS, "description"])
LANDLOCKED = ("", "", "")
A_AND_B = [
    ("AAA", "Aland", "Alpha", "Aish; Bish", "Coin", "North", "", "BBB", *LANDLOCKED, "left"),
    ("BBB", "Bland", "Beta", "Bish", "Coin", "North", "", "AAA", *LANDLOCKED, "right"),
]
ENTITIES = [
    "city\tAlpha\tOn a hill.",
    "city\tBeta\tOn a river.",
    "language\tAish\tSung.",
    "language\tBish\tSpoken.",
    "currency\tCoin\tRound.",
    "subregion\tNorth\tCold.",
    "side\tLeft\tOne way.",
    "side\tRight\tThe other.",
    "government\tRepublic\tOf the many.",
    "colour\tLight blue\tAs the sky.",
    "colour\tRed\tAs a rose.",
    "flag_design\tVertical bands\tSide by side.",
]
FLAGS = """
AAA: {ratio: "2:3", colours: [light_blue, red], layers: [{vertical: [light_blue, red]}]}
BBB: null
"""


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    folder = tmp_path / "tables"
    folder.mkdir()
    rows = ["\t".join([*row, "Republic", "Green."]) for row in A_AND_B]
    (folder / "countries.tsv").write_text("\n".join([COUNTRY_COLUMNS, *rows]) + "\n")
    (folder / "entities.tsv").write_text("\n".join(["kind\tname\tdescription", *ENTITIES]) + "\n")
    (folder / "facts.tsv").write_text(
        "kind\tname\trelation\ttail_kind\ttail_name\nlanguage\tAish\trelated_to\tlanguage\tBish\n"
    )
    (folder / "flags.yaml").write_text(FLAGS)
    return folder


def edit(path: Path, old: str, new: str) -> None:
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))


def write(tables: Path, name: str = "raw") -> Path:
    folder = tables.parent / name
    write_atlas(folder, tables, tables / "flags.yaml")
    return folder


def test_tables_become_sorted_facts(tables: Path) -> None:
    lines = (write(tables) / "train.txt").read_text().splitlines()
    assert lines == sorted(lines)
    assert set(lines) >= {
        "country/AAA\tcapital\tcity/Alpha",
        "country/AAA\tofficial_language\tlanguage/Bish",
        "country/AAA\tborders\tcountry/BBB",
        "country/BBB\tborders\tcountry/AAA",
        "country/BBB\tdrives_on\tside/Right",
        "country/AAA\tflag_colour\tcolour/Light_blue",
        "country/AAA\tflag_design\tflag_design/Vertical_bands",
        "language/Aish\trelated_to\tlanguage/Bish",
    }
    assert len(lines) == 2 * 7 + 1 + 2 + 1 + 1


def test_names_descriptions_and_relation_names_are_written(tables: Path) -> None:
    folder = write(tables)
    assert "country/AAA\tAland\n" in (folder / "entity2name.txt").read_text()
    assert "colour/Light_blue\tAs the sky.\n" in (folder / "entity2desc.txt").read_text()
    assert "flag_colour\tflag colour\n" in (folder / "relation2name.txt").read_text()


def test_only_a_country_with_a_flag_has_an_image(tables: Path) -> None:
    folder = write(tables)
    assert (folder / "image_index.tsv").read_text() == "country/AAA\timages/AAA.png\n"
    assert [path.name for path in (folder / "images").iterdir()] == ["AAA.png"]
    assert (folder / "images/AAA.png").read_bytes().startswith(b"\x89PNG")


def test_writing_twice_gives_the_same_bytes(tables: Path) -> None:
    one, two = write(tables, "one"), write(tables, "two")
    for path in one.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (two / path.relative_to(one)).read_bytes()


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("countries.tsv", "Alpha", "Gamma", r"countries\.tsv, line 2: capital: there is no city/G"),
        ("countries.tsv", "\tBBB\t", "\t\t", r"line 3: country/BBB borders country/AAA, but not"),
        ("countries.tsv", "Bish\tCoin", "Bish; Bish\tCoin", r"line 2: .* is stated already"),
        ("countries.tsv", "Aland", "", r"line 2: name must hold a trimmed text, got ''"),
        ("countries.tsv", "Green.", "Green.\tmore", r"line 2: expected 14 cells, got 15"),
        ("countries.tsv", "code\t", "kode\t", r"line 1: expected the columns code, name"),
        ("entities.tsv", "city\tBeta", "city\tAlpha", r"entities\.tsv, line 3: city/Alpha stands"),
        (
            "facts.tsv",
            "\tBish",
            "\tDish",
            r"facts\.tsv, line 2: related_to: there is no language/D",
        ),
        ("flags.yaml", "BBB", "CCC", r"flags\.yaml: BBB, CCC stand there or in countries\.tsv"),
        ("entities.tsv", "colour\tRed", "colour\tPink", r"AAA: there is no colour/Red"),
        (
            "entities.tsv",
            "design\tVertical",
            "design\tUpright",
            r"flags\.yaml: AAA: there is no flag_design/Vertical_bands in entities\.tsv",
        ),
        ("flags.yaml", "[light_blue, red], l", "[pink], l", "AAA.*pink"),
    ],
)
def test_a_fault_in_a_table_is_named_with_file_line_and_value(
    tables: Path, file: str, old: str, new: str, message: str
) -> None:
    edit(tables / file, old, new)
    with pytest.raises(DataError, match=message):
        write(tables)


# The real tables.


@pytest.fixture(scope="module")
def atlas() -> Tables:
    return read_tables(TABLES)


@pytest.fixture
def prepare_params() -> PrepareParams:
    return PrepareParams(
        split="leak-free", test="as-given", valid_fraction=0.1, test_fraction=0.1, seed=0
    )


@pytest.fixture(scope="module")
def atlas_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("atlas")
    write_atlas(folder)
    return folder


def test_the_committed_folder_is_what_the_builder_writes(atlas_folder: Path) -> None:
    committed = EMBEDDED / "atlas"
    assert filecmp.dircmp(committed, atlas_folder).diff_files == []
    names = [
        sorted(path.name for path in (folder / "images").iterdir())
        for folder in (committed, atlas_folder)
    ]
    assert names[0] == names[1]
    for name in names[0]:
        # Pixels, not bytes: libraries compress differently.
        drawn, kept = (Image.open(folder / "images" / name) for folder in (atlas_folder, committed))
        assert ImageChops.difference(drawn, kept).getbbox() is None


@pytest.fixture(scope="module")
def atlas_facts(atlas_folder: Path) -> list[Fact]:
    lines = (atlas_folder / "train.txt").read_text(encoding="utf-8").splitlines()
    return [Fact(*line.split("\t")) for line in lines]


def test_the_atlas_has_195_countries(atlas: Tables) -> None:
    assert len(set(atlas.country_codes)) == len(atlas.country_codes) == 195
    assert all(re.fullmatch("[A-Z]{3}", code) for code in atlas.country_codes)


def test_the_atlas_has_1132_entities_and_20_relations(
    atlas: Tables, atlas_facts: list[Fact]
) -> None:
    assert len(atlas.entities) == 1132
    assert len({fact.relation for fact in atlas_facts}) == 20


def test_the_readme_counts_the_atlas_as_it_is(atlas: Tables, atlas_facts: list[Fact]) -> None:
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"({len(atlas.entities):,} entities, {len(atlas_facts):,} facts" in text


def test_the_designs_of_the_atlas_are_those_its_flags_can_have(
    atlas: Tables, atlas_facts: list[Fact]
) -> None:
    designs = {entity_label("flag_design", name) for name in DESIGNS}
    assert {label for label in atlas.entities if label.startswith("flag_design/")} == designs
    assert {fact.tail for fact in atlas_facts if fact.relation == "flag_design"} == designs


def test_only_a_country_with_a_flag_has_a_design(
    atlas_folder: Path, atlas_facts: list[Fact]
) -> None:
    heads = {fact.head for fact in atlas_facts if fact.relation == "flag_design"}
    index = (atlas_folder / "image_index.tsv").read_text(encoding="utf-8").splitlines()
    assert heads <= {line.split("\t")[0] for line in index}


def test_every_country_has_one_capital_subregion_side_and_government(
    atlas: Tables, atlas_facts: list[Fact]
) -> None:
    for relation in ("capital", "subregion", "drives_on", "government"):
        heads = Counter(fact.head for fact in atlas_facts if fact.relation == relation)
        assert heads == {f"country/{code}": 1 for code in atlas.country_codes}


def test_every_entity_of_the_atlas_occurs_in_a_fact(atlas: Tables, atlas_facts: list[Fact]) -> None:
    used = {label for fact in atlas_facts for label in (fact.head, fact.tail)}
    assert sorted(atlas.entities.keys() - used) == []


def test_borders_in_the_atlas_are_symmetric(atlas_facts: list[Fact]) -> None:
    borders = {(fact.head, fact.tail) for fact in atlas_facts if fact.relation == "borders"}
    assert {(b, a) for a, b in borders} == borders
    assert not any(a == b for a, b in borders)


def test_no_description_names_what_a_fact_links_it_to(
    atlas: Tables, atlas_facts: list[Fact]
) -> None:
    told = []
    for fact in atlas_facts:
        for told_of, other in ((fact.head, fact.tail), (fact.tail, fact.head)):
            name = re.escape(atlas.entities[other].name)
            if re.search(rf"(?<!\w){name}(?!\w)", atlas.entities[told_of].description):
                told.append((told_of, fact.relation, other))
    assert told == []


def test_the_atlas_splits_without_a_leak(
    atlas: Tables, atlas_folder: Path, prepare_params: PrepareParams
) -> None:
    summary = prepare_graph(atlas_folder, "atlas", prepare_params).summary
    assert all(count == 0 for name, count in summary["leaks"].items() if name != "valid_new")
    assert 0.09 < summary["facts"]["test"] / sum(summary["facts"].values()) < 0.11
    assert summary["entities"]["with_name"] == len(atlas.entities)


def test_some_countries_of_the_atlas_have_no_flag(
    atlas_folder: Path, prepare_params: PrepareParams
) -> None:
    prepared = prepare_graph(atlas_folder, "atlas", prepare_params)
    assert 150 < prepared.summary["entities"]["with_image_source"] < 195
    assert all((atlas_folder / source).is_file() for source in prepared.images.sources)
