"""Malformed JSON: each name gets a status, and nothing ends in a traceback."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from imf_core.base.config import FetchParams
from imf_core.web.store import WebStore
from imf_core.wikimedia import api
from imf_core.wikimedia.api import Client, text_of_html
from imf_core.wikimedia.commons import look_up_credits, page_url
from imf_core.wikimedia.identifiers import WIKIDATA, Identifier
from imf_core.wikimedia.wikidata import ItemAnswer, look_up_items
from imf_core.wikimedia.wikipedia import look_up_summaries, look_up_titles

Asked = Callable[[bytes], Client]

Q1, Q2 = Identifier(WIKIDATA, "Q1"), Identifier(WIKIDATA, "Q2")
ARTICLE = Identifier("enwiki", "A")
SHARED = HealthCheck.function_scoped_fixture

KEYS = st.sampled_from(
    [
        *("entities", "Q1", "id", "missing", "labels", "descriptions", "en", "value", "claims"),
        *("P18", "mainsnak", "datavalue", "rank", "sitelinks", "enwiki", "title", "error", "code"),
        *("query", "pages", "pageprops", "wikibase_item", "normalized", "redirects", "from", "to"),
        *("imageinfo", "extmetadata", "Artist", "descriptionurl", "extract", "thumbnail"),
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(
        ["Q1", "A", "File:A", "\x1b[2J", "..", "<![x", "https://upload.wikimedia.org/"]
    )
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner), max_leaves=20
)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    """Returns a function that makes a client; every answer has the given bytes."""
    body = b""

    def fetch_into(store: WebStore, urls: Iterable[str], *_: object, **__: object) -> None:
        for url in urls:
            store.incoming(url).write_bytes(body)
            store.put_file(url, store.incoming(url))

    monkeypatch.setattr(api, "fetch_into", fetch_into)
    params = FetchParams.model_validate(
        {
            "contact": "someone@example.org",
            "requests_per_host": 4,
            "attempts": 1,
            "timeout_seconds": 1.0,
            "longest_pause_seconds": 1.0,
            "allowed_private_hosts": [],
        }
    )
    with WebStore(tmp_path) as store:

        def answer(content: bytes) -> Client:
            nonlocal body
            body = content
            return Client(store, params, sleep=lambda _: None)

        yield answer


def items(web: Client) -> list[ItemAnswer]:
    found = look_up_items([Q1, Q2], "en", web)
    return [found[Q1], found[Q2]]


ODD = {
    "deep": b'{"entities":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}",
    "deep lists": b'{"entities":{"Q1":{"x":' + b"[" * 99_999 + b"]" * 99_999 + b"}}}",
    "a huge integer": b'{"entities":{"Q1":{"id":"Q1","missing":' + b"9" * 99_999 + b"}}}",
    "not a number": b'{"entities":{"Q1":{"id":NaN,"labels":Infinity}}}',
    "half a surrogate pair": b'{"entities":{"Q1":{"id":"Q\\ud800"}}}',
    "no UTF-8": b'{"entities":{"Q1":{"id":"Q\xff"}}}',
    "a list": b"[]",
    "nothing": b"",
    "null": b"null",
    "entities in a list": b'{"entities":[1]}',
    "an odd error": b'{"error":{"code":1}}',
    "an error of words": b'{"error":{"code":"\\u001b[2J\\u202e","info":"' + b"x" * 9_999 + b'"}}',
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
def test_an_odd_answer_is_a_status_with_a_plain_reason(asked: Asked, body: bytes) -> None:
    for answer in items(asked(body)):
        assert answer.status in {"not_found", "unreachable"}
        assert answer.item is None
        assert answer.reason.isascii()
        assert answer.reason.isprintable()
        assert len(answer.reason) <= 300


@pytest.mark.parametrize(
    "odd",
    [1, None, [], {"id": 1}, {"id": "../x"}, {"id": "Q1", "labels": {"en": {"value": 5}}}],
)
def test_one_odd_item_does_not_spoil_the_others(asked: Asked, odd: object) -> None:
    good = {"id": "Q2", "labels": {"en": {"value": "two"}}}
    first, second = items(asked(json.dumps({"entities": {"Q1": odd, "Q2": good}}).encode()))
    assert (first.status, first.reason) == (
        "not_found",
        "what Wikidata says of Q1 is not as expected",
    )
    assert second.item is not None
    assert second.item.name == "two"


@pytest.mark.parametrize("odd", [1, None, [], {"id": 1}])
def test_an_odd_item_of_an_article_is_not_reported_as_missing(asked: Asked, odd: object) -> None:
    gone = {"site": "enwiki", "title": "B", "missing": ""}
    body = json.dumps({"entities": {"Q1": odd, "-1": gone}}).encode()
    missing = Identifier("enwiki", "B")
    found = look_up_items([ARTICLE, missing], "en", asked(body))
    assert found[ARTICLE].reason == "what Wikidata says of enwiki:A is not as expected"
    assert found[missing].reason == "Wikidata has no item enwiki:B"


def test_one_odd_page_does_not_spoil_the_others(asked: Asked) -> None:
    pages = [5, {"title": 7}, {"title": "A", "pageprops": {"wikibase_item": "Q1"}}]
    body = json.dumps({"query": {"pages": pages, "redirects": [1], "normalized": [None]}})
    assert look_up_titles([ARTICLE], asked(body.encode()))[ARTICLE].item == Q1


def test_one_odd_file_does_not_spoil_the_others(asked: Asked) -> None:
    info = {"extmetadata": {"Artist": {"value": "<![if x]>me<![endif]>"}}}
    pages = {"1": 5, "2": {"title": "File:A", "imageinfo": [info]}, "3": {"imageinfo": 1}}
    credit = look_up_credits(["A"], asked(json.dumps({"query": {"pages": pages}}).encode()))["A"]
    assert credit.author == "me"


@pytest.mark.parametrize("page", ["javascript:alert(1)", "https://evil.example/", "\x1b[2J", ""])
def test_the_page_of_a_file_is_on_commons(asked: Asked, page: str) -> None:
    pages = {"1": {"title": "File:A", "imageinfo": [{"descriptionurl": page}]}}
    web = asked(json.dumps({"query": {"pages": pages}}).encode())
    assert look_up_credits(["A"], web)["A"].page == page_url("A")


@pytest.mark.parametrize("title", ["..", "a|b", "\x1b", "x" * 999, ""])
def test_a_title_that_is_none_is_no_article(asked: Asked, title: str) -> None:
    entity = {"id": "Q1", "sitelinks": {"enwiki": {"title": title}}}
    first, _ = items(asked(json.dumps({"entities": {"Q1": entity}}).encode()))
    assert first.item is not None
    assert first.item.articles == {}


@settings(max_examples=80, deadline=None, suppress_health_check=[SHARED])
@given(JSON)
def test_no_json_ends_a_lookup(asked: Asked, value: Any) -> None:
    for shape in (value, {"entities": {"Q1": value}}, {"query": {"pages": [value]}}):
        web = asked(json.dumps(shape).encode())
        reasons = [answer.reason for answer in items(web)]
        reasons.append(look_up_titles([ARTICLE], web)[ARTICLE].reason)
        reasons.append(look_up_summaries([ARTICLE], web)[ARTICLE].reason)
        reasons.append(look_up_credits(["A"], web)["A"].failure)
        assert all(each.isascii() and (each.isprintable() or not each) for each in reasons)


@settings(max_examples=300, deadline=None)
@example("<![x")
@given(st.text("<>![]-/?&#;='\"abcdoctypeCDATAscript\x00 9") | st.text())
def test_no_html_is_too_odd_to_read(html: str) -> None:
    assert len(text_of_html(html, 50)) <= 50


@pytest.mark.parametrize(
    ("html", "text"),
    [("a<![CDATA[x]]>b", "ab"), ("a<![if IE]>b<![endif]>c", "abc"), ("a<![", "a")],
)
def test_a_marked_section_is_not_shown(html: str, text: str) -> None:
    assert text_of_html(html, 50) == text
