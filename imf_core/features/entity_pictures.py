"""The pictures of one entity: its sources, tried in order until there are enough.

In: files in the data folder and what the web store holds. Out: re-encoded pictures, and the fate
of every source. Nothing is fetched here: a URL that has no outcome yet is `wanted`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath

from imf_core.config import ImagesParams
from imf_core.data.user_file import find_kind
from imf_core.errors import DataError
from imf_core.features.image_list import EntitySources
from imf_core.media.images import RejectedImage, reencode_image
from imf_core.web.store import Stored
from imf_core.web.urls import is_url

SOURCE_STATUSES = (
    "ok",
    "duplicate",
    "surplus",
    "missing",
    "empty",
    "not_an_image",
    "unread_format",
    "truncated",
    "blank",
    "too_many_bytes",
    "too_many_pixels",
    "not_found",
    "refused",
    "unreachable",
    "error",
)
WANTED = "wanted"


@dataclass(frozen=True)
class SourceFate:
    """What became of one source.

    Attributes:
        source: URL, or path in the data folder.
        status: One of `SOURCE_STATUSES`, or `wanted`.
        reason: For people, "" where there is nothing to say.
        fetched_at: When a URL's outcome came about; None for what was not asked for.
        sha256: Of the content as it was found; None where there was none.
    """

    source: str
    status: str
    reason: str = ""
    fetched_at: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class EntityPictures:
    """The good pictures of one entity, and the fate of each of its sources in order."""

    entity_id: int
    pictures: list[bytes]
    fates: list[SourceFate]

    @property
    def wanted_urls(self) -> list[str]:
        """URLs that have to be fetched before more can be said."""
        return [fate.source for fate in self.fates if fate.status == WANTED]


def read_pictures(
    entity: EntitySources, outcomes: Sequence[Stored | None], raw_folder: Path, params: ImagesParams
) -> EntityPictures:
    """Tries an entity's sources until it has enough; later ones are not even opened.

    A URL without an outcome is taken for a good picture until it is known better, so that no more
    is fetched than needed.

    Args:
        entity: The sources.
        outcomes: What the web store holds, one per source; None for files and unknown URLs.
        raw_folder: Where the data set's files lie, without symbolic links in its own path.
        params: Limits and sizes.

    Returns:
        The pictures and fates; a rejected source is a status, never an error.
    """
    found = EntityPictures(entity.entity_id, [], [])
    seen: set[str] = set()
    hopes = 0
    for source, outcome in zip(entity.sources, outcomes, strict=True):
        if len(found.pictures) + hopes >= params.max_per_entity:
            found.fates.append(SourceFate(source, "surplus"))
            continue
        if is_url(source) and outcome is None:
            found.fates.append(SourceFate(source, WANTED))
            hopes += 1
            continue
        fate, picture = _read_source(source, outcome, raw_folder, params)
        if picture is not None and (digest := sha256(picture).hexdigest()) not in seen:
            seen.add(digest)
            found.pictures.append(picture)
        elif picture is not None:
            fate = SourceFate(source, "duplicate", "", fate.fetched_at, fate.sha256)
        found.fates.append(fate)
    return found


def _read_source(
    source: str, outcome: Stored | None, raw_folder: Path, params: ImagesParams
) -> tuple[SourceFate, bytes | None]:
    """Reads and re-encodes one picture."""
    fetched_at = None
    if outcome is not None:
        fetched_at = outcome.fetched_at
        if outcome.path is None:
            return SourceFate(source, outcome.status, outcome.reason, fetched_at), None
        content = outcome.path.read_bytes()
    else:
        read = _read_file(source, raw_folder, params.max_source_bytes)
        if isinstance(read, SourceFate):
            return read, None
        content = read
    digest = sha256(content).hexdigest()
    image = reencode_image(
        content,
        size_pixels=params.size_pixels,
        max_bytes=params.max_source_bytes,
        max_pixels=params.max_source_pixels,
    )
    if isinstance(image, RejectedImage):
        return SourceFate(source, image.fault, image.detail, fetched_at, digest), None
    return SourceFate(source, "ok", image.detail, fetched_at, digest), image.content


def _read_file(source: str, raw_folder: Path, max_bytes: int) -> bytes | SourceFate:
    """Reads a file of the data folder, where DVC may keep it as a link to its cache."""
    relative = PurePosixPath(source)
    if source.lower().startswith("file:") or "://" in source:
        return SourceFate(source, "refused", "only http and https URLs are fetched")
    if relative.is_absolute() or ".." in relative.parts:
        return SourceFate(source, "refused", "not a path inside the data folder")
    path = raw_folder / relative
    try:
        match find_kind(path, [raw_folder]):
            case "outside":
                fate = SourceFate(source, "refused", "a link out of the data folder")
            case "special":
                fate = SourceFate(source, "missing", "neither a file nor a folder")
            case _ if (size := path.stat().st_size) > max_bytes:
                fate = SourceFate(source, "too_many_bytes", f"{size} bytes, at most {max_bytes}")
            case _:
                return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        fate = SourceFate(source, "missing", "there is no such file")
    except (DataError, PermissionError):
        fate = SourceFate(source, "missing", "no permission to read the file")
    except IsADirectoryError:
        fate = SourceFate(source, "missing", "a folder and not a file")
    except OSError as error:  # a loop of links, a name that is too long
        fate = SourceFate(source, "missing", f"cannot be read ({error.strerror})")
    except ValueError:  # a NUL in the name
        fate = SourceFate(source, "missing", "no file can have this name")
    return fate
