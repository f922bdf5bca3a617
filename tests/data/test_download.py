"""Fetching pinned files, from a directory and over HTTP on loopback."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from imf_core.data.download import download_dataset, fetch
from imf_core.data.raw import fresh_folder
from imf_core.data.registry import (
    Counts,
    DownloadedDataset,
    PinnedUrl,
    SourceArchive,
    SourceFile,
)
from imf_core.errors import DataError

CONTENT = b"a\tr\tb\n"


def pinned(url: str, content: bytes) -> dict[str, object]:
    return {"url": url, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def dataset(**sources: object) -> DownloadedDataset:
    return DownloadedDataset.model_validate(
        {
            "kind": "download",
            "title": "t",
            "licence": "l",
            "citation": "c",
            "format": "labels",
            "counts": Counts(entities=2, relations=1, train=1, valid=0, test=0),
            **sources,
        }
    )


@pytest.fixture
def mirror_folder(tmp_path: Path) -> Path:
    path = tmp_path / "mirror/example.org/set/train.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return tmp_path / "mirror"


@pytest.fixture
def source() -> SourceFile:
    fields = pinned("https://example.org/set/train.txt", CONTENT)
    return SourceFile.model_validate({**fields, "save_as": "train.txt"})


class QuietHandler(SimpleHTTPRequestHandler):
    requests: list[str] = []  # noqa: RUF012 - emptied by the fixture

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        self.requests.append(self.path)


@pytest.fixture
def server(mirror_folder: Path) -> Iterator[str]:
    QuietHandler.requests.clear()
    handler = partial(QuietHandler, directory=str(mirror_folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_file_comes_out_of_a_directory_mirror(
    source: SourceFile, mirror_folder: Path, tmp_path: Path
) -> None:
    download_dataset(
        dataset(files=[source]), tmp_path / "raw", tmp_path / "kept", str(mirror_folder)
    )
    assert (tmp_path / "raw/train.txt").read_bytes() == CONTENT


def test_a_file_comes_over_http_from_a_base_url(
    source: SourceFile, server: str, tmp_path: Path
) -> None:
    assert fetch(source, tmp_path / "kept", server).read_bytes() == CONTENT


def test_a_file_comes_from_its_own_url_without_a_mirror(server: str, tmp_path: Path) -> None:
    url = f"{server}/example.org/set/train.txt"
    source = PinnedUrl.model_validate(pinned(url, CONTENT))
    assert fetch(source, tmp_path / "kept", None).read_bytes() == CONTENT


def test_a_kept_file_is_not_fetched_again(source: SourceFile, server: str, tmp_path: Path) -> None:
    fetch(source, tmp_path / "kept", server)
    fetch(source, tmp_path / "kept", server)
    assert len(QuietHandler.requests) == 1


def test_a_kept_file_that_was_damaged_is_fetched_again(
    source: SourceFile, mirror_folder: Path, tmp_path: Path
) -> None:
    kept = fetch(source, tmp_path / "kept", str(mirror_folder))
    kept.write_bytes(b"damaged")
    assert fetch(source, tmp_path / "kept", str(mirror_folder)).read_bytes() == CONTENT


def test_wrong_content_names_url_expected_found_and_remedy(
    source: SourceFile, mirror_folder: Path, tmp_path: Path
) -> None:
    (mirror_folder / "example.org/set/train.txt").write_bytes(b"other")
    found = hashlib.sha256(b"other").hexdigest()
    message = (
        rf"https://example\.org/set/train\.txt .* expected 6 bytes with SHA-256 {source.sha256}, "
        rf"found 5 bytes with SHA-256 {found} .*IMF_MIRROR"
    )
    with pytest.raises(DataError, match=message):
        fetch(source, tmp_path / "kept", str(mirror_folder))


def test_wrong_content_leaves_nothing_behind(
    source: SourceFile, mirror_folder: Path, tmp_path: Path
) -> None:
    (mirror_folder / "example.org/set/train.txt").write_bytes(b"other")
    with pytest.raises(DataError):
        fetch(source, tmp_path / "kept", str(mirror_folder))
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_file_missing_in_a_directory_names_its_place(source: SourceFile, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing in the mirror: .*gone/example\.org.*IMF_MIRROR"):
        fetch(source, tmp_path / "kept", str(tmp_path / "gone"))


def test_a_file_missing_on_a_server_names_the_status(server: str, tmp_path: Path) -> None:
    source = PinnedUrl.model_validate(pinned("https://example.org/set/none.txt", CONTENT))
    with pytest.raises(DataError, match=r"none\.txt could not .*HTTP status 404.*IMF_MIRROR"):
        fetch(source, tmp_path / "kept", server)
    assert len(QuietHandler.requests) <= 2


def test_an_unreachable_server_is_an_error_with_a_remedy(
    source: SourceFile, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"127\.0\.0\.1:9/.*ConnectionError.*set IMF_MIRROR"):
        fetch(source, tmp_path / "kept", "http://127.0.0.1:9")


def archive_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def archive_source(content: bytes, *names: str) -> SourceArchive:
    fields = pinned("https://example.org/set.tar.gz", content)
    return SourceArchive.model_validate({**fields, "unpack": list(names)})


def test_only_the_named_files_are_unpacked(mirror_folder: Path, tmp_path: Path) -> None:
    content = archive_of({"train.txt": CONTENT, "extra.txt": b"x"})
    (mirror_folder / "example.org/set.tar.gz").write_bytes(content)
    entry = dataset(archives=[archive_source(content, "train.txt")])
    download_dataset(entry, tmp_path / "raw", tmp_path / "kept", str(mirror_folder))
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["train.txt"]


def test_a_name_that_the_archive_lacks_is_an_error(mirror_folder: Path, tmp_path: Path) -> None:
    content = archive_of({"other.txt": CONTENT})
    (mirror_folder / "example.org/set.tar.gz").write_bytes(content)
    entry = dataset(archives=[archive_source(content, "train.txt")])
    with pytest.raises(DataError, match=r"holds no file train\.txt, only other\.txt"):
        download_dataset(entry, tmp_path / "raw", tmp_path / "kept", str(mirror_folder))


def test_a_fresh_folder_holds_nothing_of_the_earlier_content(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with fresh_folder(tmp_path / "raw") as raw:
            (raw / name).touch()
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["two"]


def test_a_fault_leaves_the_earlier_content(tmp_path: Path) -> None:
    with fresh_folder(tmp_path / "raw") as raw:
        (raw / "one").touch()
    with pytest.raises(DataError), fresh_folder(tmp_path / "raw"):
        raise DataError("fault")
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
    assert (tmp_path / "raw/one").exists()
