"""Copies a user's folder into the raw folder.

In: a folder in a known layout (`folder_layout`). Out: its texts under their canonical names,
without header lines, the images of the index, and data issues. `user_file` checks every file.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from imf_core.artifacts import file_sha256, write_bytes
from imf_core.data.folder import (
    IMAGE_INDEX,
    RELATION_NAMES,
    TEST,
    TRAIN,
    VALID,
    ImageLine,
    can_be_source,
    read_image_index,
    write_image_index,
)
from imf_core.data.folder_layout import STEMS, find_layout, list_files, unread_issues
from imf_core.data.formats import LabelTriples, read_label_triples, read_texts
from imf_core.data.headers import (
    HeaderLine,
    find_fact_headers,
    find_text_header,
    without_header,
)
from imf_core.data.index_images import IndexImages
from imf_core.data.issues import ISSUES_FILE, DataIssue, data_issue
from imf_core.data.user_file import copy_user_file, require_file
from imf_core.errors import DataError

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
    if not source.is_dir():
        raise DataError(
            f"dataset.path: {source} is not a folder; set it to the folder that holds {TRAIN}"
        )
    own = source.resolve()
    layout = find_layout(source)
    for path in layout.values():
        require_file(path, [own])
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
        labels = index_labels if name == IMAGE_INDEX else read_texts(layout[name]).by_label
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
            "files begin with a fact whose labels are in no other fact; delete the line if it "
            "holds the titles of columns",
            shown(is_certain=False),
        ),
    ]
