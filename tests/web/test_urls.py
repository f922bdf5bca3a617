import pytest

from imf_core.web.responses import FetchError
from imf_core.web.url_pattern import is_url
from imf_core.web.urls import below_mirror, without_scheme


@pytest.mark.parametrize("source", ["http://a/", "HTTPS://a/b.png"])
def test_a_source_with_a_scheme_of_the_web_is_a_url(source: str) -> None:
    assert is_url(source)


@pytest.mark.parametrize("source", ["", "a.png", "ftp://a/", "http:a.png", " http://a/"])
def test_any_other_source_is_none(source: str) -> None:
    assert not is_url(source)


def test_a_scheme_and_a_fragment_are_no_part_of_a_place() -> None:
    assert without_scheme("https://host/a.png?width=3#top") == "host/a.png?width=3"


@pytest.mark.parametrize(
    "path", ["/etc", "host/../a", "host/%2e%2E/a", "host/..%2fa", "host/..%5ca", "../a", "host/.."]
)
def test_a_path_that_climbs_has_no_place_in_a_mirror(path: str) -> None:
    with pytest.raises(FetchError, match="leads out of the mirror"):
        below_mirror(f"http://{path}")


@pytest.mark.parametrize("path", ["host/a..b", "host/...", "host/%2e%2e%2e", "host/a%20b?c=d"])
def test_a_path_that_does_not_climb_is_kept_as_it_is(path: str) -> None:
    assert below_mirror(f"http://{path}") == path
