"""Copies a user's folder into the raw folder, without header lines, with the images it names.

A first line of facts is certainly a header line if each label consists of title words
(`TITLE_WORDS`) and at least two of the three occur in no other fact. It is possibly one if all
three occur in no other fact; then it stays and is reported. A first line of texts is a header line
if its label consists of title words and no fact has it. Every file passes the check of
`image_index`.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from imf_core.base.artifacts import file_sha256, write_bytes
from imf_core.base.errors import DataError
from imf_core.graph.issues import ISSUES_FILE, DataIssue, data_issue
from imf_core.sources.formats import LabelTriples, read_label_triples, read_texts
from imf_core.sources.image_index import IndexImages, copy_user_file, require_file
from imf_core.sources.layout import (
    ENTITY_NAMES,
    ENTITY_NUMBERS,
    IMAGE_INDEX,
    RELATION_NAMES,
    STEMS,
    TEST,
    TRAIN,
    VALID,
    ImageLine,
    can_be_source,
    find_layout,
    list_files,
    read_image_index,
    unread_issues,
    write_image_index,
)
from imf_core.sources.numbers import read_number_lines

_TITLE_WORDS = """
    head h relation relationship rel r tail t subject subj sub s predicate pred p object obj o
    source src start from target tgt dest destination end to left right lhs rhs first second
    node edge entity ent concept item term arg argument label name title id ids
    identifier key mid qid uri iri url property prop type kind link verb role triple fact
    text desc description definition image img picture photo path file filename
    wikidata wikipedia article
"""
TITLE_WORDS = frozenset(_TITLE_WORDS.split())


Row = tuple[str, str, str]


@dataclass(frozen=True)
class HeaderLine:
    """A first line that is, or may be, a header.

    Attributes:
        labels: The labels of the line.
        is_certain: Whether it is certain, and left out.
    """

    labels: tuple[str, ...]
    is_certain: bool


def find_fact_headers(splits: Mapping[str, LabelTriples]) -> dict[str, HeaderLine]:
    """Finds files of facts with a header.

    Args:
        splits: File name -> its facts.
    """
    firsts = {name: next(_rows(facts)) for name, facts in splits.items()}
    titles = {row for row in firsts.values() if all(map(is_title, row))}
    found = {}
    for name, first in firsts.items():
        num_unseen = _count_unseen(first, splits, {first, *titles})
        is_certain = first in titles and num_unseen >= 2
        if is_certain or num_unseen == 3:
            found[name] = HeaderLine(first, is_certain)
    return found


def find_text_header(labels: Iterable[str], known: Collection[str]) -> HeaderLine | None:
    """Finds the header of a `label <tab> text` file.

    Args:
        labels: Labels of the lines, in order.
        known: Labels of the facts.
    """
    first = next(iter(labels), None)
    if first is None or first in known or not is_title(first):
        return None
    return HeaderLine((first,), is_certain=True)


def without_header(content: bytes, header: HeaderLine) -> bytes:
    """Returns the content of a file without its header line and its repetitions.

    Args:
        content: UTF-8 with or without byte order mark.
        header: The header line.
    """
    fields = [label.encode() for label in header.labels]
    end = b"\n" if b"\n" in content else b"\r"
    lines = content.removeprefix(b"\xef\xbb\xbf").split(end)
    return end.join(
        line for line in lines if line.removesuffix(b"\r").split(b"\t")[: len(fields)] != fields
    )


def is_title(label: str) -> bool:
    """Returns whether a label consists of title words: `node1`, `Head_ID`, `#subject`.

    A single letter counts only alone: `s` may be a title, `s1` is rather an entity.
    """
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", label)
    has_other = re.search(r"[^A-Za-z0-9\s#_.:;,<>()\[\]\"'?/-]", label) is not None
    has_digit = any(character.isdigit() for character in label)
    return (
        bool(words)
        and not has_other
        and all(word.lower() in TITLE_WORDS for word in words)
        and not (has_digit and min(map(len, words)) == 1)
    )


def _count_unseen(first: Row, splits: Mapping[str, LabelTriples], excluded: set[Row]) -> int:
    """Counts the labels of a line that occur in no other fact; 0 without other facts."""
    head, relation, tail = first
    entities, relations = {head, tail}, {relation}
    has_others = False
    for row in chain.from_iterable(map(_rows, splits.values())):
        if row in excluded:
            continue
        has_others = True
        entities.difference_update((row[0], row[2]))
        relations.discard(row[1])
        if not entities and not relations:
            break
    return has_others * sum([head in entities, relation in relations, tail in entities])


def _rows(facts: LabelTriples) -> Iterator[Row]:
    return zip(facts.heads, facts.relations, facts.tails, strict=True)


SPLITS = (TRAIN, VALID, TEST)
EXTERNAL_IMAGES = "images/external"


@dataclass(frozen=True)
class FolderCopy:
    """The result of a copy.

    Attributes:
        texts: Names of the user's text files, the image index last.
        images: Number of image files copied.
        urls: Number of index lines with a URL, for the images stage.
        issues: Data issues.
    """

    texts: list[str]
    images: int
    urls: int
    issues: list[DataIssue]


def copy_folder(source: Path, raw: Path, image_folders: Sequence[Path]) -> FolderCopy:
    """Copies the files of a user's graph into `raw`.

    Text files are copied byte for byte, without header lines. A local image keeps its path; an
    image in another allowed folder, or with a name that no index can hold, goes to
    `images/external/` under the hash of its content, and the index is rewritten. An image that is
    missing or in any other place stays in the index and is counted: a graph may be untrusted, and
    its index must not open files of this machine.

    Args:
        source: The user's folder; may be a link.
        raw: Folder to fill.
        image_folders: Other folders that may contain images.

    Raises:
        DataError: If the folder or its facts are missing, or a file is malformed or outside the
            folder.
    """
    layout = _find_texts(source)
    own = source.resolve()
    index, empty = read_image_index(layout.get(IMAGE_INDEX, source / IMAGE_INDEX))
    headers = _copy_texts(layout, [line.entity_label for line in index], raw)
    files, subfolders = list_files(source)
    roots = [own, *(folder.resolve() for folder in image_folders)]
    images = IndexImages(source, roots, files, subfolders)
    lines, copied = _copy_images(images, index[IMAGE_INDEX in headers :], raw)
    if IMAGE_INDEX in layout:
        write_image_index(raw / IMAGE_INDEX, lines)
    reached = {(source / path).resolve() for path in copied}
    read = {str(path.relative_to(own)) for path in reached if path.is_relative_to(own)}
    read |= {*copied, *(path.name for path in layout.values())}
    issues = [
        *unread_issues(files, read, has_index=IMAGE_INDEX in layout),
        *_header_issues(headers, layout),
        *images.issues(),
        *data_issue("empty_index_lines", "lines of the index name no image", (), empty),
    ]
    return FolderCopy(
        texts=[path.name for path in layout.values()],
        images=len(copied),
        urls=sum(line.is_url for line in lines),
        issues=issues,
    )


def copy_facts(source: Path, raw: Path) -> None:
    """Copies the facts and names of a user's graph into `raw`, without header lines.

    Args:
        source: The user's folder; may be a link.
        raw: Folder to fill.

    Raises:
        DataError: As in `copy_folder`.
    """
    layout = _find_texts(source)
    kept = layout.keys() & {*SPLITS, ENTITY_NAMES, RELATION_NAMES}
    _copy_texts({name: layout[name] for name in layout if name in kept}, (), raw)


def _find_texts(source: Path) -> dict[str, Path]:
    """Finds the user's text files by canonical name; all lie in the folder."""
    if not source.is_dir():
        raise DataError(
            f"dataset.path: {source} is not a folder; set it to the folder that holds {TRAIN}"
        )
    layout = find_layout(source)
    for path in layout.values():
        require_file(path, [source.resolve()])
    return layout


def _copy_texts(
    layout: Mapping[str, Path], index_labels: Sequence[str], raw: Path
) -> dict[str, HeaderLine]:
    """Checks and copies the text files, and returns the header lines by canonical name.

    Args:
        layout: Canonical name -> the user's file.
        index_labels: Labels of the image index, in line order.
        raw: Folder to fill.
    """
    # Read here so that errors name the user's file and not its copy.
    facts = {name: read_label_triples(layout[name]) for name in SPLITS if name in layout}
    headers = find_fact_headers(facts)
    entities, relations = _labels_of(facts)
    for name in sorted(layout.keys() - facts.keys()):
        known = relations if name == RELATION_NAMES else entities
        labels: Iterable[str]
        if name == IMAGE_INDEX:
            labels = index_labels
        elif name == ENTITY_NUMBERS:
            labels = [line[0] for line in read_number_lines(layout[name])]
        else:
            labels = read_texts(layout[name]).by_label
        if header := find_text_header(labels, known):
            headers[name] = header
    for name in sorted(layout.keys() - {IMAGE_INDEX}):
        path, header = layout[name], headers.get(name)
        if header is None or not header.is_certain:
            copy_user_file(path, raw / name, [path.parent.resolve()])
            continue
        content = without_header(path.read_bytes(), header)
        if name in facts and not content.strip():
            raise DataError(
                f"{path} holds the titles of columns ({', '.join(header.labels)}) and no fact; "
                "write facts there or remove the file"
            )
        write_bytes(raw / name, content)
    return headers


def _labels_of(facts: Mapping[str, LabelTriples]) -> tuple[set[str], set[str]]:
    """Returns the labels of entities and of relations."""
    entities = {label for part in facts.values() for label in (*part.heads, *part.tails)}
    return entities, {label for part in facts.values() for label in part.relations}


def _copy_images(
    images: IndexImages, index: Sequence[ImageLine], raw: Path
) -> tuple[list[ImageLine], Collection[str]]:
    """Copies the images of an index.

    Returns:
        The lines of the index for the raw folder, and the paths of the copied images.
    """
    lines = []
    in_raw: dict[str, str] = {}
    for line in tqdm(index, desc="images", unit="image", disable=None):
        paths = [] if line.is_url else images.find(line.source)
        for path in paths:
            if path not in in_raw:
                in_raw[path] = _path_in_raw(images.source, path)
                copy_user_file(images.source / path, raw / in_raw[path], images.folders)
            lines.append(ImageLine(line.entity_label, in_raw[path], line.further))
        if not paths:
            lines.append(line)
    return lines, in_raw.keys()


def _path_in_raw(source: Path, image: str) -> str:
    """Returns a path for a local image in the raw folder that the index can name."""
    path = PurePosixPath(image)
    is_taken = str(path).casefold() in {*STEMS, ISSUES_FILE}
    if path.is_absolute() or ".." in path.parts or is_taken or not can_be_source(str(path)):
        suffix = path.suffix.lower() if path.suffix[1:].isalnum() else ""
        return f"{EXTERNAL_IMAGES}/{file_sha256(source / image)[:32]}{suffix}"
    return str(path)


def _header_issues(
    headers: Mapping[str, HeaderLine], layout: Mapping[str, Path]
) -> list[DataIssue]:
    """Reports header lines that were left out, and first facts that may be header lines."""

    def shown(*, is_certain: bool) -> list[str]:
        return [
            f"{layout[name].name}: {', '.join(map(repr, header.labels))}"
            for name, header in headers.items()
            if header.is_certain == is_certain
        ]

    return [
        *data_issue(
            "header_lines",
            "files begin with the titles of columns; these lines were not read",
            shown(is_certain=True),
        ),
        *data_issue(
            "possible_header_lines",
            "files begin with a fact that shares no label with another; delete the line if it "
            "holds the titles of columns",
            shown(is_certain=False),
        ),
    ]
