"""Line-level readers of the text formats of graphs.

In: one UTF-8 text file. Out: its fields, and counts of skipped lines. Every error names the file,
the line, the value found there and the remedy. A byte order mark and the line ends of Windows
(CRLF) and of old Macs (CR) are accepted; blank lines are skipped and counted.
"""

import unicodedata
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from imf_core.base.errors import DataError
from imf_core.base.line_causes import explain_line, shorten

NumberedLine = tuple[int, str]


@dataclass(frozen=True)
class LabelTriples:
    """Facts of a file, duplicates included.

    Attributes:
        heads, relations, tails: Labels in line order, each of length N.
        blank_lines: Number of lines skipped.
    """

    heads: list[str]
    relations: list[str]
    tails: list[str]
    blank_lines: int


@dataclass(frozen=True)
class Texts:
    """A `label <tab> text` file.

    Attributes:
        by_label: The text of each label, in line order, without empty texts.
        empty: Labels whose text is empty, in line order.
        repeated: Number of lines that repeat an earlier one.
        blank_lines: Number of lines skipped.
    """

    by_label: dict[str, str]
    empty: list[str]
    repeated: int
    blank_lines: int


_ARCHIVES = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
TRIPLE_COLUMNS = ("head", "relation", "tail")


def read_lines(path: Path) -> tuple[list[NumberedLine], int]:
    """Reads the non-blank lines of a text file.

    Args:
        path: A UTF-8 file, with or without byte order mark, with LF or CRLF line ends; those of a
            file without any LF are CR.

    Returns:
        The lines with their numbers from 1, and the number of blank lines skipped.

    Raises:
        DataError: If the file is missing, is compressed, or is not UTF-8.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); put the file there") from error
    for magic, kind in _ARCHIVES.items():
        if raw.startswith(magic):
            raise DataError(f"{path} is a {kind} archive; unpack it and put the text file there")
    if raw.startswith(_UTF_16_MARKS):
        raise DataError(
            f"{path}, line 1: the file is UTF-16 by its first two bytes; save it with the encoding "
            "UTF-8"
        )
    if (position := raw.find(b"\0")) >= 0:
        line = raw.count(b"\n", 0, position) + 1
        raise DataError(
            f"{path}, line {line}: a text has no byte 0x00, but UTF-16 has; save the file with the "
            "encoding UTF-8"
        )
    try:
        content = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: {_explain_byte(error.object[error.start])}; save the file with "
            "the encoding UTF-8"
        ) from error
    if "\n" not in content:
        content = content.replace("\r", "\n")
    # Not splitlines(): that would also cut at the rarer separators that occur inside texts.
    lines = [line.removesuffix("\r") for line in content.split("\n")]
    if lines[-1] == "":
        lines.pop()
    kept = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    return kept, len(lines) - len(kept)


def read_label_triples(path: Path) -> LabelTriples:
    """Reads facts: one per line, the labels of head, relation and tail separated by tabs.

    Raises:
        DataError: If the file is missing, is not UTF-8, holds no fact, or a line has not exactly
            three fields that hold something.
    """
    lines, blank = read_lines(path)
    _require_content(path, lines)
    rows = [line.split("\t") for _, line in lines]
    for (number, line), row in zip(lines, rows, strict=True):
        if len(row) != 3 or not all(field.strip() for field in row):
            raise DataError(
                f"{path}, line {number}: expected head, relation and tail separated by two tabs, "
                f"{explain_line(line, TRIPLE_COLUMNS)}"
            )
    heads, relations, tails = (list(column) for column in zip(*rows, strict=True))
    return LabelTriples(heads, relations, tails, blank)


def read_spaced_triples(path: Path) -> LabelTriples:
    """Reads facts whose labels have no white space: `head relation tail`, separated by it.

    A full stop may end a line, as in N-Triples (`<uri> <uri> <uri> .`); labels stay as written.

    Raises:
        DataError: If the file is missing, is not UTF-8, holds no fact, or a line has not exactly
            three labels.
    """
    lines, blank = read_lines(path)
    _require_content(path, lines)
    rows = []
    for number, line in lines:
        row = line.split()
        if len(row) == 4 and row[3] == ".":
            row.pop()
        if len(row) != 3:
            raise DataError(
                f"{path}, line {number}: expected head, relation and tail separated by white "
                f"space, got {len(row)} fields: {shorten(line)}; labels with white space in them "
                "need tabs around them, so bring the file as dataset.name: folder with tabs"
            )
        rows.append(row)
    heads, relations, tails = (list(column) for column in zip(*rows, strict=True))
    return LabelTriples(heads, relations, tails, blank)


def read_id_triples(
    path: Path, num_entities: int, num_relations: int, columns: str = "hrt"
) -> tuple[NDArray[np.int64], int]:
    """Reads facts as ids, separated by white space, with or without a count in the first line.

    Args:
        path: The file.
        num_entities: Entity ids must be below this.
        num_relations: Relation ids must be below this.
        columns: `hrt`: head, relation, tail; `htr`: head, tail, relation (as OpenKE has them).

    Returns:
        The facts in line order, (head, relation, tail), shape: (N, 3), dtype: int64, and the
        number of blank lines.

    Raises:
        DataError: If the file is missing, holds no fact, a line has not three ids in range, or
            the count in the first line is wrong.
    """
    lines, blank = read_lines(path)
    _require_content(path, lines)
    expected, lines = _split_count(lines)
    bounds = [num_relations if column == "r" else num_entities for column in columns]
    rows = []
    for number, line in lines:
        row = [int(field) if field.isdecimal() else -1 for field in line.split()]
        if len(row) != 3 or not all(0 <= x < n for x, n in zip(row, bounds, strict=True)):
            wanted = " and ".join(
                f"{name} below {n}" for name, n in zip(columns, bounds, strict=True)
            )
            raise DataError(
                f"{path}, line {number}: expected three ids, {wanted}, got {shorten(line)}; the "
                "file does not fit its id files"
            )
        rows.append(row)
    if expected not in (None, len(rows)):
        raise DataError(
            f"{path}: its first line announces {expected} facts, found {len(rows)}; the file is "
            "incomplete"
        )
    order = [columns.index(name) for name in "hrt"]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)[:, order], blank


def read_label_ids(path: Path) -> list[str]:
    """Reads a map of labels to ids, with or without a count in the first line.

    A line is `label id`, `id label` or `id label id`, the same in the whole file.

    Returns:
        The labels; the position is the id.

    Raises:
        DataError: If the file is missing or malformed, the ids are not 0, 1, 2, ... each once, a
            label occurs twice, or the count in the first line is wrong.
    """
    lines, _ = read_lines(path)
    _require_content(path, lines)
    expected, lines = _split_count(lines)
    rows = [(number, line.strip().replace("\t", " ")) for number, line in lines]
    is_id_first = bool(rows) and not rows[0][1].rpartition(" ")[2].isdecimal()
    has_both = all(
        len(row.split(" ")) > 2 and row.split(" ")[0] == row.split(" ")[-1] for _, row in rows
    )
    by_id: dict[int, str] = {}
    for number, row in rows:
        if is_id_first:
            position, _, label = row.partition(" ")
        else:
            label, _, position = row.rpartition(" ")
        if not label or not position.isdecimal() or int(position) in by_id:
            raise DataError(
                f"{path}, line {number}: expected a label and an id not seen before, got "
                f"{shorten(row)}; the file is damaged or of another format, so fetch it again"
            )
        by_id[int(position)] = (label.removeprefix(f"{position} ") if has_both else label).strip()
    count = len(by_id)
    if (expected not in (None, count)) or sorted(by_id) != list(range(count)):
        raise DataError(
            f"{path}: expected the ids 0 to {(expected or count) - 1} each once, got {count} ids "
            f"up to {max(by_id, default=-1)}; the file is incomplete"
        )
    if len(set(by_id.values())) < count:
        raise DataError(f"{path}: a label occurs twice; every id needs a label of its own")
    return [by_id[position] for position in range(count)]


def read_label_list(path: Path) -> list[str]:
    """Reads one label per line; the position is the id.

    Raises:
        DataError: If the file is missing or empty, or a label occurs twice.
    """
    lines, _ = read_lines(path)
    _require_content(path, lines)
    labels = [line.strip() for _, line in lines]
    if len(set(labels)) < len(labels):
        raise DataError(f"{path}: a label occurs twice; every id needs a label of its own")
    return labels


def read_texts(path: Path) -> Texts:
    """Reads a `label <tab> text` file; a text ends with its line.

    Raises:
        DataError: If the file is missing, is not UTF-8, a line has no tab or no label, or one
            label has two different texts.
    """
    lines, blank = read_lines(path)
    seen: dict[str, tuple[str, int]] = {}
    repeated = 0
    for number, line in lines:
        label, tab, text = line.partition("\t")
        if not tab or not label.strip():
            raise DataError(
                f"{path}, line {number}: expected a label and a text separated by a tab, "
                f"{explain_line(line, ('label', 'text'))}"
            )
        text = text.strip()
        earlier = seen.get(label)
        if earlier is not None and earlier[0] != text:
            raise DataError(
                f"{path}, line {number}: {label!r} is given the text {shorten(text)}, but line "
                f"{earlier[1]} gives it {shorten(earlier[0])}; keep one of the two lines"
            )
        repeated += earlier is not None
        seen.setdefault(label, (text, number))
    by_label = {label: text for label, (text, _) in seen.items() if text}
    empty = [label for label, (text, _) in seen.items() if not text]
    return Texts(by_label, empty, repeated, blank)


def name_from_title(title: str) -> str:
    """Makes a readable name from a URI or a similar label.

    The name is the last part of the path without percent codes and underscores; camel case becomes
    words.
    """
    stem = title.strip("<>")
    for marker in ("/resource/", "/ontology/", "#"):
        before, found, after = stem.rpartition(marker)
        if found and before:
            stem = after
    if "://" in stem:
        stem = stem.rsplit("/", 1)[-1]
    name = unquote(stem).replace("_", " ").strip()
    if name.isascii() and name.isalpha() and name[:1].islower():
        name = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
    return name or title


def _split_count(lines: list[NumberedLine]) -> tuple[int | None, list[NumberedLine]]:
    """Splits off a first line that has only the number of the following lines."""
    if lines[0][1].strip().isdecimal():
        return int(lines[0][1]), lines[1:]
    return None, lines


def _require_content(path: Path, lines: list[NumberedLine]) -> None:
    """Raises a `DataError` without lines."""
    if not lines:
        raise DataError(
            f"{path} is empty; it must hold at least one line (valid and test may be left out)"
        )


def _explain_byte(byte: int) -> str:
    """Says of a byte that is not UTF-8 what it is in the encoding of Western Windows."""
    character = bytes([byte]).decode("cp1252", "replace")
    name = (
        f" ({unicodedata.name(character).lower()})"
        if character in "\u2018\u2019\u201c\u201d"
        else ""
    )
    known = "" if character == "\ufffd" else f", but {character}{name} in Windows-1252"
    return f"byte 0x{byte:02x} is not valid UTF-8{known}"
