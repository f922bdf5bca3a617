"""The folder format: names and image index of users' folders and of the raw folder.

A folder holds `train.txt` (head, relation, tail labels by tab) and, at choice, `valid.txt`,
`test.txt`, `entity2name.txt`, `entity2desc.txt`, `relation2name.txt` (label, text by tab),
`entity2wikidata.txt` (label, Wikidata item or URI of an article by tab), `entity2number.txt`
(label, attribute, number or date by tab, several lines per entity allowed) and `image_index.tsv`
(entity label, image file or URL by tab, several lines per entity allowed). Further columns are
ignored. A user's folder may have the names of other well-known layouts; names are compared
without regard to letter case. Endings tell images from other files; `raster` decides by content.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from imf_core.base.artifacts import write_text
from imf_core.base.errors import DataError
from imf_core.base.line_causes import explain_line
from imf_core.graph.issues import DataIssue, data_issue
from imf_core.sources.formats import read_lines
from imf_core.web.url_pattern import is_url

READ_ENDINGS = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".gif", ".bmp", ".webp", ".avif"}
    | {".tif", ".tiff", ".ico", ".jp2", ".ppm", ".pgm", ".pbm", ".pnm", ".qoi"}
)
"""Endings of the formats in `image_formats.RASTER_FORMATS`."""

UNREAD_ENDINGS = frozenset(
    {".heic", ".heif", ".svg", ".svgz", ".eps", ".wmf", ".emf", ".tga", ".jxl", ".djvu"}
)
"""Endings of unreadable formats, which have their own status in the stage `images`."""

PICTURE_ENDINGS = READ_ENDINGS | UNREAD_ENDINGS


TRAIN, VALID, TEST = "train.txt", "valid.txt", "test.txt"
ENTITY_NAMES, ENTITY_DESCRIPTIONS = "entity2name.txt", "entity2desc.txt"
RELATION_NAMES = "relation2name.txt"
ENTITY_IDENTIFIERS = "entity2wikidata.txt"
ENTITY_NUMBERS = "entity2number.txt"
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


STEMS = {
    TRAIN: ("train",),
    VALID: ("valid", "dev", "val", "validation"),
    TEST: ("test",),
    ENTITY_NAMES: ("entity2name", "entity2text", "entity2label"),
    ENTITY_DESCRIPTIONS: ("entity2desc", "entity2description", "entity2textlong"),
    RELATION_NAMES: ("relation2name", "relation2text", "relation2label"),
    ENTITY_IDENTIFIERS: ("entity2wikidata",),
    ENTITY_NUMBERS: ("entity2number",),
    IMAGE_INDEX: ("image_index",),
}
"""Canonical name -> accepted names, each with the ending .txt or .tsv."""

ENDINGS = (".txt", ".tsv")

_CANONICAL = {
    f"{stem}{ending}": name for name, stems in STEMS.items() for stem in stems for ending in ENDINGS
}
_NOTES = frozenset({"readme", "license", "licence", "copying", "authors", "changelog", "citation"})
"""Files about the data, not reported as unread."""

READ_NAMES = ", ".join("/".join(stems) for stems in STEMS.values()) + " with .txt or .tsv"


def find_layout(folder: Path) -> dict[str, Path]:
    """Finds the user's file for each canonical name, in the order of `STEMS`.

    Raises:
        DataError: If two files have the same canonical name, or there are no train facts.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        name = _CANONICAL.get(path.name.casefold())
        if name in found:
            raise DataError(
                f"{folder} holds both {found[name].name} and {path.name}, which have the same "
                f"meaning ({name}); keep one of them"
            )
        if name is not None:
            found[name] = path
    if TRAIN not in found:
        raise DataError(_no_train(folder))
    return {name: found[name] for name in STEMS if name in found}


def list_files(folder: Path) -> tuple[list[str], list[str]]:
    """Lists the files and folders inside a folder: relative, sorted, without following links."""
    files, folders = [], []
    for at, folder_names, file_names in os.walk(folder):
        folder_names[:] = sorted(name for name in folder_names if not name.startswith("."))
        here = Path(at).relative_to(folder)
        files += [(here / name).as_posix() for name in file_names]
        folders += [(here / name).as_posix() for name in folder_names]
    return sorted(files), sorted(folders)


def unread_issues(files: Iterable[str], read: set[str], *, has_index: bool) -> list[DataIssue]:
    """Reports the unread files of a folder, without notes and hidden files.

    Args:
        files: All files, relative to the folder.
        read: The files that were read.
        has_index: Whether there is an image index.
    """
    unread = [name for name in files if name not in read and not _is_note(PurePath(name))]
    pictures = [name for name in unread if is_picture(name)]
    others = [name for name in unread if not is_picture(name)]
    why = (
        f"{IMAGE_INDEX} does not name them"
        if has_index
        else f"pictures need an {IMAGE_INDEX}: a line with an entity label, a tab, and a picture "
        "or a folder of pictures"
    )
    return [
        *data_issue(
            "unread_files",
            f"files of the folder were not read; these names are read: {READ_NAMES}",
            map(repr, others),
        ),
        *data_issue(
            "unread_pictures",
            f"pictures of the folder were not read; {why}",
            map(repr, pictures),
        ),
    ]


def is_picture(name: str) -> bool:
    """Returns whether a file has the ending of a picture."""
    return PurePath(name).suffix.lower() in PICTURE_ENDINGS


def _is_note(path: PurePath) -> bool:
    is_hidden = any(part.startswith(".") for part in path.parts)
    is_note = path.stem.casefold() in _NOTES or path.name.casefold() in {"thumbs.db", "desktop.ini"}
    return is_hidden or path.suffix == ".dvc" or (is_note and len(path.parts) == 1)


def _no_train(folder: Path) -> str:
    """Says that there are no train facts, and where they may be."""
    names = sorted(path.name for path in folder.iterdir())
    below = sorted(
        path.parent for path in folder.glob("*/*") if _CANONICAL.get(path.name.casefold()) == TRAIN
    )
    shown = ", ".join(name if name.isprintable() else repr(name) for name in names[:10])
    hint = f"; set dataset.path to {below[0]}, which holds one, or" if below else ";"
    return (
        f"{folder / TRAIN} is missing (the folder holds {shown or 'nothing'})"
        f"{hint} write your facts there, one per line: head, relation and tail labels separated "
        f"by tabs (names that are read: {READ_NAMES})"
    )
