"""The check that every file of a user's folder passes before it is read.

A graph may come from strangers, and none of its files may be a way to other files of this machine:
a link, an absolute path or `..` must not lead out of the folders that may be read. In: a path and
these folders. Out: the kind of thing that is there, or a copy of the file.
"""

import re
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from imf_core.artifacts import atomic_path
from imf_core.errors import DataError

FileKind = Literal["file", "folder", "missing", "outside", "special"]

_DVC_CACHE = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}(\.dir)?\Z")
"""Where DVC keeps a tracked file, which it may leave as a link in the user's folder. A link to it
opens no other file than the one whose hash its maker knew already."""


def find_kind(path: Path, folders: Sequence[Path]) -> FileKind:
    """Finds what is at a path, links followed.

    Args:
        path: The path.
        folders: Where files may be read; themselves without links.

    Returns:
        `file`, `folder`, `missing` (also a name that the file system cannot have, a broken link or
        a loop of links), `outside` of the folders, or `special`: a pipe, a socket or a device.

    Raises:
        DataError: If the way to the path may not be read inside the folders.
    """
    try:
        real = path.resolve(strict=True)
        mode = real.stat().st_mode
    except PermissionError as error:
        if not _is_inside(path.resolve(), folders):  # as far as it can be followed
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
    """Copies the content of a user's file, whole or not at all.

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
