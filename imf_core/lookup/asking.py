"""Questions to a web service whose answers are JSON: asked once, read from the store.

A service under load may refuse with a well-formed answer (HTTP 200 with an `error` in it), which
the store cannot tell from any other. Such an answer is forgotten and asked for again after a
pause; what is refused to the end counts as unreachable, in this run alone, unless an earlier answer
was set aside, which then holds. A question that is
refused for what it asks is answered: it would be refused again, so it counts as not found.
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
"""Fifty large items with all their claims come to some tens of millions."""
_FIRST_PAUSE_SECONDS = 5.0
"""What MediaWiki asks of a client that it refused."""

_PASSING_ERRORS = frozenset({"maxlag", "ratelimited", "readonly", "blocked", "autoblocked"})
_INTERNAL_ERROR = "internal_api_error"
"""Begins the codes of what went wrong inside MediaWiki."""

Status = Literal["ok", "not_found", "unreachable"]


class Json(BaseModel):
    """Base of what is read out of answers: the fields named, whatever else there is."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def _none_if_odd(value: object, validate: ValidatorFunctionWrapHandler) -> object:
    try:
        return validate(value)
    except ValidationError:
        return None


NoneIfOdd = WrapValidator(_none_if_odd)
"""For one of many in an answer: one that is not as expected must not spoil the others."""

AsMap = BeforeValidator(lambda value: {} if value == [] else value)
"""MediaWiki writes an empty map as an empty list."""


class _Error(Json):
    code: str
    info: str = ""

    @property
    def is_passing(self) -> bool:
        """Whether the same question may be answered later."""
        return self.code in _PASSING_ERRORS or self.code.startswith(_INTERNAL_ERROR)


class MediaWikiAnswer(Json):
    """An answer of MediaWiki's `api.php`: what was asked for, or why it is refused."""

    error: _Error | None = None


class Renamed(Json):
    """One page title that MediaWiki took for another."""

    given: str = Field(alias="from")
    to: str
    section: str = Field(default="", alias="tofragment")


OneRenamed = Annotated[Renamed | None, NoneIfOdd]


AnswerT = TypeVar("AnswerT", bound=Json)


@dataclass(frozen=True)
class Web:
    """How the web is asked.

    Attributes:
        store: Keeps every outcome.
        params: Manners of every request.
        mirror: Folder or base URL to ask in place of the web.
        sleep: Waits so many seconds.
    """

    store: WebStore
    params: FetchParams
    mirror: str | None = None
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Answer(Generic[AnswerT]):
    """What came of one question.

    Attributes:
        url: The question.
        status: ok, not_found (the service says that there is no such page, or will not answer
            such a question) or unreachable.
        reason: Why it is not ok, else "".
        fetched_at: When it was asked, ISO 8601; None where it never was.
        content: The answer where status is ok.
    """

    url: str
    status: Status
    reason: str
    fetched_at: str | None
    content: AnswerT | None


def ask(
    urls: Iterable[str], form: type[AnswerT], web: Web, label: str
) -> Iterator[Answer[AnswerT]]:
    """Asks every question and yields the answers, those put off last.

    Args:
        urls: The questions.
        form: What an answer must look like.
        web: How the web is asked.
        label: What the progress bar says.

    Yields:
        One answer for each distinct URL; only one is in memory at a time.
    """
    waiting = list(dict.fromkeys(urls))
    for attempt in range(1, web.params.attempts + 1):
        if not waiting:
            return
        if attempt > 1:
            pause = _FIRST_PAUSE_SECONDS * 2 ** (attempt - 2)
            web.sleep(min(pause, web.params.timeout_seconds))
        fetch_into(
            web.store,
            waiting,
            web.params,
            max_bytes=MAX_ANSWER_BYTES,
            mirror=web.mirror,
            label=label,
        )
        put_off = []
        for url in waiting:
            answer, is_passing = _read(url, form, web.store)
            if is_passing:
                web.store.forget(url)
            if is_passing and attempt < web.params.attempts:
                put_off.append(url)
            elif is_passing and web.store.earlier(url):
                web.store.put_back(url, answer.reason)
                yield _read(url, form, web.store)[0]
            else:
                yield answer
        waiting = put_off


def _read(url: str, form: type[AnswerT], store: WebStore) -> tuple[Answer[AnswerT], bool]:
    """Reads what the store holds, and says whether the service may answer otherwise later."""
    stored = store.get(url)
    if stored is None:
        return Answer(url, "unreachable", "not asked", None, None), False
    if stored.status != "ok" or stored.path is None:
        # MediaWiki says inside an answer what is missing; 404 for the API itself is a fault of it.
        is_missing = stored.status == "not_found" and not issubclass(form, MediaWikiAnswer)
        status: Status = "not_found" if is_missing else "unreachable"
        return Answer(url, status, stored.reason, stored.fetched_at, None), False
    try:
        content = form.model_validate_json(stored.path.read_bytes())
    except ValidationError as error:
        fault: Any = error.errors(include_input=False, include_url=False)[0]
        reason = plain_reason(f"the answer is not as expected: {fault['msg']}")
        is_passing = fault["type"] == "json_invalid"
    else:
        if not isinstance(content, MediaWikiAnswer) or content.error is None:
            return Answer(url, "ok", "", stored.fetched_at, content), False
        reason = plain_reason(f"{content.error.code}: {content.error.info}")
        is_passing = content.error.is_passing
    status = "unreachable" if is_passing else "not_found"
    return Answer(url, status, reason, stored.fetched_at, None), is_passing
