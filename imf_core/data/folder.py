"""File names and the image index of the folder format, for users' folders and the raw folder.

A folder holds `train.txt` (head, relation, tail labels by tab) and, optionally, `valid.txt`,
`test.txt`, `entity2name.txt`, `entity2desc.txt`, `relation2name.txt` (label, text by tab),
`entity2wikidata.txt` (label, Wikidata item or URI of an article by tab, further columns ignored)
and `image_index.tsv` (entity label, image file or URL by tab, further columns ignored, several
lines per entity allowed). A user's folder may use other well-known names (`folder_layout`).
"""

from dataclasses import dataclass
from pathlib import Path

from imf_core.artifacts import write_text
from imf_core.data.formats import read_lines
from imf_core.data.line_causes import explain_line
from imf_core.errors import DataError
from imf_core.web.urls import is_url

TRAIN, VALID, TEST = "train.txt", "valid.txt", "test.txt"
ENTITY_NAMES, ENTITY_DESCRIPTIONS = "entity2name.txt", "entity2desc.txt"
RELATION_NAMES = "relation2name.txt"
ENTITY_IDENTIFIERS = "entity2wikidata.txt"
IMAGE_INDEX = "image_index.tsv"


@dataclass(frozen=True)
class ImageLine:
    """One line of an image index."""

    entity_label: str
    source: str
    further: str

    @property
    def is_url(self) -> bool:
        """Whether the image is on the web."""
        return is_url(self.source)


def read_image_index(path: Path) -> tuple[list[ImageLine], int]:
    """Reads an image index.

    Returns:
        The lines in order, none without an index, and the number of skipped lines: blank lines and
        lines without an image, as in tables with gaps.

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
                f"separated by a tab, {explain_line(line, ('entity label', 'image'))}"
            )
        if image.strip():
            lines.append(ImageLine(label, image.strip(), further))
    return lines, blank + len(numbered) - len(lines)


def can_be_source(path: str) -> bool:
    """Returns whether an index can name a file: in UTF-8, on one line and in one field."""
    is_utf8 = path.encode(errors="ignore").decode() == path
    return is_utf8 and path == path.strip() and not any(each in path for each in "\t\n\r")


def write_image_index(path: Path, lines: list[ImageLine]) -> None:
    """Writes an image index in the given order."""
    rows = [
        "\t".join(part for part in (line.entity_label, line.source, line.further) if part)
        for line in lines
    ]
    write_text(path, "".join(f"{row}\n" for row in rows))
