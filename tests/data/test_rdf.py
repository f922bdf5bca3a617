"""RDF dumps as graphs."""

import gzip
from pathlib import Path

import pytest

from imf_core.data.rdf import MAX_DESCRIPTION_CHARACTERS, RdfCounts, write_rdf_as_folder
from imf_core.errors import DataError

PREFIXES = """
@prefix : <http://example.org/> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix schema: <http://schema.org/> .
@prefix foaf: <http://xmlns.com/foaf/0.1/> .
"""
A, B = "http://example.org/a", "http://example.org/b"


def convert(tmp_path: Path, content: str, name: str = "graph.ttl") -> tuple[RdfCounts, Path]:
    source = tmp_path / name
    data = ((PREFIXES if ".ttl" in name else "") + content).encode()
    source.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return write_rdf_as_folder(source, tmp_path / "raw"), tmp_path / "raw"


@pytest.mark.parametrize("name", ["graph.nt", "graph.ttl", "graph.nt.gz", "graph.ttl.gz"])
def test_statements_between_two_iris_become_facts(tmp_path: Path, name: str) -> None:
    line = f"<{A}> <http://example.org/knows> <{B}> .\n"
    counts, raw = convert(tmp_path, line, name)
    assert counts == RdfCounts(facts=1)
    assert (raw / "train.txt").read_text() == f"{A}\thttp://example.org/knows\t{B}\n"
    assert [path.name for path in raw.iterdir()] == ["train.txt"]


def test_labels_of_entities_and_relations_become_names(tmp_path: Path) -> None:
    content = ':a :knows :b . :a rdfs:label "Anna" . :knows rdfs:label "is acquainted with" .'
    _, raw = convert(tmp_path, content)
    assert (raw / "entity2name.txt").read_text() == f"{A}\tAnna\n"
    assert (raw / "relation2name.txt").read_text().endswith("knows\tis acquainted with\n")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ('"Wien"@de, "Vienna"@en, "Vienne"@fr', "Vienna"),
        ('"Vienna"@en, "W."', "W."),
        ('"Wien"@de, "Vienne"@fr', "Wien"),
        ('"b"@en, "a"@en', "a"),
    ],
)
def test_one_name_is_taken_whatever_the_order(tmp_path: Path, labels: str, expected: str) -> None:
    _, raw = convert(tmp_path, f":a :in :b ; rdfs:label {labels} .")
    assert (raw / "entity2name.txt").read_text() == f"{A}\t{expected}\n"


def test_comments_and_other_literals_become_the_description(tmp_path: Path) -> None:
    content = """:a :in :b ; :numberOfPeople 12 ; :built "1910"^^:year ; rdfs:comment "A house\\tor
    two."@en ."""
    _, raw = convert(tmp_path, content.replace('"A house', '""" A house').replace('."@', '."""@'))
    expected = "A house or two. built: 1910; number of people: 12"
    assert (raw / "entity2desc.txt").read_text() == f"{A}\t{expected}\n"


def test_a_long_description_is_cut(tmp_path: Path) -> None:
    _, raw = convert(tmp_path, f':a :in :b ; rdfs:comment "{"x" * 5000}" .')
    _, text = (raw / "entity2desc.txt").read_text().rstrip("\n").split("\t")
    assert len(text) == MAX_DESCRIPTION_CHARACTERS


def test_literals_are_not_kept_beyond_the_length_of_a_description(tmp_path: Path) -> None:
    facts = "".join(f':p{i} "{"x" * 99}" ; ' for i in range(500))
    _, raw = convert(tmp_path, f":a {facts} :in :b .")
    _, text = (raw / "entity2desc.txt").read_text().rstrip("\n").split("\t")
    assert len(text) == MAX_DESCRIPTION_CHARACTERS
    assert "p 499" not in text


def test_pictures_become_an_image_index_and_no_facts(tmp_path: Path) -> None:
    content = """:a :in :b ; foaf:depiction <http://example.org/2.png> ;
        schema:image "https://example.org/1.png", <file:///etc/passwd>, "1.png" ."""
    counts, raw = convert(tmp_path, content)
    assert (counts.facts, counts.images, counts.images_without_url) == (1, 2, 2)
    lines = (raw / "image_index.tsv").read_text().splitlines()
    assert lines == [f"{A}\thttp://example.org/2.png", f"{A}\thttps://example.org/1.png"]


def test_blank_nodes_are_left_out_and_counted(tmp_path: Path) -> None:
    counts, raw = convert(tmp_path, ":a :in :b . :a :has [ :size 3 ] .")
    assert (counts.facts, counts.without_iri) == (1, 2)
    assert "_:" not in (raw / "train.txt").read_text()


def test_the_same_dump_gives_the_same_bytes(tmp_path: Path) -> None:
    content = ':b :in :a ; :p "x" ; :q "y" . :a :in :b ; rdfs:label "A" .'
    folders = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        folders.append(convert(tmp_path / name, content)[1])
    one, two = ({path.name: path.read_bytes() for path in each.iterdir()} for each in folders)
    assert one == two


def test_a_malformed_line_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"graph\.nt: .*line 2 column.*; mend the file"):
        convert(tmp_path, f"<{A}> <{A}> <{B}> .\n<{A}> <{B}> b .\n", "graph.nt")


def test_a_malformed_dump_leaves_no_facts_behind(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        convert(tmp_path, f"<{A}> <{A}> <{B}> .\n<{A}> ", "graph.nt")
    assert list((tmp_path / "raw").iterdir()) == []


def test_a_dump_without_facts_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no fact: .*\(literals 1, .*blank nodes 0\)"):
        convert(tmp_path, f'<{A}> <{A}> "text" .\n', "graph.nt")


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"graph\.xml must end in \.nt or \.ttl"):
        convert(tmp_path, "", "graph.xml")


def test_a_missing_dump_is_named_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset\.path: .*none\.nt cannot be read \(No such"):
        write_rdf_as_folder(tmp_path / "none.nt", tmp_path / "raw")


def test_a_cut_off_gzip_file_is_named(tmp_path: Path) -> None:
    content = "".join(f"<{A}> <{A}> <{B}{i}> .\n" for i in range(999))
    source = tmp_path / "graph.nt.gz"
    source.write_bytes(gzip.compress(content.encode())[:-50])
    with pytest.raises(DataError, match=r"graph\.nt\.gz is not a whole gzip file"):
        write_rdf_as_folder(source, tmp_path / "raw")
