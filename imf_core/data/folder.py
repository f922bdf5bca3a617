"""The folder format in which users bring their graph, and its way into the raw data.

A folder holds `train.txt` (head, relation, tail labels by tab) and, at choice, `valid.txt`,
`test.txt`, `entity2name.txt`, `entity2desc.txt`, `relation2name.txt` (label, text by tab),
`entity2wikidata.txt` (label, Wikidata item or URI of an article by tab, further columns ignored)
and `image_index.tsv` (entity label, image file or URL by tab, further columns ignored, several
lines per entity allowed). In: such a folder. Out: a raw folder with the same texts and exactly the
images that the index refers to.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from imf_core.artifacts import atomic_path, file_sha256, write_text
from imf_core.data.formats import read_label_triples, read_lines, read_texts
from imf_core.errors import DataError
from imf_core.web.urls import is_url

TRAIN, VALID, TEST = "train.txt", "valid.txt", "test.txt"
ENTITY_NAMES, ENTITY_DESCRIPTIONS = "entity2name.txt", "entity2desc.txt"
RELATION_NAMES = "relation2name.txt"
ENTITY_IDENTIFIERS = "entity2wikidata.txt"
IMAGE_INDEX = "image_index.tsv"
EXTERNAL_IMAGES = "images/external"

_TEXT_FILES = (
    TRAIN,
    VALID,
    TEST,
    ENTITY_NAMES,
    ENTITY_DESCRIPTIONS,
    RELATION_NAMES,
    ENTITY_IDENTIFIERS,
)


@dataclass(frozen=True)
class ImageLine:
    """One line of an image index."""

    entity_label: str
    source: str
    further: str

    @property
    def is_url(self) -> bool:
        """Whether the image is to be fetched."""
        return is_url(self.source)


@dataclass(frozen=True)
class FolderCopy:
    """What was copied.

    Attributes:
        texts: Names of the text files.
        images: Number of image files copied.
        missing_images: Number of index lines whose file is not there.
        outside_images: Number of index lines whose file lies where images may not be read.
        urls: Number of index lines that name a URL, left to the images stage.
        empty_lines: Number of index lines that name no image, not copied.
    """

    texts: list[str]
    images: int
    missing_images: int
    outside_images: int
    urls: int
    empty_lines: int


def copy_folder(source: Path, raw: Path, image_folders: Sequence[Path]) -> FolderCopy:
    """Copies the files of a user's graph into `raw`.

    Text files are copied byte for byte. A local image keeps its path; one in another of the
    allowed folders goes to `images/external/` under the hash of its content and the index is
    rewritten. An image that is missing, or lies anywhere else, stays in the index and is counted:
    a graph may come from strangers, and its index must not name this machine's own files.

    Args:
        source: The user's folder.
        raw: Folder to fill.
        image_folders: Where else images may lie.

    Raises:
        DataError: If the folder or its `train.txt` is missing, or a file is malformed.
    """
    if not source.is_dir():
        raise DataError(
            f"dataset.path: {source} is not a folder; set it to the folder that holds {TRAIN}"
        )
    if not (source / TRAIN).is_file():
        found = ", ".join(sorted(path.name for path in source.iterdir())[:10]) or "nothing"
        raise DataError(
            f"{source / TRAIN} is missing (the folder holds {found}); write your facts there, one "
            "per line: head, relation and tail labels separated by tabs"
        )
    texts = [name for name in _TEXT_FILES if (source / name).is_file()]
    for name in texts:
        if not (source / name).resolve().is_relative_to(source.resolve()):
            raise DataError(
                f"{source / name} is a link that leads out of the folder; put the file itself there"
            )
        # Read here for the faults, which then name the user's own file and not its copy.
        (read_label_triples if name in (TRAIN, VALID, TEST) else read_texts)(source / name)
        _copy(source / name, raw / name)
    roots = [folder.resolve() for folder in (source, *image_folders)]
    images, missing, outside, lines = 0, 0, 0, []
    index, empty = read_image_index(source / IMAGE_INDEX)
    copied: set[str] = set()
    for line in tqdm(index, desc="images", unit="image", disable=None):
        if line.is_url:
            lines.append(line)
        elif not _is_file(source / line.source):
            missing += 1
            lines.append(line)
        elif not any((source / line.source).resolve().is_relative_to(root) for root in roots):
            outside += 1
            lines.append(line)
        else:
            path = _path_in_raw(source, line.source)
            if path not in copied:
                _copy(source / line.source, raw / path)
                copied.add(path)
                images += 1
            lines.append(ImageLine(line.entity_label, path, line.further))
    if (source / IMAGE_INDEX).is_file():
        write_image_index(raw / IMAGE_INDEX, lines)
        texts.append(IMAGE_INDEX)
    urls = sum(line.is_url for line in lines)
    return FolderCopy(texts, images, missing, outside, urls, empty)


def read_image_index(path: Path) -> tuple[list[ImageLine], int]:
    """Reads an image index, in its order.

    Returns:
        The lines, none where there is no index, and the number of lines skipped: blank ones and
        those that name no image, as tables with gaps have them.

    Raises:
        DataError: If a line has no entity label or no tab, or the file is not UTF-8.
    """
    if not path.is_file():
        return [], 0
    numbered, blank = read_lines(path)
    lines = []
    for number, line in numbered:
        label, tab, rest = line.partition("\t")
        image, _, further = rest.partition("\t")
        if not label.strip() or not tab:
            raise DataError(
                f"{path}, line {number}: expected an entity label and an image file or URL "
                f"separated by a tab, got {line[:80]!r}; mend the line"
            )
        if image.strip():
            lines.append(ImageLine(label, image.strip(), further))
    return lines, blank + len(numbered) - len(lines)


def write_image_index(path: Path, lines: list[ImageLine]) -> None:
    """Writes an image index in the order given."""
    rows = [
        "\t".join(part for part in (line.entity_label, line.source, line.further) if part)
        for line in lines
    ]
    write_text(path, "".join(f"{row}\n" for row in rows))


def _path_in_raw(source: Path, image: str) -> str:
    """Returns where a local image is to stand below the raw folder."""
    path = PurePosixPath(image)
    is_text = path.parts in [(name,) for name in (*_TEXT_FILES, IMAGE_INDEX)]
    if path.is_absolute() or ".." in path.parts or is_text:
        return f"{EXTERNAL_IMAGES}/{file_sha256(source / image)[:32]}{path.suffix.lower()}"
    return str(path)


def _is_file(path: Path) -> bool:
    """Whether there is a file; a name the file system cannot have is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def _copy(source: Path, target: Path) -> None:
    """Copies the content of a file, whole or not at all."""
    try:
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
    except PermissionError as error:
        raise DataError(f"{source} cannot be read; give yourself permission to read it") from error
