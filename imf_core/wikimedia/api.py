"""Requests to web services that answer in JSON; the answers come from the web store.

A service under load may refuse with a well-formed answer (HTTP 200 with an `error`), which the
store cannot tell from others. Such an answer is deleted and requested again after a pause; a final
refusal counts as unreachable in this run alone, unless the store has an earlier answer. A request
refused for its content counts as not found. Texts of pages that anyone may edit become plain,
single-line and bounded.
"""

import re
import time
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Annotated, Any, Generic, Literal, TypeVar
from urllib.parse import quote

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from imf_core.base.config import FetchParams
from imf_core.base.terminal import JOINERS, is_format
from imf_core.web.fetch import fetch_into
from imf_core.web.responses import plain_reason
from imf_core.web.store import WebStore
from imf_core.wikimedia.identifiers import Identifier

_MAX_HTML = 20_000
_MARKED_SECTION = re.compile(r"<!\[[^>]*>?")
"""A marked section: browsers hide it, Python's parser fails on it."""
_VOID = frozenset({"br", "hr", "img", "input", "link", "meta", "wbr"})
_BREAKING = frozenset({"br", "div", "p", "li", "td", "tr"})


def clean_text(text: str, max_characters: int) -> str:
    """Returns one line of plain text, cut to a length."""
    return " ".join("".join(map(_clean, text)).split())[:max_characters].rstrip()


def text_of_html(html: str, max_characters: int) -> str:
    """Returns the visible text of a piece of HTML, cleaned."""
    parser = _VisibleText()
    parser.feed(_MARKED_SECTION.sub("", html[:_MAX_HTML]))
    parser.close()
    return clean_text("".join(parser.parts), max_characters)


def _clean(character: str) -> str:
    category = unicodedata.category(character)
    if category in {"Cc", "Zl", "Zp"}:
        return " "
    # Cs: half a surrogate pair, which UTF-8 cannot encode.
    is_dropped = category == "Cs" or (is_format(character) and character not in JOINERS)
    return "" if is_dropped else character


class _VisibleText(HTMLParser):
    """Collects the visible text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Starts hiding at a hidden element, and counts the elements inside it."""
        if tag in _BREAKING:
            self.parts.append(" ")
        style = (dict(attrs).get("style") or "").replace(" ", "").lower()
        starts = tag in {"script", "style"} or "display:none" in style
        if tag not in _VOID and (self._hidden or starts):
            self._hidden += 1

    def handle_endtag(self, tag: str) -> None:
        """Stops hiding at the end of the hidden element."""
        if tag not in _VOID and self._hidden:
            self._hidden -= 1

    def handle_data(self, data: str) -> None:
        """Keeps visible text."""
        if not self._hidden:
            self.parts.append(data)


MAX_NAMES = 50
"""Limit of MediaWiki for one request."""
MAX_CHARACTERS = 5000
"""Limit for all names, quoted as in a URL: servers refuse URLs longer than about 8,000."""


def batches(names: Sequence[str]) -> Iterator[list[str]]:
    """Yields groups of names, in their order, that fit into one request."""
    group: list[str] = []
    length = 0
    for name in names:
        size = len(quote(name, safe="")) + len("%7C")
        if group and (len(group) == MAX_NAMES or length + size > MAX_CHARACTERS):
            yield group
            group, length = [], 0
        group.append(name)
        length += size
    if group:
        yield group


def batches_by_site(identifiers: Collection[Identifier]) -> Iterator[tuple[str, list[str]]]:
    """Yields the names of each site in groups that fit into one request, in sorted order."""
    for site in sorted({identifier.site for identifier in identifiers}):
        names = sorted({each.name for each in identifiers if each.site == site})
        for group in batches(names):
            yield site, group


def joined(names: Sequence[str]) -> str:
    """Formats names as one value of a query."""
    return quote("|".join(names), safe="")


MAX_ANSWER_BYTES = 200_000_000
"""Fifty large items with all their claims have some ten million bytes."""
_FIRST_PAUSE_SECONDS = 5.0
"""The pause that MediaWiki requests after a refusal."""

_PASSING_ERRORS = frozenset({"maxlag", "ratelimited", "readonly", "blocked", "autoblocked"})
_INTERNAL_ERROR = "internal_api_error"
"""Prefix of the codes of MediaWiki's internal errors."""

Status = Literal["ok", "not_found", "unreachable"]


class Json(BaseModel):
    """Base class of parsed answers; unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def _none_if_odd(value: object, validate: ValidatorFunctionWrapHandler) -> object:
    try:
        return validate(value)
    except ValidationError:
        return None


NoneIfOdd = WrapValidator(_none_if_odd)
"""For one of many in an answer: a malformed one becomes None and keeps the others valid."""

AsMap = BeforeValidator(lambda value: {} if value == [] else value)
"""MediaWiki writes an empty map as an empty list."""


class _Error(Json):
    code: str
    info: str = ""

    @property
    def is_temporary(self) -> bool:
        """Whether a later request may succeed."""
        return self.code in _PASSING_ERRORS or self.code.startswith(_INTERNAL_ERROR)


class MediaWikiAnswer(Json):
    """An answer of MediaWiki's `api.php`: a result or an error."""

    error: _Error | None = None


class Renamed(Json):
    """A page title that MediaWiki replaced by another."""

    given: str = Field(alias="from")
    to: str
    section: str = Field(default="", alias="tofragment")


OneRenamed = Annotated[Renamed | None, NoneIfOdd]


AnswerT = TypeVar("AnswerT", bound=Json)


@dataclass(frozen=True)
class Client:
    """Settings of all requests.

    Attributes:
        store: The store of outcomes.
        params: Limits and pauses.
        mirror: Folder or base URL, used instead of the web.
        sleep: Waits for a number of seconds.
    """

    store: WebStore
    params: FetchParams
    mirror: str | None = None
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Answer(Generic[AnswerT]):
    """The outcome of one request.

    Attributes:
        url: The requested URL.
        status: ok, not_found (no such page, or the service refuses such requests) or unreachable.
        reason: Reason of another status, "" for ok.
        fetched_at: Time of the request, ISO 8601; None without a request.
        content: The parsed answer if the status is ok.
    """

    url: str
    status: Status
    reason: str
    fetched_at: str | None
    content: AnswerT | None


def fetch_json(
    urls: Iterable[str], schema: type[AnswerT], client: Client, label: str
) -> Iterator[Answer[AnswerT]]:
    """Fetches URLs and yields the parsed answers, retried ones last.

    Args:
        urls: The URLs.
        schema: Type of the answers.
        client: The client.
        label: Label of the progress bar.

    Yields:
        One answer for each distinct URL; only one is in memory at a time.
    """
    waiting = list(dict.fromkeys(urls))
    for attempt in range(1, client.params.attempts + 1):
        if not waiting:
            return
        if attempt > 1:
            pause = _FIRST_PAUSE_SECONDS * 2 ** (attempt - 2)
            client.sleep(min(pause, client.params.timeout_seconds))
        fetch_into(
            client.store,
            waiting,
            client.params,
            max_bytes=MAX_ANSWER_BYTES,
            mirror=client.mirror,
            label=label,
        )
        put_off = []
        for url in waiting:
            answer, is_temporary = _read(url, schema, client.store)
            if is_temporary:
                client.store.forget(url)
            if is_temporary and attempt < client.params.attempts:
                put_off.append(url)
            elif is_temporary and client.store.earlier(url):
                client.store.put_back(url, answer.reason)
                yield _read(url, schema, client.store)[0]
            else:
                yield answer
        waiting = put_off


def _read(url: str, schema: type[AnswerT], store: WebStore) -> tuple[Answer[AnswerT], bool]:
    """Reads an answer from the store, and returns whether a later request may give another."""
    stored = store.get(url)
    if stored is None:
        return Answer(url, "unreachable", "not asked", None, None), False
    if stored.status != "ok" or stored.path is None:
        # MediaWiki reports missing pages inside an answer; 404 for the API itself is an error.
        is_missing = stored.status == "not_found" and not issubclass(schema, MediaWikiAnswer)
        status: Status = "not_found" if is_missing else "unreachable"
        return Answer(url, status, stored.reason, stored.fetched_at, None), False
    try:
        content = schema.model_validate_json(stored.path.read_bytes())
    except ValidationError as error:
        problem: Any = error.errors(include_input=False, include_url=False)[0]
        reason = plain_reason(f"the answer is not as expected: {problem['msg']}")
        is_temporary = problem["type"] == "json_invalid"
    else:
        if not isinstance(content, MediaWikiAnswer) or content.error is None:
            return Answer(url, "ok", "", stored.fetched_at, content), False
        reason = plain_reason(f"{content.error.code}: {content.error.info}")
        is_temporary = content.error.is_temporary
    status = "unreachable" if is_temporary else "not_found"
    return Answer(url, status, reason, stored.fetched_at, None), is_temporary
