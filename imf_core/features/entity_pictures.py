"""The pictures of one entity: its sources, tried in order until there are enough.

In: files in the data folder and outcomes in the web store. Out: re-encoded pictures, and an outcome
for every source. Nothing is fetched here: a URL without an outcome is `wanted`.
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
class SourceOutcome:
    """The outcome of one source.

    Attributes:
        source: URL, or path in the data folder.
        status: One of `SOURCE_STATUSES`, or `wanted`.
        reason: Cause in words, "" if there is none.
        fetched_at: Time of a URL's outcome; None without a request.
        sha256: Hash of the original content; None without content.
    """

    source: str
    status: str
    reason: str = ""
    fetched_at: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class EntityPictures:
    """The good pictures of one entity, and the outcome of each source in order."""

    entity_id: int
    pictures: list[bytes]
    source_outcomes: list[SourceOutcome]

    @property
    def wanted_urls(self) -> list[str]:
        """URLs to fetch before the pictures are known."""
        return [result.source for result in self.source_outcomes if result.status == WANTED]


def read_pictures(
    entity: EntitySources, outcomes: Sequence[Stored | None], raw_folder: Path, params: ImagesParams
) -> EntityPictures:
    """Tries an entity's sources in order until it has enough pictures; later ones are not opened.

    A URL without an outcome counts as a good picture for now, so that no unneeded URL is fetched.

    Args:
        entity: The sources.
        outcomes: Outcome of each source in the web store; None for files and unknown URLs.
        raw_folder: Folder of the data set's files, with all symbolic links in its path resolved.
        params: Limits and sizes.

    Returns:
        The pictures and the outcomes; a rejected source has a status, it is no error.
    """
    found = EntityPictures(entity.entity_id, [], [])
    seen: set[str] = set()
    hopes = 0
    for source, outcome in zip(entity.sources, outcomes, strict=True):
        if len(found.pictures) + hopes >= params.max_per_entity:
            found.source_outcomes.append(SourceOutcome(source, "surplus"))
            continue
        if is_url(source) and outcome is None:
            found.source_outcomes.append(SourceOutcome(source, WANTED))
            hopes += 1
            continue
        result, picture = _read_source(source, outcome, raw_folder, params)
        if picture is not None and (digest := sha256(picture).hexdigest()) not in seen:
            seen.add(digest)
            found.pictures.append(picture)
        elif picture is not None:
            result = SourceOutcome(source, "duplicate", "", result.fetched_at, result.sha256)
        found.source_outcomes.append(result)
    return found


def _read_source(
    source: str, outcome: Stored | None, raw_folder: Path, params: ImagesParams
) -> tuple[SourceOutcome, bytes | None]:
    fetched_at = None
    if outcome is not None:
        fetched_at = outcome.fetched_at
        if outcome.path is None:
            return SourceOutcome(source, outcome.status, outcome.reason, fetched_at), None
        content = outcome.path.read_bytes()
    else:
        read = _read_file(source, raw_folder, params.max_source_bytes)
        if isinstance(read, SourceOutcome):
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
        return SourceOutcome(source, image.fault, image.detail, fetched_at, digest), None
    return SourceOutcome(source, "ok", image.detail, fetched_at, digest), image.content


def _read_file(source: str, raw_folder: Path, max_bytes: int) -> bytes | SourceOutcome:
    """Reads a file of the data folder, which may be a link to DVC's cache."""
    relative = PurePosixPath(source)
    if source.lower().startswith("file:") or "://" in source:
        return SourceOutcome(source, "refused", "only http and https URLs are fetched")
    if relative.is_absolute() or ".." in relative.parts:
        return SourceOutcome(source, "refused", "not a path inside the data folder")
    path = raw_folder / relative
    try:
        match find_kind(path, [raw_folder]):
            case "outside":
                result = SourceOutcome(source, "refused", "a link out of the data folder")
            case "special":
                result = SourceOutcome(source, "missing", "neither a file nor a folder")
            case _ if (size := path.stat().st_size) > max_bytes:
                result = SourceOutcome(
                    source, "too_many_bytes", f"{size} bytes, at most {max_bytes}"
                )
            case _:
                return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        result = SourceOutcome(source, "missing", "there is no such file")
    except (DataError, PermissionError):
        result = SourceOutcome(source, "missing", "no permission to read the file")
    except IsADirectoryError:
        result = SourceOutcome(source, "missing", "a folder and not a file")
    except OSError as error:  # a loop of links, a name that is too long
        result = SourceOutcome(source, "missing", f"cannot be read ({error.strerror})")
    except ValueError:  # a NUL in the name
        result = SourceOutcome(source, "missing", "no file can have this name")
    return result
