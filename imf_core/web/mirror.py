"""A mirror: a folder or a base URL that holds every file at its URL without the scheme."""

import re
from pathlib import Path

from imf_core.errors import ConfigError
from imf_core.web.failures import FetchError
from imf_core.web.urls import below_mirror, parse


class FolderMirror:
    """A mirror on disk; the file's name includes the URL's query."""

    def __init__(self, folder: Path) -> None:
        """Checks that the folder exists.

        Raises:
            ConfigError: If it does not.
        """
        if not folder.is_dir():
            raise ConfigError(
                f"the mirror {folder} is no directory; set IMF_MIRROR to a directory or base URL "
                "that holds every file at its URL without the scheme, or unset it"
            )
        self._folder = folder

    def find(self, url: str) -> Path | None:
        """Returns the file of `url`, None if there is none.

        Raises:
            FetchError: If the URL's path leads out of the mirror.
        """
        path = self._folder / below_mirror(url)
        try:
            return path if path.is_file() else None
        except OSError:  # a name too long for the file system
            return None


class UrlMirror:
    """A mirror on the web."""

    def __init__(self, base: str) -> None:
        """Checks the URL.

        Raises:
            ConfigError: If `base` is no http(s) URL.
        """
        try:
            parse(base)
        except FetchError:
            raise ConfigError(
                f"the mirror {base} is neither a directory nor an http(s) URL; correct IMF_MIRROR"
            ) from None
        self.base = base.rstrip("/")

    def place_of(self, url: str) -> str:
        """Returns the URL of `url` on the mirror.

        Raises:
            FetchError: If the URL's path leads out of the mirror.
        """
        return f"{self.base}/{below_mirror(url)}"


def make_mirror(mirror: str | None) -> FolderMirror | UrlMirror | None:
    """Makes a mirror from the value of IMF_MIRROR; None means the web.

    Raises:
        ConfigError: If it is neither a directory nor an http(s) URL, or may contain a secret.
    """
    if mirror is None:
        return None
    if re.search("[@?#]", mirror) and not Path(mirror).is_dir():
        raise ConfigError(
            "IMF_MIRROR holds an @, ? or #, and is not shown here since it may hold a password; "
            "a mirror is a directory or a base URL without user name, password, query and "
            "fragment; let a proxy on this machine add them"
        )
    return UrlMirror(mirror) if "://" in mirror else FolderMirror(Path(mirror))
