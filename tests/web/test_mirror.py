from pathlib import Path

import pytest

from imf_core.base.errors import ConfigError
from imf_core.web.responses import FetchError
from imf_core.web.urls import FolderMirror, make_mirror


def test_a_folder_holds_files_at_their_url_without_the_scheme(tmp_path: Path) -> None:
    path = tmp_path / "example.org/flags/a.png?width=3"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"bytes")
    mirror = FolderMirror(tmp_path)
    assert mirror.find("https://example.org/flags/a.png?width=3") == path
    assert mirror.find("https://example.org/flags/a.png?width=3#top") == path
    assert mirror.find("https://example.org/flags/a.png") is None
    assert mirror.find("https://example.org/flags") is None
    assert mirror.find("https://example.org/" + "a" * 5000) is None


@pytest.mark.parametrize("url", ["https://example.org/../../secret", "http:///etc/hostname"])
def test_a_url_cannot_climb_out_of_the_folder(tmp_path: Path, url: str) -> None:
    with pytest.raises(FetchError, match="leads out of the mirror"):
        FolderMirror(tmp_path).find(url)


def test_a_mirror_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gone is no directory; set IMF_MIRROR"):
        make_mirror(str(tmp_path / "gone"))


def test_a_mirror_of_another_scheme_is_an_error() -> None:
    with pytest.raises(ConfigError, match="file:///srv is neither a directory nor an http"):
        make_mirror("file:///srv")


@pytest.mark.parametrize(
    "mirror",
    [
        "https://user:SECRET@example.org/base",
        "https://SECRET@example.org",
        "https://example.org/base?token=SECRET",
        "https://example.org/base#SECRET",
        "ftp://user:SECRET@example.org/",
        "user:SECRET@example.org/base",
        "https:/user:SECRET@example.org",
        "https://user:SECRET@[half",
    ],
)
def test_a_mirror_that_may_hold_a_secret_is_an_error_without_it(mirror: str) -> None:
    with pytest.raises(ConfigError, match="IMF_MIRROR holds an @") as caught:
        make_mirror(mirror)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("mirror", ["https://", "https://[half", "http://a b/", "http://a:99999/"])
def test_a_mirror_that_is_no_url_is_an_error(mirror: str) -> None:
    with pytest.raises(ConfigError, match="is neither a directory nor an http"):
        make_mirror(mirror)


def test_a_folder_may_have_an_at_sign_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "a@b").mkdir()
    assert isinstance(make_mirror(str(tmp_path / "a@b")), FolderMirror)
