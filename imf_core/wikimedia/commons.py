"""Images on Wikimedia Commons: URLs at a width, licences and authors.

In: names of files. Out: their URLs, and `Credit`s from the pages of the files.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from pydantic import Field

from imf_core.wikimedia.api import (
    AsMap,
    Client,
    Json,
    MediaWikiAnswer,
    NoneIfOdd,
    OneRenamed,
    batches,
    fetch_json,
    joined,
    text_of_html,
)
from imf_core.wikimedia.identifiers import path_of_title

API = "https://commons.wikimedia.org/w/api.php"
MAX_LICENCE, MAX_AUTHOR = 100, 300
_PAGE = re.compile(r"https://commons\.wikimedia\.org/[!-~]+")


class _Value(Json):
    value: object = None


class _Metadata(Json):
    licence: _Value = Field(default=_Value(), alias="LicenseShortName")
    author: _Value = Field(default=_Value(), alias="Artist")


class _Info(Json):
    metadata: Annotated[_Metadata, AsMap] = Field(default=_Metadata(), alias="extmetadata")
    page: str | None = Field(default=None, alias="descriptionurl")


class _Page(Json):
    title: str = ""
    imageinfo: list[_Info] = Field(default_factory=list)


class _Query(Json):
    normalized: list[OneRenamed] = Field(default_factory=list)
    redirects: list[OneRenamed] = Field(default_factory=list)
    pages: Annotated[dict[str, Annotated[_Page | None, NoneIfOdd]], AsMap] = Field(
        default_factory=dict
    )


class _Files(MediaWikiAnswer):
    query: Annotated[_Query, AsMap] = _Query()


@dataclass(frozen=True)
class Credit:
    """Licence and author of an image.

    Attributes:
        licence: Short name of the licence, None if the page has none.
        author: Author in plain text, None if the page has none.
        page: URL of the file's page.
        failure: Reason of a failed request, else "".
    """

    licence: str | None
    author: str | None
    page: str
    failure: str = ""


def image_url(file: str, width_pixels: int) -> str:
    """Returns the URL of a file at a width; drawings come as PNG."""
    return (
        f"https://commons.wikimedia.org/wiki/Special:FilePath/{path_of_title(file)}"
        f"?width={width_pixels}"
    )


def page_url(file: str) -> str:
    """Returns the URL of a file's page."""
    return f"https://commons.wikimedia.org/wiki/File:{path_of_title(file)}"


def look_up_credits(files: Collection[str], client: Client) -> dict[str, Credit]:
    """Requests licences and authors from Commons, fifty files at a time.

    Args:
        files: Names in the form of MediaWiki titles, without `File:`.
        client: The client.

    Returns:
        A credit for each file.
    """
    asked = {_url(group): group for group in batches(sorted({f"File:{file}" for file in files}))}
    found = {}
    for answer in fetch_json(asked, _Files, client, "licences"):
        query = answer.content.query if answer.content else _Query()
        renamed = {each.given: each.to for each in (*query.normalized, *query.redirects) if each}
        pages = {page.title: page for page in query.pages.values() if page}
        for title in asked[answer.url]:
            # A normalised name may be a redirect.
            target = renamed.get(title, title)
            page = pages.get(renamed.get(target, target), _Page())
            info = page.imageinfo[0] if page.imageinfo else _Info()
            file = title.removeprefix("File:")
            found[file] = Credit(
                _text(info.metadata.licence, MAX_LICENCE),
                _text(info.metadata.author, MAX_AUTHOR),
                info.page if info.page and _PAGE.fullmatch(info.page) else page_url(file),
                answer.reason,
            )
    return found


def _url(titles: list[str]) -> str:
    query = {
        "action": "query",
        "prop": "imageinfo",
        "iiprop": "extmetadata|url",
        "iiextmetadatafilter": "LicenseShortName|Artist",
        "redirects": 1,
        "format": "json",
    }
    return f"{API}?{urlencode(query)}&titles={joined(titles)}"


def _text(value: _Value, max_characters: int) -> str | None:
    """Returns a field of the metadata, which is HTML, as plain text."""
    text = text_of_html(value.value, max_characters) if isinstance(value.value, str) else ""
    return text or None
