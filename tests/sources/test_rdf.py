"""RDF dumps as graphs."""

import gzip
from pathlib import Path

import pytest

from imf_core.base.errors import DataError
from imf_core.graph.issues import DataIssue
from imf_core.sources.rdf import MAX_DESCRIPTION_CHARACTERS, RdfImport, write_rdf_as_folder

PREFIXES = """
@prefix : <http://example.org/> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix schema: <http://schema.org/> .
@prefix foaf: <http://xmlns.com/foaf/0.1/> .
"""
A, B = "http://example.org/a", "http://example.org/b"


def convert(tmp_path: Path, content: str, name: str = "graph.ttl") -> tuple[RdfImport, Path]:
    source = tmp_path / name
    data = ((PREFIXES if ".ttl" in name else "") + content).encode()
    source.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return write_rdf_as_folder(source, tmp_path / "raw"), tmp_path / "raw"


def issue(found: RdfImport, kind: str) -> DataIssue:
    return next(each for each in found.issues if each.kind == kind)


@pytest.mark.parametrize("name", ["graph.nt", "graph.ttl", "graph.nt.gz", "graph.ttl.gz"])
def test_statements_between_two_iris_become_facts(tmp_path: Path, name: str) -> None:
    line = f"<{A}> <http://example.org/knows> <{B}> .\n"
    found, raw = convert(tmp_path, line, name)
    assert found == RdfImport(facts=1, literals=0, images=0)
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
        ('"Bürgersteig"@de, "Pavement"@en-GB', "Pavement"),
        ('"Bürgersteig"@de, "Pavement"@EN-gb, "Sidewalk"@en', "Sidewalk"),
        ('"Bürgersteig"@de, "Footpath"@en-Latn-AU', "Footpath"),
        ('"Bürgersteig"@de, "Sidewalk"@EN', "Sidewalk"),
        ('"b"@en-US, "c"@en-GB', "c"),
        ('"Gehsteig"@de-AT, "Trottoir"@de, "Trotuar"@az-Latn', "Trotuar"),
        ('"Gehsteig"@de-AT, "Trottoir"@de, "x"@x-private', "Trottoir"),
        ('"Bürgersteig"@de, "X-7"@mul', "X-7"),
        ('"X-7"@mul, "Sidewalk"@en-CA', "Sidewalk"),
        ('"Bürgersteig"@de, "enm"@enm', "Bürgersteig"),
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


def test_numbers_and_dates_become_lines_of_one_value_each(tmp_path: Path) -> None:
    xsd = "http://www.w3.org/2001/XMLSchema#"
    values = [("12", "integer"), ("1910", "gYear"), ("5\\t6", "integer"), ("x", "string")]
    literals = ", ".join(f'"{value}"^^<{xsd}{kind}>' for value, kind in values)
    _, raw = convert(tmp_path, f":a :in :b ; :size {literals} .")
    lines = [
        tuple(line.split("\t")) for line in (raw / "entity2number.txt").read_text().splitlines()
    ]
    assert [(entity, value) for entity, _, value in lines] == [(A, "12"), (A, "1910"), (A, "5 6")]


def test_descriptions_follow_the_same_order_of_languages(tmp_path: Path) -> None:
    content = ':a :in :b ; rdfs:comment "ein Weg"@de, "a way"@en-GB .'
    _, raw = convert(tmp_path, content)
    assert (raw / "entity2desc.txt").read_text() == f"{A}\ta way\n"


def test_a_long_description_is_cut_and_counted(tmp_path: Path) -> None:
    content = f':a :in :b ; rdfs:comment "{"x" * 5000}" . :b rdfs:comment "{"y" * 2000}" .'
    found, raw = convert(tmp_path, content)
    one, two = (raw / "entity2desc.txt").read_text().splitlines()
    assert len(one) - len(f"{A}\t") == len(two) - len(f"{B}\t") == MAX_DESCRIPTION_CHARACTERS
    assert issue(found, "cut_texts").count == 1
    assert issue(found, "cut_texts").examples[0].startswith(f"{A}: xxx")


def test_a_long_text_in_a_language_that_is_not_taken_is_no_issue(tmp_path: Path) -> None:
    content = f':a :in :b ; rdfs:comment "{"x" * 5000}"@de, "short"@en .'
    assert convert(tmp_path, content)[0].issues == ()


def test_texts_of_subjects_without_facts_are_counted_and_shown(tmp_path: Path) -> None:
    content = """:a :in :b ; :size 3 . :in rdfs:label "in" . :size rdfs:label "size" .
        :lonely rdfs:label "Alone" . :other rdfs:comment "One", "Two" ; :p "x" . :no :p "" ."""
    found, raw = convert(tmp_path, content)
    assert issue(found, "texts_without_entity").examples == (
        "http://example.org/lonely: Alone",
        "http://example.org/other: One p: x",
        "http://example.org/no: ",
    )
    assert "lonely" not in (raw / "entity2desc.txt").read_text()


def test_literals_are_not_kept_beyond_the_length_of_a_description(tmp_path: Path) -> None:
    facts = "".join(f':p{i} "{"x" * 99}" ; ' for i in range(500))
    found, raw = convert(tmp_path, f":a {facts} :in :b .")
    assert issue(found, "cut_texts").count == 1
    _, text = (raw / "entity2desc.txt").read_text().rstrip("\n").split("\t")
    assert len(text) == MAX_DESCRIPTION_CHARACTERS
    assert "p 499" not in text


def test_pictures_become_an_image_index_and_no_facts(tmp_path: Path) -> None:
    content = """:a :in :b ; foaf:depiction <http://example.org/2.png> ;
        schema:image "https://example.org/1.png", <file:///etc/passwd>, "1.png" ."""
    found, raw = convert(tmp_path, content)
    assert (found.facts, found.images) == (1, 2)
    assert issue(found, "pictures_without_url").examples == (
        f"{A} http://schema.org/image file:///etc/passwd",
        f"{A} http://schema.org/image 1.png",
    )
    lines = (raw / "image_index.tsv").read_text().splitlines()
    assert lines == [f"{A}\thttp://example.org/2.png", f"{A}\thttps://example.org/1.png"]


def test_blank_nodes_are_left_out_and_counted(tmp_path: Path) -> None:
    found, raw = convert(tmp_path, ":a :in :b . :a :has [ :size 3 ] .")
    assert (found.facts, issue(found, "blank_nodes").count) == (1, 2)
    assert issue(found, "blank_nodes").examples[1] == f"<{A}> <http://example.org/has> []"
    assert "_:" not in (raw / "train.txt").read_text()


def test_the_same_dump_gives_the_same_bytes(tmp_path: Path) -> None:
    content = ':b :in :a ; :p "x" ; :q "y" . :a :in :b, [ :in :a ] ; rdfs:label "A" .'
    folders, issues = [], set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        found, raw = convert(tmp_path / name, content)
        folders.append(raw)
        issues.add(found.issues)
    assert len(issues) == 1
    one, two = ({path.name: path.read_bytes() for path in each.iterdir()} for each in folders)
    assert one == two


def test_a_statement_that_cannot_be_read_is_an_issue_and_no_end(tmp_path: Path) -> None:
    found, raw = convert(tmp_path, f"<{A}> <{A}> <{B}> .\n<{A}> <{B}> b .\n", "graph.nt")
    assert found.facts == 1
    assert issue(found, "unreadable_statements").examples[0].startswith("line 2, ")
    assert (raw / "train.txt").read_text() == f"{A}\t{A}\t{B}\n"


def test_a_refused_dump_leaves_no_facts_behind(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        convert(tmp_path, f"<{A}> <{A}> <{B}> .\n<{A}> \n<{A}> \n", "graph.nt")
    assert list((tmp_path / "raw").iterdir()) == []


def test_a_dump_without_facts_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no fact: .*\(texts 1, .*without an IRI 0\)"):
        convert(tmp_path, f'<{A}> <{A}> "text" .\n', "graph.nt")
