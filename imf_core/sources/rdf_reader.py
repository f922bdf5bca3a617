"""Reads the statements of an RDF dump.

In: one file of N-Triples, N-Quads, Turtle or TriG, as it is or compressed by gzip, bzip2 or xz.
Out: its statements, and a count of unreadable ones, with their lines. The content determines the
compression, the suffix the format. RDF/XML is not supported: XML entities can expand a short file
to gigabytes.
"""

import bz2
import codecs
import gzip
import io
import lzma
import re
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyoxigraph
from pyoxigraph import Quad, RdfFormat
from tqdm import tqdm

from imf_core.base.errors import DataError
from imf_core.graph.issues import IssueTally

MAX_LINE_BYTES = 16 << 20
"""Limit of one statement of N-Triples, equal to that of the parser."""

MAX_NESTING = 1000
"""The bound of triple terms in one another, `<<( a b <<( ... )>> )>>`: where the parser frees tens
of thousands of them, the process overflows its stack and dies."""

_TERM_START = "<<("
_TOO_DEEP = f"triple terms nested more than {MAX_NESTING} deep"

_BLOCK_BYTES = 1 << 20
_HEAD_BYTES = 4096
_MAX_BAD_STATEMENTS = 1000
"""Reading stops beyond this number if most statements are bad: the format is wrong."""

_CONVERT = "convert it to N-Triples first, with `riot --output=nt` of Apache Jena for example"


@dataclass(frozen=True)
class _Format:
    """A format, and the advice for relative IRIs."""

    name: str
    parser: RdfFormat
    is_one_per_line: bool
    advice: str


_WHOLE_IRIS = "write IRIs with their scheme, such as <http://example.org/a>"
_ADD_BASE = "add `@base <http://example.org/> .` as its first line"
FORMATS = {
    ".nt": _Format("N-Triples", RdfFormat.N_TRIPLES, True, _WHOLE_IRIS),
    ".nq": _Format("N-Quads", RdfFormat.N_QUADS, True, _WHOLE_IRIS),
    ".ttl": _Format("Turtle", RdfFormat.TURTLE, False, _ADD_BASE),
    ".trig": _Format("TriG", RdfFormat.TRIG, False, _ADD_BASE),
}
_COMPRESSED_SUFFIXES = {".gz", ".bz2", ".xz"}
_OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
_OTHER_CONTENTS = (
    (
        rb"PK\x03\x04|7z\xbc\xaf|\x28\xb5\x2f\xfd|Rar!",
        "an archive",
        "unpack it, or pack it by gzip",
    ),
    (rb"\x1f\x8b|BZh[1-9]1AY|\xfd7zXZ\0", "compressed twice", "decompress it once"),
    (rb"\xff\xfe|\xfe\xff|(?s:.{0,64}?)\0", "not UTF-8 text", "save it with the encoding UTF-8"),
    (rb"\s*<(!doctype\s+html|html)", "a web page", "download the dump itself"),
    (rb"\s*<(\?xml|!--|!doctype|rdf:RDF)", "XML", _CONVERT),
    (rb"\s*(\{\s*[\"}]|\[\s*\{)", "JSON", _CONVERT),
)
"""Unsupported contents by their first bytes: (pattern, content, remedy)."""

_TURTLE_HEADER = re.compile(rb"(?:\s|#.*\n)*(@?prefix|@?base)\s", re.IGNORECASE)
_RELATIVE = "a relative IRI, and no base for it"
_NOT_UTF_8 = "a byte that is not UTF-8"
_REASONS = {
    "No scheme found in an absolute IRI": _RELATIVE,
    "Invalid UTF-8": _NOT_UTF_8,
    "Unexpected escape character '\\x'": _NOT_UTF_8,
}
"""The parser's reasons, and ours. `_Lines` replaces a byte that is not UTF-8 by `\\xNN`."""


@dataclass(frozen=True)
class _BadStatement:
    """An unreadable statement: its place, the reason and the text of its first line."""

    place: str
    reason: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}, {self.reason}: {self.text.strip()}"


def read_statements(source: Path, bad: IssueTally) -> Iterator[Quad]:
    """Yields the statements of a file one by one.

    Args:
        source: A file with a suffix of `FORMATS`, in any case, optionally followed by the suffix of
            a compression.
        bad: Counts unreadable statements. In Turtle and TriG such a statement is left out up to
            its full stop.

    Raises:
        DataError: If the file cannot be opened or decompressed, has another format, has a literal
            without an end, or has more bad statements than good ones.
    """
    form = _format_of(source)
    good = 0
    with _opened(source) as file:
        _refuse_other_content(source, file, form)
        statements = (_by_line if form.is_one_per_line else _by_token)(source, file, form)
        for statement in tqdm(
            statements, desc=source.name, unit=" statements", unit_scale=True, disable=None
        ):
            if isinstance(statement, Quad):
                good += 1
                yield statement
            else:
                bad.add(str(statement))
                if bad.count > max(good, _MAX_BAD_STATEMENTS):
                    break
    if bad.count > good:
        is_relative = _RELATIVE in bad.examples[0]
        advice = form.advice if is_relative else "correct the file, or its suffix if that is wrong"
        raise DataError(
            f"{source}: {bad.count} of {bad.count + good} statements cannot be read as "
            f"{form.name}, first {bad.examples[0]}; {advice}"
        )


def _format_of(source: Path) -> _Format:
    """Returns the format of the suffix."""
    suffixes = [suffix.lower() for suffix in source.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED_SUFFIXES:
        suffixes.pop()
    form = FORMATS.get(suffixes[-1]) if suffixes else None
    if form is None:
        raise DataError(
            f"dataset.path: {source} must end in {', '.join(FORMATS)} or one of these with "
            f"{', '.join(sorted(_COMPRESSED_SUFFIXES))} where dataset.name is rdf; unpack an "
            f"archive; if it is another format, {_CONVERT}"
        )
    return form


@contextmanager
def _opened(source: Path) -> Iterator[io.BufferedReader]:
    """Opens and if needed decompresses a file, and turns its errors into a `DataError`."""
    try:
        with source.open("rb") as packed:
            start = packed.peek(8)
            opener = next((each for key, each in _OPENERS.items() if start.startswith(key)), None)
            if opener is None:
                yield packed
            else:
                yield io.BufferedReader(opener(packed), _BLOCK_BYTES)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise DataError(
                f"dataset.path: {source} cannot be read ({error.strerror}); set it to your RDF file"
            ) from error
        raise DataError(
            f"{source} cannot be decompressed to its end ({error}); it is cut off or damaged, so "
            "fetch or compress it again"
        ) from error


def _refuse_other_content(source: Path, file: io.BufferedReader, form: _Format) -> None:
    """Raises a `DataError` if the first bytes show another format than the suffix."""
    head = file.peek(_HEAD_BYTES)[:_HEAD_BYTES].removeprefix(b"\xef\xbb\xbf")
    for pattern, content, remedy in _OTHER_CONTENTS:
        if re.match(pattern, head, re.IGNORECASE):
            raise DataError(f"{source} is {content}, not {form.name}; {remedy}")
    if form.is_one_per_line and _TURTLE_HEADER.match(head):
        raise DataError(
            f"{source} is Turtle, not {form.name}: it declares a prefix or a base; rename it so "
            "that it ends in .ttl"
        )


def _by_line(_: Path, file: BinaryIO, form: _Format) -> Iterator[Quad | _BadStatement]:
    """Parses blocks of lines, and a block with a bad line line by line."""
    number = 0
    for lines in _blocks(file):
        try:
            _require_shallow(lines)
            yield from list(pyoxigraph.parse(b"".join(lines), form.parser))
        except (SyntaxError, MemoryError):
            for position, line in enumerate(lines, start=number + 1):
                yield from _parse_line(line, position, form)
        number += len(lines)


def _blocks(file: BinaryIO) -> Iterator[list[bytes]]:
    """Yields the lines of a file in lists; too long lines are cut."""
    lines: list[bytes] = []
    size = 0
    is_first = True
    while line := file.readline(MAX_LINE_BYTES):
        rest = line
        while len(rest) == MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = file.readline(MAX_LINE_BYTES)
        lines.append(line.removeprefix(b"\xef\xbb\xbf") if is_first else line)
        is_first = False
        size += len(line)
        if size >= _BLOCK_BYTES:
            yield lines
            lines, size = [], 0
    yield lines


def _parse_line(line: bytes, number: int, form: _Format) -> list[Quad | _BadStatement]:
    """Parses one line with at most one statement."""
    try:
        _require_shallow([line])
        return list(pyoxigraph.parse(line, form.parser))
    except SyntaxError as error:
        reason = _reason(error)
    except MemoryError:
        reason = f"longer than {MAX_LINE_BYTES >> 20} MiB"
    text = line[:_HEAD_BYTES].decode("utf-8", "backslashreplace")
    return [_BadStatement(f"line {number}", reason, text)]


def _require_shallow(lines: list[bytes]) -> None:
    """Raises a `SyntaxError` if a line may have more triple terms nested than the parser survives.

    Those in strings count as well: in a malformed line it is unclear where a string ends.
    """
    start = _TERM_START.encode()
    if any(line.count(start) > MAX_NESTING for line in lines):
        raise SyntaxError(_TOO_DEEP)


def _by_token(source: Path, file: BinaryIO, form: _Format) -> Iterator[Quad | _BadStatement]:
    """Parses a file as a whole; the parser continues after the full stop of a bad statement."""
    lines = _Lines(source, file)
    quads = pyoxigraph.parse(cast(BinaryIO, lines), form.parser)
    begin, end = 0, 0  # lines of the last error, 0 after a good statement
    while True:
        lines.num_open = 0
        try:
            quad = next(quads)
        except StopIteration:
            return
        except MemoryError as error:
            raise DataError(
                f"{source}, line {lines.number}: a literal is longer than {MAX_LINE_BYTES >> 20} "
                "MiB or has no end; shorten or close it"
            ) from error
        except SyntaxError as error:
            first, last = error.lineno or 1, error.end_lineno or 1
            reason = _reason(error)
            if first < last and re.match("Line jumps|Unexpected end", reason):
                raise DataError(
                    f"{source}, line {begin or first}: a literal or IRI has no end; close it "
                    f"({lines.text(begin or first)[:80]!r})"
                ) from error
            if first > end:  # otherwise a consequence of the last error
                place = f"line {first}" if first == last else f"lines {first} to {last}"
                yield _BadStatement(place, reason, lines.text(first))
                begin = first
            end = last
        else:
            begin, end = 0, 0
            yield quad


def _reason(error: SyntaxError) -> str:
    """Returns the reason without the place, which is relative to the parsed text."""
    reason = re.sub(r"^Parser error .*?\d: ", "", error.msg)
    return next((ours for words, ours in _REASONS.items() if reason.startswith(words)), reason)


class _Lines:
    """A text file that the parser reads line by line; it keeps the last lines.

    Attributes:
        number: The next line's.
        num_open: Starts of triple terms read since the last statement, strings included: at least
            as many as are nested.
    """

    def __init__(self, source: Path, file: BinaryIO) -> None:
        self._source = source
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("backslashreplace")
        self._recent: deque[tuple[int, str]] = deque(maxlen=1000)
        self.number = 1
        self.num_open = 0

    def read(self, size: int) -> str:
        """Returns the next line, at most `size` bytes of it; "" at the end.

        Raises:
            DataError: If the statement is nested too deep for the parser.
        """
        part = ""
        data = b"more"
        while data and not part:
            data = self._file.readline(size)
            part = self._decoder.decode(data, final=not data)
        self.num_open += part.count(_TERM_START)
        if self.num_open > MAX_NESTING:
            raise DataError(
                f"{self._source}, line {self.number}: {_TOO_DEEP}; delete this statement, which "
                "would be left out in any case"
            )
        self._recent.append((self.number, part))
        self.number += part.endswith("\n")
        return part

    def text(self, number: int) -> str:
        """Returns the start of a line, "" if it is no longer kept."""
        return next((part for each, part in self._recent if each == number), "")
