"""Checks of a user's files, and the images that an image index names.

A graph may come from strangers: a link, an absolute path or `..` must not lead out of the folders
that may be read. An entry of the index may name a folder; its images are taken in the order of
their names. If nothing is at the path as written, the only file or folder is taken that differs in
letter case, in the Unicode form of its letters or in the direction of its slashes.
"""

import difflib
import re
import shutil
import stat
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Literal

from imf_core.base.artifacts import atomic_path
from imf_core.base.errors import DataError
from imf_core.base.terminal import plain_form, show_alike
from imf_core.graph.issues import MAX_EXAMPLES, DataIssue, data_issue
from imf_core.sources.layout import is_picture

FileKind = Literal["file", "folder", "missing", "outside", "special"]

_DVC_CACHE = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}(\.dir)?\Z")
"""Path of a tracked file in DVC's cache, to which DVC may leave a link in the user's folder. Such a
link is safe: its maker already knew the hash of the content."""


def find_kind(path: Path, folders: Sequence[Path]) -> FileKind:
    """Returns the kind of a path, following links.

    Args:
        path: The path.
        folders: The readable folders, with links resolved.

    Returns:
        `file`, `folder`, `missing` (also an invalid name, a broken link or a loop of links),
        `outside` of the folders, or `special`: a pipe, a socket or a device.

    Raises:
        DataError: If a folder on the way may not be read.
    """
    try:
        real = path.resolve(strict=True)
        mode = real.stat().st_mode
    except PermissionError as error:
        if not _is_inside(path.resolve(), folders):  # as far as it can be resolved
            return "outside"
        raise _forbidden(path) from error
    except (OSError, ValueError, RuntimeError):
        return "missing"
    if not _is_inside(real, folders) and not _DVC_CACHE.search(real.as_posix()):
        return "outside"
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "special"


def require_file(path: Path, folders: Sequence[Path]) -> None:
    """Raises a `DataError` unless there is a regular file inside the folders."""
    match find_kind(path, folders):
        case "missing":
            raise DataError(f"{path} is a link that leads nowhere; put the file itself there")
        case "outside":
            raise DataError(
                f"{path} is a link that leads out of the folder; put the file itself there"
            )
        case "folder" | "special":
            raise DataError(f"{path} is not a regular file; put a text file there")


def copy_user_file(source: Path, target: Path, folders: Sequence[Path]) -> None:
    """Copies the content of a user's file completely or not at all.

    Raises:
        DataError: If it is not a regular file inside the folders, or may not be read.
    """
    require_file(source, folders)
    try:
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
    except PermissionError as error:
        raise _forbidden(source) from error


def _is_inside(real: Path, folders: Sequence[Path]) -> bool:
    return any(real.is_relative_to(folder) for folder in folders)


def _forbidden(path: Path) -> DataError:
    return DataError(f"{path} cannot be read; give yourself permission to read it")


MAX_PICTURES = 100
"""Largest number of pictures of a folder, and of `images.max_per_entity`."""


@dataclass
class IndexImages:
    """Finds the pictures of index entries and records changed or missing paths.

    Attributes:
        source: The user's folder.
        folders: Folders that may contain pictures, with links resolved.
        files: All files of the user's folder, relative to it.
        subfolders: All its folders, relative to it.
    """

    source: Path
    folders: Sequence[Path]
    files: Sequence[str]
    subfolders: Sequence[str]
    _alike: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _adapted: dict[str, str] = field(default_factory=dict)
    _missing: dict[str, str] = field(default_factory=dict)
    _outside: dict[str, None] = field(default_factory=dict)
    _surplus: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Indexes every path by its comparable form."""
        for path in (*self.files, *self.subfolders):
            self._alike[_comparable(path)].append(path)

    def find(self, entry: str) -> list[str]:
        """Returns the pictures of an entry, as paths relative to the user's folder."""
        path, kind = entry, find_kind(self.source / entry, self.folders)
        if kind == "missing":
            alike = self._alike.get(_comparable(entry), [])
            if len(alike) != 1:
                self._missing[entry] = " or ".join(map(repr, alike))
                return []
            (path,) = alike
            kind = find_kind(self.source / path, self.folders)
            if kind in {"file", "folder"}:
                self._adapted[entry] = path
        if kind == "folder":
            return self._pictures_in(entry, path)
        if kind == "file":
            return [path]
        if kind == "outside":
            self._outside[entry] = None
        else:
            self._missing[entry] = "neither a file nor a folder"
        return []

    def issues(self) -> list[DataIssue]:
        """Reports changed and missing entries, each once."""
        first = islice(self._missing.items(), MAX_EXAMPLES)  # hints are slow to find
        missing = [f"{entry!r}{self._hint(entry, hint)}" for entry, hint in first]
        return [
            *data_issue(
                "missing_images",
                "images of the index are missing",
                missing,
                len(self._missing),
            ),
            *data_issue(
                "outside_images",
                "images of the index lie outside the folder and were not read; where they are "
                "yours, name their folder in dataset.image_folders in params.yaml",
                map(repr, self._outside),
            ),
            *data_issue(
                "adapted_image_paths",
                "images of the index are not there as written; the only file alike was taken",
                (show_alike(pair) for pair in self._adapted.items()),
            ),
            *data_issue(
                "surplus_images_of_folders",
                f"folders of the index hold more than {MAX_PICTURES} pictures; the further ones "
                "were not read",
                map(repr, self._surplus),
            ),
        ]

    def _pictures_in(self, entry: str, folder: str) -> list[str]:
        """Returns the first pictures of a folder by name, without links out of it."""
        names = sorted(path.name for path in (self.source / folder).iterdir())
        paths = [str(PurePosixPath(folder) / name) for name in names if is_picture(name)]
        kinds = {path: find_kind(self.source / path, self.folders) for path in paths}
        self._outside |= {path: None for path, kind in kinds.items() if kind == "outside"}
        pictures = [path for path, kind in kinds.items() if kind == "file"]
        if not pictures:
            self._missing[entry] = "a folder without pictures"
        if len(pictures) > MAX_PICTURES:
            self._surplus[entry] = None
        return pictures[:MAX_PICTURES]

    def _hint(self, entry: str, hint: str) -> str:
        """Returns a hint for a missing entry."""
        if hint:
            return f" ({hint})"
        by_stem = {PurePosixPath(_comparable(path)).stem: path for path in reversed(self.files)}
        stem = PurePosixPath(_comparable(entry)).stem
        near = difflib.get_close_matches(stem, by_stem, n=1, cutoff=0.75)
        return f" (nearly like it: {by_stem[near[0]]!r})" if near else ""


def _comparable(path: str) -> str:
    """Returns the comparable form of a path."""
    return "/".join(map(plain_form, PurePosixPath(path.replace("\\", "/")).parts)).casefold()
