"""Checks every file of a user's folder before it is read.

A graph may be untrusted, and its files must not give access to other files of this machine: a link,
an absolute path or `..` must not lead out of the readable folders. In: a path and these folders.
Out: the kind of file, or a copy of it.
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
