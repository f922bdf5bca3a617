"""Pictures and entities of a dump are told apart."""

from pathlib import Path

import pytest

from imf_core.sources.rdf import RdfImport, write_rdf_as_folder

PREFIXES = """@prefix : <http://e/> .
@prefix wdt: <http://www.wikidata.org/prop/direct/> .
@prefix dc: <http://purl.org/dc/terms/> .
@prefix foaf: <http://xmlns.com/foaf/0.1/> .
:a :near :b .
"""


def convert(tmp_path: Path, content: str) -> tuple[RdfImport, list[str], list[str]]:
    """Returns the import, the facts after the first, and the URLs of pictures."""
    (tmp_path / "graph.ttl").write_text(PREFIXES + content)
    found = write_rdf_as_folder(tmp_path / "graph.ttl", tmp_path / "raw")
    index = tmp_path / "raw/image_index.tsv"
    lines = index.read_text().splitlines() if index.exists() else []
    facts = (tmp_path / "raw/train.txt").read_text().splitlines()
    return found, facts[1:], [each.split("\t")[1] for each in lines]


@pytest.mark.parametrize(
    "picture",
    [
        "<http://commons.wikimedia.org/wiki/Special:FilePath/Map>",
        "<https://commons.wikimedia.org/wiki/Special:FilePath/Coat.svg?width=120>",
        "<https://wiki.e/wiki/Special:FilePath/Coat.svg>",
        "<https://commons.wikimedia.org/w/index.php?title=Special:Redirect/file/A.png&width=300>",
        "<https://wiki.e/wiki/special%3Afilepath/A>",
        "<http://img.e/e4.PNG>",
        "<http://img.e/e4.jpeg?width=300#top>",
        '"https://img.e/logo.svg"',
        '"https://img.e/logo.webp"^^<http://www.w3.org/2001/XMLSchema#anyURI>',
    ],
)
@pytest.mark.parametrize("relation", ["wdt:P41", "wdt:P154", ":logo"])
def test_an_object_at_a_picture_is_one_whatever_the_property(
    tmp_path: Path, picture: str, relation: str
) -> None:
    found, facts, urls = convert(tmp_path, f":a {relation} {picture} .")
    assert (found.facts, found.literals, found.images, found.issues) == (1, 0, 1, ())
    assert facts == []
    assert urls == [picture.split("^^", maxsplit=1)[0].strip('<>"')]


@pytest.mark.parametrize(
    "tail",
    [
        "<http://e/index.php?file=a.png>",
        "<http://e/page#a.png>",
        "<http://e.png>",
        "<http://e/Special:FilePath>",
        "<http://e/jpg>",
        "<http://e/a.pngs>",
        "<urn:x:a.png>",
    ],
)
def test_an_iri_that_only_resembles_a_picture_is_an_entity(tmp_path: Path, tail: str) -> None:
    found, facts, urls = convert(tmp_path, f":a :in {tail} .")
    assert (found.facts, len(facts), urls) == (2, 1, [])


@pytest.mark.parametrize("text", ['"see https://img.e/a.png"', '"a.png"', '"file:///a/b.png"'])
def test_a_text_about_a_picture_is_a_text(tmp_path: Path, text: str) -> None:
    found, _, urls = convert(tmp_path, f":a :note {text} .")
    assert (found.literals, urls) == (1, [])


def test_an_iri_with_facts_of_its_own_is_an_entity_although_it_ends_as_a_picture(
    tmp_path: Path,
) -> None:
    mona = "<http://e/painting/mona.jpg>"
    content = (
        f":a :owns {mona} . {mona} a :Painting ; :paintedBy :leonardo ; dc:creator :leonardo ."
    )
    found, facts, urls = convert(tmp_path, content)
    assert (found.facts, urls, found.issues) == (5, [], ())
    assert {each.split("\t")[1].rsplit("/")[-1] for each in facts} == {
        "owns",
        "paintedBy",
        "22-rdf-syntax-ns#type",
        "creator",
    }


def test_the_licence_and_thumbnail_of_a_picture_make_it_no_entity(tmp_path: Path) -> None:
    picture = "<http://img.e/a.png>"
    content = f""":a :shows {picture} . {picture} a foaf:Image ; dc:rights <http://e/licence> ;
        foaf:thumbnail <http://img.e/small.png> ."""
    found, facts, urls = convert(tmp_path, content)
    assert (facts, urls) == ([], ["http://img.e/a.png"])
    assert [(each.kind, each.count) for each in found.issues] == [("statements_about_pictures", 3)]


def test_a_file_of_a_wiki_is_never_an_entity(tmp_path: Path) -> None:
    file = "<http://commons.wikimedia.org/wiki/Special:FilePath/A.jpg>"
    found, facts, urls = convert(tmp_path, f':a :in {file} . {file} :by :b ; :title "A" .')
    assert (facts, len(urls)) == ([], 1)
    assert [(each.kind, each.count) for each in found.issues] == [("statements_about_pictures", 2)]


def test_the_page_of_a_file_gives_the_file(tmp_path: Path) -> None:
    _, _, urls = convert(tmp_path, ":a :in <https://commons.wikimedia.org/wiki/File:A_b.jpg> .")
    assert urls == ["https://commons.wikimedia.org/wiki/Special:FilePath/A_b.jpg"]


@pytest.mark.parametrize(
    ("iri", "url"),
    [
        ("Special:FilePath/Flag%20of%20X.svg", "Special:FilePath/Flag%20of%20X.svg?width=330"),
        ("Special:Redirect/file/Coat.SVG", "Special:Redirect/file/Coat.SVG?width=330"),
        ("File:A_b.svg", "Special:FilePath/A_b.svg?width=330"),
    ],
)
def test_a_drawing_on_wikimedia_is_asked_for_at_a_width_so_that_it_comes_as_png(
    tmp_path: Path, iri: str, url: str
) -> None:
    wiki = "https://commons.wikimedia.org/wiki/"
    _, _, urls = convert(tmp_path, f":a :flag <{wiki}{iri}> .")
    assert urls == [f"{wiki}{url}"]


def test_a_picture_without_a_web_address_is_left_out_and_counted(tmp_path: Path) -> None:
    found, facts, urls = convert(tmp_path, ":a :logo <file:///home/me/a.png> .")
    assert (facts, urls) == ([], [])
    assert [(each.kind, each.count) for each in found.issues] == [("pictures_without_url", 1)]


def test_a_literal_with_white_space_cannot_write_lines_of_the_index(tmp_path: Path) -> None:
    text = "http://img.e/a.png\\n:b\\t/etc/passwd"
    found, _, urls = convert(tmp_path, f':a foaf:img "{text}", "http://img.e/b.png" .')
    assert urls == ["http://img.e/b.png"]
    assert [(each.kind, each.count) for each in found.issues] == [("pictures_without_url", 1)]
