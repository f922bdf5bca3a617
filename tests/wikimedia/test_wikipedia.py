"""Summaries of articles."""

import pytest
from made_wikimedia import Wikimedia

from imf_core.wikimedia.api import Client
from imf_core.wikimedia.identifiers import Identifier
from imf_core.wikimedia.wikipedia import look_up_summaries

CAT = Identifier("enwiki", "AC/DC é")
KEY = "en.wikipedia.org/AC/DC_é"


def test_the_first_sentences_are_the_text(world: Wikimedia, web: Client) -> None:
    world.summaries[KEY] = {"type": "standard", "title": "AC/DC é", "extract": "A band.\n"}
    answer = look_up_summaries([CAT], web)[CAT]
    assert (answer.status, answer.extract) == ("ok", "A band.")
    # The title is one part of the path, whatever stands in it.
    assert world.asked == ["/en.wikipedia.org/api/rest_v1/page/summary/AC%2FDC_%C3%A9"]


@pytest.mark.parametrize("kind", ["disambiguation", "no-extract"])
def test_a_page_that_is_no_article_gives_no_text(kind: str, world: Wikimedia, web: Client) -> None:
    world.summaries[KEY] = {"type": kind, "extract": "AC/DC may refer to:"}
    assert look_up_summaries([CAT], web)[CAT].extract == ""


def test_an_article_that_is_gone_is_not_found(world: Wikimedia, web: Client) -> None:
    assert look_up_summaries([CAT], web)[CAT].status == "not_found"


UPLOAD = "https://upload.wikimedia.org/wikipedia"


@pytest.mark.parametrize(
    ("source", "file", "url"),
    [
        (f"{UPLOAD}/commons/thumb/1/15/Cat_%C3%A9.jpg/330px-Cat_%C3%A9.jpg", "Cat é.jpg", None),
        (f"{UPLOAD}/commons/thumb/1/15/Flag.svg/330px-Flag.svg.png?x=1", "Flag.svg", None),
        (f"{UPLOAD}/commons/1/15/Cat.jpg", "Cat.jpg", None),
        (f"{UPLOAD}/en/1/15/Poster.jpg", None, f"{UPLOAD}/en/1/15/Poster.jpg"),
        ("http://127.0.0.1/x.png", None, None),
        ("file:///etc/passwd", None, None),
    ],
)
def test_the_image_of_an_article_is_a_file_on_commons_or_its_own(
    source: str, file: str | None, url: str | None, world: Wikimedia, web: Client
) -> None:
    world.summaries[KEY] = {"extract": "A band.", "thumbnail": {"source": source, "width": 330}}
    answer = look_up_summaries([CAT], web)[CAT]
    assert (answer.image_file, answer.image_url) == (file, url)
