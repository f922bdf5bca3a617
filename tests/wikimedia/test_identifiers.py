"""From labels to items and articles."""

from pathlib import Path

import pytest

from imf_core.base.errors import DataError
from imf_core.wikimedia.identifiers import (
    Identifier,
    identify,
    is_freebase,
    parse_identifier,
    read_identifier_map,
)


@pytest.mark.parametrize(
    "label",
    [
        "Q42",
        "http://www.wikidata.org/entity/Q42",
        "https://www.wikidata.org/entity/Q42",
        "<http://www.wikidata.org/entity/Q42>",
        "https://www.wikidata.org/wiki/Q42",
        "https://m.wikidata.org/wiki/Q42",
        " https://wikidata.org/wiki/Q42 ",
    ],
)
def test_a_wikidata_item_is_known_in_each_of_its_spellings(label: str) -> None:
    assert parse_identifier(label) == Identifier("wikidata", "Q42")


@pytest.mark.parametrize(
    ("label", "site", "title"),
    [
        ("<http://dbpedia.org/resource/Douglas_Adams>", "enwiki", "Douglas Adams"),
        ("http://dbpedia.org/page/Islam", "enwiki", "Islam"),
        ("http://de.dbpedia.org/resource/Köln", "dewiki", "Köln"),
        ("<http://yago-knowledge.org/resource/AC/DC>", "enwiki", "AC/DC"),
        ("<http://yago-knowledge.org/resource/nl/UNAMIS>", "nlwiki", "UNAMIS"),
        ("https://en.wikipedia.org/wiki/Schleswig-Holstein", "enwiki", "Schleswig-Holstein"),
        ("https://en.m.wikipedia.org/wiki/Oslo#History", "enwiki", "Oslo"),
        ("https://fr.wikipedia.org/wiki/%C3%89tat_%3F", "frwiki", "État ?"),
        ("https://zh-yue.wikipedia.org/wiki/X", "zh_yuewiki", "X"),
        ("http://dbpedia.org/resource/eXistenZ__(film)", "enwiki", "EXistenZ (film)"),
        ("http://dbpedia.org/resource/Who_Is_It?", "enwiki", "Who Is It?"),
        ("http://dbpedia.org/resource/E\u0301tude", "enwiki", "Étude"),
    ],
)
def test_an_article_is_known_by_its_site_and_its_title_as_mediawiki_writes_it(
    label: str, site: str, title: str
) -> None:
    assert parse_identifier(label) == Identifier(site, title)


@pytest.mark.parametrize(
    "label",
    [
        "Oslo",
        "Q0",
        "Q9999999999",  # one number out of range would spoil the request for fifty
        "P31",
        "/m/06rf7",
        "http://www.wikidata.org/entity/P31",
        "https://example.org/wiki/Oslo",
        "http://www.wikipedia.org/wiki/Oslo",
        "http://dbpedia.org/resource/",
        "http://dbpedia.org/resource/A|B",
        "http://dbpedia.org/resource/%FF",
        "http://dbpedia.org/resource/..",
        "http://dbpedia.org/resource/" + "x" * 300,
    ],
)
def test_a_label_that_says_nothing_is_no_identifier(label: str) -> None:
    assert parse_identifier(label) is None


def test_a_page_for_people_belongs_to_each() -> None:
    assert Identifier("wikidata", "Q42").page == "https://www.wikidata.org/wiki/Q42"
    article = Identifier("zh_yuewiki", "A/B é")
    assert article.page == "https://zh-yue.wikipedia.org/wiki/A%2FB_%C3%A9"
    assert str(article) == "zh_yuewiki:A/B é"


@pytest.mark.parametrize(
    "label", ["/m/06rf7", "m.06rf7", "<http://rdf.freebase.com/ns/m.06rf7>", "m/06rf7"]
)
def test_a_freebase_id_is_known_through_the_map_in_each_of_its_spellings(
    label: str, tmp_path: Path
) -> None:
    path = tmp_path / "entity2wikidata.txt"
    path.write_text(
        "/m/06rf7\thttp://www.wikidata.org/entity/Q1194\thttps://en.wikipedia.org/wiki/X\r\n"
    )
    known, unknown = read_identifier_map(path)
    assert identify(label, known) == Identifier("wikidata", "Q1194")
    assert unknown == 0
    assert is_freebase(label)


def test_the_map_takes_precedence_over_the_label(tmp_path: Path) -> None:
    path = tmp_path / "entity2wikidata.txt"
    path.write_text("Q1\tQ2\nmine\thttp://dbpedia.org/resource/Oslo\nQ3\tno idea\n")
    known, unknown = read_identifier_map(path)
    assert identify("Q1", known) == Identifier("wikidata", "Q2")
    assert identify("mine", known) == Identifier("enwiki", "Oslo")
    assert identify("Q3", known) == Identifier("wikidata", "Q3")
    assert unknown == 1


def test_no_map_is_an_empty_one(tmp_path: Path) -> None:
    assert read_identifier_map(tmp_path / "entity2wikidata.txt") == ({}, 0)


@pytest.mark.parametrize("second", ["/m/0a", "m.0a", "<http://rdf.freebase.com/ns/m.0a>"])
def test_a_map_that_contradicts_itself_is_an_error_in_whatever_spelling(
    second: str, tmp_path: Path
) -> None:
    path = tmp_path / "entity2wikidata.txt"
    path.write_text(f"/m/0a\tQ1\n\n{second}\tQ2\n")
    message = r"entity2wikidata\.txt, line 3: .* is given Q2, but line 1 gives it Q1; keep one"
    with pytest.raises(DataError, match=message):
        read_identifier_map(path)


@pytest.mark.parametrize("second", ["/m/0a", "m.0a"])
def test_lines_of_a_map_that_say_the_same_otherwise_are_one(second: str, tmp_path: Path) -> None:
    path = tmp_path / "entity2wikidata.txt"
    path.write_text(f"/m/0a\tQ1\tone\n{second}\thttp://www.wikidata.org/entity/Q1\tanother\n")
    assert read_identifier_map(path) == ({"/m/0a": Identifier("wikidata", "Q1")}, 0)


@pytest.mark.parametrize("line", ["/m/0a Q1", "\tQ1"])
def test_a_line_of_a_map_without_label_or_tab_is_an_error(line: str, tmp_path: Path) -> None:
    path = tmp_path / "entity2wikidata.txt"
    path.write_text(f"m.0b\tQ2\n{line}\n")
    with pytest.raises(DataError, match=r"entity2wikidata\.txt, line 2: expected a label and an"):
        read_identifier_map(path)
