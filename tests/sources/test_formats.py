"""Line-level readers: accepted, skipped and malformed lines."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imf_core.base.errors import DataError
from imf_core.sources.formats import (
    name_from_title,
    read_id_triples,
    read_label_ids,
    read_label_list,
    read_label_triples,
    read_lines,
    read_spaced_triples,
    read_texts,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file.txt"


def test_lines_keep_their_numbers_when_blank_ones_are_skipped(file: Path) -> None:
    file.write_text("a\n\n \t\nb\n")
    assert read_lines(file) == ([(1, "a"), (4, "b")], 2)


def test_a_byte_order_mark_and_crlf_are_accepted(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbfa\tr\tb\r\nb\tr\tc\r\n")
    triples = read_label_triples(file)
    assert (triples.heads, triples.tails, triples.blank_lines) == (["a", "b"], ["b", "c"], 0)


def test_a_last_line_without_line_end_is_read(file: Path) -> None:
    file.write_text("a\tr\tb")
    assert read_label_triples(file).tails == ["b"]


def test_rare_separators_do_not_end_a_line(file: Path) -> None:
    file.write_text("a\tone\u2028two\x85three\x0bfour\n")
    assert read_texts(file).by_label == {"a": "one\u2028two\x85three\x0bfour"}


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_another_encoding_without_its_mark_is_an_error(file: Path, encoding: str) -> None:
    file.write_bytes("a\tr\tb\nb\tr\tc".encode(encoding))
    with pytest.raises(DataError, match=r"file\.txt, line 1: .* UTF-16 has; save the file"):
        read_label_triples(file)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_an_archive_is_named_as_one(file: Path, pack: Callable[[bytes], bytes]) -> None:
    file.write_bytes(pack(b"a\tr\tb\n"))
    with pytest.raises(DataError, match=r"file\.txt is a \w+ archive; unpack it"):
        read_label_triples(file)


def test_a_byte_that_is_not_utf8_is_named_with_its_line(file: Path) -> None:
    file.write_bytes("ä\tr\tb\n".encode() + b"b\tr\t\xe9\n")
    with pytest.raises(DataError, match=r"file\.txt, line 2: byte 0xe9 is not valid UTF-8"):
        read_label_triples(file)


def test_the_line_of_a_bad_byte_is_right_behind_a_byte_order_mark(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbfa\n\xff\n")
    with pytest.raises(DataError, match="line 2: byte 0xff"):
        read_lines(file)


def test_a_missing_file_is_named(file: Path) -> None:
    with pytest.raises(DataError, match=r"file\.txt cannot be read"):
        read_lines(file)


@pytest.mark.parametrize("content", ["", "\n", " \n\t\n", "\ufeff"])
def test_a_triple_file_without_a_fact_is_refused(file: Path, content: str) -> None:
    file.write_text(content)
    with pytest.raises(DataError, match=r"file\.txt is empty"):
        read_label_triples(file)


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("a\tr", r"2 columns, .*: tail is missing; add it after a tab or delete the line"),
        ("a r b", "1 column, .*: the columns seem to be separated by spaces; put a tab"),
        ("a,r,b", "the columns seem to be separated by commas; save the table as tab-separated"),
        ("a;r;b", "the columns seem to be separated by semicolons; save the table"),
        ("a\tr\tb\t1999", "4 columns, .*: only head, relation and tail are read; delete further"),
        ("a\tr\t", "there is nothing in the column tail; fill it or delete the line"),
        ("\tr\tb", "there is nothing in the column head; fill it or delete the line"),
        ("a\tr\tb\ra\tr\tc", "an old Mac's line end; save the file with the line ends of Unix"),
        ('{"head": "a", "relation": "r"}', r"this is JSON; .* `jq -r '\[.head, .relation, .tail\]"),
        ("<http://a> <http://r> <http://b> .", "this is RDF; set dataset.name: rdf"),
        ("14541", "count of the lines to come, as in OpenKE's train2id.txt, .*; delete the line"),
        ("a", "there is no tab; write head, relation and tail with a tab between them"),
    ],
)
def test_a_line_without_its_columns_is_named_with_cause_and_remedy(
    file: Path, line: str, cause: str
) -> None:
    file.write_text(f"a\tr\tb\n\n{line}\n", newline="")
    with pytest.raises(DataError, match=rf"file\.txt, line 3: expected head, .*{cause}"):
        read_label_triples(file)


def test_old_mac_line_ends_are_accepted(file: Path) -> None:
    file.write_bytes(b"a\tr\tb\rb\tr\tc\r")
    assert read_label_triples(file).tails == ["b", "c"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_named_by_its_mark(file: Path, encoding: str) -> None:
    file.write_bytes("\ufeffa\tr\tb\n".encode(encoding))
    with pytest.raises(DataError, match=r"line 1: the file is UTF-16 .*; save it with .* UTF-8"):
        read_label_triples(file)


def test_a_curly_quote_of_windows_is_named(file: Path) -> None:
    file.write_bytes("a\tr\tb\na\tr\t\u201cb\u201d\n".encode("cp1252"))
    with pytest.raises(
        DataError, match=r"line 2: byte 0x93 .*, but \u201c \(left double quotation"
    ):
        read_label_triples(file)


def test_id_triples_are_read_in_line_order(file: Path) -> None:
    file.write_text("2\t0\t1\n\n0 1 2\n")
    triples, blank = read_id_triples(file, num_entities=3, num_relations=2)
    np.testing.assert_array_equal(triples, [[2, 0, 1], [0, 1, 2]])
    assert blank == 1


def test_id_triples_may_have_the_relation_last_and_a_count_before_them(file: Path) -> None:
    file.write_text("2\n2 1 0\n0 2 1\n")
    triples, _ = read_id_triples(file, num_entities=3, num_relations=2, columns="htr")
    np.testing.assert_array_equal(triples, [[2, 0, 1], [0, 1, 2]])


def test_a_wrong_count_of_id_triples_is_refused(file: Path) -> None:
    file.write_text("3\n2 1 0\n0 2 1\n")
    with pytest.raises(DataError, match="announces 3 facts, found 2"):
        read_id_triples(file, num_entities=3, num_relations=3)


@pytest.mark.parametrize("content", ["<a> <r> <b> .\n<b> <r> <c> .\n", "<a>\t<r> <b>\n<b> <r> <c>"])
def test_labels_may_be_separated_by_white_space(file: Path, content: str) -> None:
    file.write_text(content)
    triples = read_spaced_triples(file)
    assert (triples.heads, triples.tails) == (["<a>", "<b>"], ["<b>", "<c>"])


@pytest.mark.parametrize("line", ["<a> <r>", "<a> <r> <b> <c>", "a b r c ."])
def test_a_ragged_line_of_spaced_labels_is_named(file: Path, line: str) -> None:
    file.write_text(f"<a> <r> <b> .\n{line}\n")
    with pytest.raises(DataError, match=r"line 2: expected head, relation and tail .* white space"):
        read_spaced_triples(file)


def test_a_list_of_labels_is_read_in_order(file: Path) -> None:
    file.write_text("0\n1\n\nknows\n")
    assert read_label_list(file) == ["0", "1", "knows"]


def test_a_label_twice_in_a_list_is_refused(file: Path) -> None:
    file.write_text("a\na\n")
    with pytest.raises(DataError, match="occurs twice"):
        read_label_list(file)


@pytest.mark.parametrize("line", ["3 0 1", "0 2 1", "0 0 3", "0 0", "0 0 1 1", "a 0 1", "-1 0 1"])
def test_an_id_out_of_range_is_named(file: Path, line: str) -> None:
    file.write_text(f"0 0 1\n{line}\n")
    with pytest.raises(DataError, match=f"line 2: .* got '{line}'"):
        read_id_triples(file, num_entities=3, num_relations=2)


@pytest.mark.parametrize(
    "content",
    [
        "2\na b 0\nc 1\n",
        "a b 0\nc 1\n",
        "a b\t0\nc\t1\n",
        "1 c 1\n0 a b 0\n",
        "c 1\na b 0\n",
        "0 a b\n1 c\n",
        "2\n1\tc\n0\ta b\n",
    ],
)
def test_label_ids_are_read_in_every_known_layout(file: Path, content: str) -> None:
    file.write_text(content)
    assert read_label_ids(file) == ["a b", "c"]


def test_a_label_may_start_with_a_number_that_is_its_id(file: Path) -> None:
    file.write_text("1 Decembrie\t1\nCluj\t0\n")
    assert read_label_ids(file) == ["Cluj", "1 Decembrie"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a 0\nb 0\n", "line 2: expected a label and an id not seen before"),
        ("a 0\nb\n", "line 2: expected a label and an id"),
        ("a 0\nb 2\n", "ids 0 to 1 each once, got 2 ids up to 2"),
        ("3\na 0\nb 1\n", "ids 0 to 2 each once, got 2 ids up to 1"),
        ("a 0\na 1\n", "a label occurs twice"),
        ("", "is empty"),
    ],
)
def test_malformed_label_ids_are_refused(file: Path, content: str, message: str) -> None:
    file.write_text(content)
    with pytest.raises(DataError, match=message):
        read_label_ids(file)


def test_a_text_keeps_further_tabs(file: Path) -> None:
    file.write_text("a\tone\ttwo\n")
    assert read_texts(file).by_label == {"a": "one\ttwo"}


def test_empty_texts_and_repeated_lines_are_counted(file: Path) -> None:
    file.write_text("a\tone\n\nb\t\na\tone\n")
    texts = read_texts(file)
    assert texts.by_label == {"a": "one"}
    assert (texts.empty, texts.repeated, texts.blank_lines) == (["b"], 1, 1)


def test_a_label_with_two_texts_is_an_error_that_names_both_lines(file: Path) -> None:
    file.write_text("a\tone\nb\tone\na\ttwo\n")
    with pytest.raises(DataError, match=r"line 3: 'a' .* 'two', but line 1 gives it 'one'"):
        read_texts(file)


@pytest.mark.parametrize("line", ["a", "\ttext"])
def test_a_text_without_label_or_tab_is_refused(file: Path, line: str) -> None:
    file.write_text(f"{line}\n")
    with pytest.raises(DataError, match="line 1: expected a label and a text"):
        read_texts(file)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("<http://dbpedia.org/resource/Milk_(film)>", "Milk (film)"),
        ("<http://dbpedia.org/resource/AC/DC>", "AC/DC"),
        ("http://dbpedia.org/resource/Chi%C8%99in%C4%83u", "Chișinău"),
        ("<http://dbpedia.org/ontology/recordLabel>", "record label"),
        ("<http://www.w3.org/1999/02/22-rdf-syntax-ns#type>", "type"),
        ("http://www.wikidata.org/entity/Q42", "Q42"),
        ("cast_member", "cast member"),
        ("<http://dbpedia.org/resource/IPhone>", "IPhone"),
    ],
)
def test_a_title_becomes_a_name_for_people(title: str, name: str) -> None:
    assert name_from_title(title) == name
