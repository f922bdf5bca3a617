"""Fetches JSON from a web service once, and reads it from the store.

A service under load may refuse with HTTP 200 and an `error` in the JSON, which the store cannot
distinguish from an answer. Such an answer is removed from the store and requested again after a
pause. A request refused in every attempt counts as unreachable, in this run only; an earlier answer
that was set aside is put back. A request refused for its content would be refused again, so it
counts as not found.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from imf_core.config import FetchParams
from imf_core.web.failures import plain_reason
from imf_core.web.fetch import fetch_into
from imf_core.web.store import WebStore

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
