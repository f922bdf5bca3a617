"""Statements of an RDF dump, and errors of unreadable ones."""

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from imf_core.base.errors import DataError
from imf_core.graph.issues import IssueTally
from imf_core.sources.rdf_reader import MAX_LINE_BYTES, MAX_NESTING, read_statements

PREFIX = "@prefix : <http://e/> .\n"


def line(head: str, tail: str = "<http://e/b>") -> str:
    return f"<http://e/{head}> <http://e/p> {tail} .\n"


def read(tmp_path: Path, content: bytes | str, name: str) -> tuple[list[str], IssueTally]:
    """Returns the last letter of each head, and the bad statements."""
    source = tmp_path / name
    source.write_bytes(content.encode() if isinstance(content, str) else content)
    bad = IssueTally("bad", "bad")
    return [each.subject.value[-1] for each in read_statements(source, bad)], bad


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        ("<http://e/Springfield, Ohio>", "Invalid IRI code point ' '"),
        ("<http://e/x?foo[]=1>", "Invalid IRI code point '['"),
        ("<http://e/#a#b>", "Invalid IRI code point '#'"),
        ("<http://e/100%>", "Invalid IRI percent encoding"),
        ("<www.e.org/b>", "a relative IRI, and no base for it"),
        ('"C:\\new \\q"', "Unexpected escape character"),
        ('"x"@e_n', "The given language subtag is invalid"),
        ('"\\uD800"', "The escape sequence"),
        ('"without an end', "Unexpected end of file"),
        ("<http://e/b> <http://e/c> <http://e/d>", "Quads must be followed by a dot"),
        ("", "The object of a triple must be"),
    ],
)
@pytest.mark.parametrize("name", ["graph.nt", "graph.nq"])
def test_one_bad_line_costs_that_line_alone(
    tmp_path: Path, tail: str, reason: str, name: str
) -> None:
    heads, bad = read(tmp_path, line("a") + line("x", tail) + line("b", '"t"') + line("c"), name)
    assert heads == ["a", "b", "c"]
    assert (bad.count, len(bad.examples)) == (1, 1)
    assert bad.examples[0].startswith("line 2, ")
    assert f"<http://e/x> <http://e/p> {tail}".strip() in bad.examples[0]
    if name == "graph.nt" or "Quads" not in reason:
        assert reason in bad.examples[0]


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (":x :p <http://e/a b> .", "Invalid IRI code point ' '"),
        (":x :p <b> .", "a relative IRI, and no base for it"),
        (':x :p "C:\\q" .', "Unexpected escape character"),
        (':x :p "x"@e_n .', "The given language subtag is invalid"),
        (":x :p other:x .", "The prefix other: has not been declared"),
    ],
)
@pytest.mark.parametrize("name", ["graph.ttl", "graph.trig"])
def test_turtle_goes_on_behind_the_full_stop_of_a_bad_statement(
    tmp_path: Path, statement: str, reason: str, name: str
) -> None:
    content = f"{PREFIX}:a :p :b .\n{statement}\n:b :p :c .\n:c :p :d .\n"
    heads, bad = read(tmp_path, content, name)
    assert heads == ["a", "b", "c"]
    assert bad.examples == [f"line 3, {reason}" + bad.examples[0].split(reason)[1]]
    assert bad.examples[0].endswith(statement)


@pytest.mark.parametrize("name", ["graph.nt", "graph.ttl"])
def test_a_byte_that_is_not_utf_8_costs_its_statement_alone(tmp_path: Path, name: str) -> None:
    bad_line = b'<http://e/x> <http://e/p> "caf\xe9" .\n'
    content = line("a").encode() + bad_line + line("b", '"caf\u00e9"').encode()
    heads, bad = read(tmp_path, content, name)
    assert heads == ["a", "b"]
    assert bad.examples == [
        'line 2, a byte that is not UTF-8: <http://e/x> <http://e/p> "caf\\xe9" .'
    ]


def test_lines_are_counted_through_all_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imf_core.sources.rdf_reader._BLOCK_BYTES", 100)
    lines = [line("a") for _ in range(50)]
    lines[6] = lines[36] = "# no statement\n"
    lines[30] = line("x", "<a b>")
    heads, bad = read(tmp_path, "".join(lines), "graph.nt")
    assert len(heads) == 47
    assert [each.split(",")[0] for each in bad.examples] == ["line 31"]


def test_windows_line_ends_are_read(tmp_path: Path) -> None:
    content = (line("a") + line("x", "<a b>") + line("b")).replace("\n", "\r\n")
    for name in ("graph.nt", "graph.ttl"):
        heads, bad = read(tmp_path, content, name)
        assert heads == ["a", "b"]
        assert bad.examples[0].startswith("line 2, ")


def test_an_iri_over_several_lines_costs_these_lines(tmp_path: Path) -> None:
    content = f"{PREFIX}:a :p :b .\n:x :p <http://b .\n:y :p <http://c> .\n:b :p :c .\n:c :p :d ."
    heads, bad = read(tmp_path, content, "graph.ttl")
    assert heads == ["a", "b", "c"]
    assert bad.examples == ["lines 3 to 4, Invalid IRI code point ' ': :x :p <http://b ."]


@pytest.mark.parametrize("quote", ['"', '"""'])
def test_a_literal_without_an_end_in_turtle_is_named_with_its_line(
    tmp_path: Path, quote: str
) -> None:
    content = f"{PREFIX}:a :p :b .\n:x :p {quote}open .\n" + ':b :p "c" .\n' * 3
    with pytest.raises(DataError, match=r"graph\.ttl, line 3: a literal or IRI has no end"):
        read(tmp_path, content, "graph.ttl")


def test_a_statement_too_long_for_the_parser_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imf_core.sources.rdf_reader.MAX_LINE_BYTES", 1 << 20)
    content = line("a") + line("x", f'"{"x" * (5 << 20)}"') + line("b") + line("c")
    heads, bad = read(tmp_path, content, "graph.nt")
    assert heads == ["a", "b", "c"]
    assert bad.examples[0].startswith("line 2, ")


def test_a_literal_too_long_for_the_parser_is_named(tmp_path: Path) -> None:
    content = f'{PREFIX}:a :p "{"x" * (MAX_LINE_BYTES + 9)}" .'
    with pytest.raises(DataError, match=r"line 2: a literal is longer than 16 MiB"):
        read(tmp_path, content, "graph.ttl")


@pytest.mark.parametrize("name", ["graph.nt", "graph.ttl", "graph.nq", "graph.trig"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_byte_order_mark_is_skipped(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes]
) -> None:
    heads, bad = read(tmp_path, pack(b"\xef\xbb\xbf" + line("a").encode()), name)
    assert (heads, bad.count) == (["a"], 0)


@pytest.mark.parametrize("declaration", ["@prefix : <#> .", "PREFIX : <>", "@base <x/> ."])
def test_a_dump_without_a_base_gets_the_advice_to_add_one(tmp_path: Path, declaration: str) -> None:
    subject = "<a>" if "base" in declaration else ":a"
    content = f"# mine\n{declaration}\n{subject} {subject} {subject} ."
    with pytest.raises(DataError, match=r"line 2, a relative IRI.*add `@base <http"):
        read(tmp_path, content, "graph.ttl")


def test_relative_iris_are_read_with_a_base(tmp_path: Path) -> None:
    heads, bad = read(tmp_path, "@base <http://e/> .\n@prefix : <#> .\n:a <p> :b .", "graph.ttl")
    assert (heads, bad.count) == (["a"], 0)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize(
    "name", ["graph.nt", "GRAPH.NT", "graph.Nt.GZ", "g.v2.nt.gz", "graph.nt.bz2", "graph.ttl.xz"]
)
def test_the_content_says_whether_it_is_compressed(
    tmp_path: Path, pack: Callable[[bytes], bytes], name: str
) -> None:
    assert read(tmp_path, pack(line("a").encode()), name)[0] == ["a"]


@pytest.mark.parametrize("name", ["graph.nt.gz", "graph.ttl", "graph.nt.bz2", "graph.nt.xz"])
def test_a_compressed_file_that_is_cut_off_is_named(tmp_path: Path, name: str) -> None:
    pack = {".bz2": bz2.compress, ".xz": lzma.compress}.get(Path(name).suffix, gzip.compress)
    content = pack("".join(line(f"{i}a") for i in range(9999)).encode())
    with pytest.raises(DataError, match=r"cannot be decompressed to its end .*fetch or compress"):
        read(tmp_path, content[:-50], name)


def test_a_zip_archive_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "graph.nt", "w") as archive:
        archive.writestr("graph.nt", line("a"))
    with pytest.raises(DataError, match=r"graph\.nt is an archive, not N-Triples; unpack it"):
        read(tmp_path, (tmp_path / "graph.nt").read_bytes(), "graph.nt")


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (gzip.compress(gzip.compress(b"x", mtime=0), mtime=0), "graph.nt.gz", "compressed twice"),
        (line("a").encode("utf-16"), "graph.nt", "not UTF-8 text, .* save it with the encoding"),
        (line("a").encode("utf-16-le"), "graph.ttl", "not UTF-8 text"),
        (b"<!DOCTYPE html><html>", "graph.ttl", "is a web page"),
        (b"\n <?xml version='1.0'?><rdf:RDF>", "graph.ttl", "is XML, not Turtle; convert it"),
        (b'[ {"@id": "http://e/a"} ]', "graph.nt", "is JSON, not N-Triples; convert it"),
        (b'{\n "@id": "http://e/a"}', "graph.trig", "is JSON, not TriG"),
        (PREFIX.encode(), "graph.nt", r"is Turtle, not N-Triples: .*ends in \.ttl"),
        (b"# mine\n\nPREFIX : <http://e/>\n:a :a :a .", "graph.nq", "is Turtle, not N-Quads"),
        (b"\xef\xbb\xbf@base <http://e/> .", "graph.nt", "is Turtle, not N-Triples"),
        (b"a,b,c\n" * 9, "graph.nt", "9 of 9 statements cannot be read as N-Triples, first line 1"),
        (b"a,b,c\n" * 9, "graph.ttl", "cannot be read as Turtle, .*or its suffix"),
    ],
)
def test_another_content_is_named_with_a_remedy(
    tmp_path: Path, content: bytes, name: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, content, name)


def nested(depth: int) -> str:
    term = "<<( <http://e/a> <http://e/p>\n" * depth + "<http://e/b>" + " )>>" * depth
    return f"<http://e/x> <http://e/p> {term} .\n"


@pytest.mark.parametrize("name", ["graph.nt", "graph.nq.gz"])
def test_terms_nested_too_deep_cost_their_line(tmp_path: Path, name: str) -> None:
    statements = [nested(depth).replace("\n", " ") + "\n" for depth in (MAX_NESTING, 100_000)]
    content = (line("a") + "".join(statements) + line("b")).encode()
    heads, bad = read(tmp_path, gzip.compress(content) if name.endswith(".gz") else content, name)
    assert heads == ["a", "x", "b"]
    assert bad.examples[0].startswith("line 3, triple terms nested more than 1000 deep: <http")


@pytest.mark.parametrize("name", ["graph.ttl", "graph.trig.gz"])
@pytest.mark.parametrize("breaks", ["\n", " "])
def test_terms_nested_too_deep_are_an_error_in_turtle(
    tmp_path: Path, name: str, breaks: str
) -> None:
    content = (line("a") + nested(100_000).replace("\n", breaks)).encode()
    message = r"line \d+: triple terms nested more than 1000 deep; delete this statement"
    with pytest.raises(DataError, match=message):
        read(tmp_path, gzip.compress(content) if name.endswith(".gz") else content, name)


def test_many_triple_terms_beside_one_another_are_read(tmp_path: Path) -> None:
    for name, end in (("graph.ttl", " "), ("graph.nt", "\n")):
        heads, bad = read(tmp_path, (nested(1).replace("\n", " ") + end) * 3000, name)
        assert (len(heads), bad.count) == (3000, 0)


def test_reading_ends_early_where_nearly_all_is_bad(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1001 of 1001 statements"):
        read(tmp_path, "a,b,c\n" * 5000, "graph.nt")


@pytest.mark.parametrize(
    "name",
    ["graph.xml", "graph.n3", "graph.rdf", "g.owl", "g.jsonld", "g.nt.zip", "g.gz", "g", ".nt"],
)
def test_another_suffix_is_refused_with_those_that_are_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        DataError, match=r"must end in \.nt, \.nq, .*unpack .*convert it to N-Triples"
    ):
        read(tmp_path, "", name)


def test_a_missing_dump_is_named_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset\.path: .*none\.nt cannot be read \(No such"):
        list(read_statements(tmp_path / "none.nt", IssueTally("bad", "bad")))


def test_the_graph_of_a_quad_is_left_aside(tmp_path: Path) -> None:
    assert read(tmp_path, "<http://e/a> <http://e/p> <http://e/b> <http://e/g> .", "g.nq")[0] == [
        "a"
    ]
    assert read(tmp_path, PREFIX + ":g { :a :p :b } :c :p :d .", "g.trig")[0] == ["a", "c"]
