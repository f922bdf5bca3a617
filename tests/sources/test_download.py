"""Fetching pinned files, from a directory and over HTTP on loopback."""

import gzip
import hashlib
import io
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from imf_core.base.artifacts import exclusive_lock
from imf_core.base.config import FetchParams
from imf_core.base.errors import DataError, NetworkError
from imf_core.sources.registry import (
    Counts,
    DownloadedDataset,
    SourceArchive,
    SourceFile,
    download_dataset,
)

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


Download = Callable[..., Path]


@pytest.fixture
def download(tmp_path: Path) -> Download:
    """Returns a function that downloads sources through a mirror and gives the raw folder."""

    def run(
        mirror: Path | str | None,
        files: Sequence[object] = (),
        archives: Sequence[object] = (),
        descriptions: str | None = None,
        **changes: object,
    ) -> Path:
        params = FetchParams.model_validate(
            {
                "contact": "",
                "requests_per_host": 4,
                "attempts": 1,
                "timeout_seconds": 5.0,
                "longest_pause_seconds": 30.0,
                "allowed_private_hosts": [],
                **changes,
            }
        )
        entry = dataset(files=list(files), archives=list(archives), descriptions=descriptions)
        place = None if mirror is None else str(mirror)
        download_dataset(entry, tmp_path / "raw", tmp_path / "kept", params, place)
        return tmp_path / "raw"

    return run


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


def kept_files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "kept").iterdir())


def test_a_file_comes_out_of_a_directory_mirror(
    source: SourceFile, mirror_folder: Path, download: Download
) -> None:
    raw = download(mirror_folder, files=[source])
    assert (raw / "train.txt").read_bytes() == CONTENT


def test_a_file_comes_over_http_from_a_base_url(
    source: SourceFile, server: str, download: Download
) -> None:
    assert (download(server, files=[source]) / "train.txt").read_bytes() == CONTENT


def test_a_file_comes_from_its_own_url_without_a_mirror(server: str, download: Download) -> None:
    url = f"{server}/example.org/set/train.txt"
    source = SourceFile.model_validate({**pinned(url, CONTENT), "save_as": "train.txt"})
    raw = download(None, files=[source], allowed_private_hosts=["127.0.0.1"])
    assert (raw / "train.txt").read_bytes() == CONTENT


def test_a_file_pinned_by_its_git_blob_is_verified(
    mirror_folder: Path, download: Download, tmp_path: Path
) -> None:
    blob = hashlib.sha1(b"blob 6\0" + CONTENT).hexdigest()
    fields = {"url": "https://example.org/set/train.txt", "git_blob_sha1": blob}
    source = SourceFile.model_validate({**fields, "save_as": "train.txt"})
    assert (download(mirror_folder, files=[source]) / "train.txt").read_bytes() == CONTENT
    assert kept_files(tmp_path) == [blob]
    (mirror_folder / "example.org/set/train.txt").write_bytes(b"other")
    (tmp_path / "kept" / blob).unlink()
    with pytest.raises(DataError, match=rf"expected git blob SHA-1 {blob}, found 5 bytes"):
        download(mirror_folder, files=[source])


def test_a_kept_file_is_not_fetched_again(
    source: SourceFile, server: str, download: Download
) -> None:
    download(server, files=[source])
    download(server, files=[source])
    assert len(QuietHandler.requests) == 1


def test_a_kept_file_that_was_damaged_is_fetched_again(
    source: SourceFile, mirror_folder: Path, download: Download, tmp_path: Path
) -> None:
    download(mirror_folder, files=[source])
    (tmp_path / "kept" / source.digest).write_bytes(b"damaged")
    assert (download(mirror_folder, files=[source]) / "train.txt").read_bytes() == CONTENT


def test_a_file_that_was_cut_off_goes_on_where_it_stopped(
    source: SourceFile, server: str, download: Download, tmp_path: Path
) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / f"{source.digest}.unverified.partial").write_bytes(CONTENT[:2])
    assert (download(server, files=[source]) / "train.txt").read_bytes() == CONTENT


def test_a_file_that_another_run_is_fetching_is_waited_for(
    source: SourceFile, download: Download, tmp_path: Path
) -> None:
    kept = tmp_path / "kept" / source.digest
    with exclusive_lock(kept):
        # No mirror has it: it must come from the other run.
        waiting = ThreadPoolExecutor().submit(download, tmp_path, files=[source])
        kept.write_bytes(CONTENT)
    assert (waiting.result() / "train.txt").read_bytes() == CONTENT


def test_wrong_content_names_url_expected_found_and_remedy(
    source: SourceFile, mirror_folder: Path, download: Download
) -> None:
    (mirror_folder / "example.org/set/train.txt").write_bytes(b"other")
    found = hashlib.sha256(b"other").hexdigest()
    message = (
        rf"https://example\.org/set/train\.txt .*expected 6 bytes with SHA-256 {source.sha256}, "
        rf"found 5 bytes with SHA-256 {found}, kept aside .*IMF_MIRROR"
    )
    with pytest.raises(DataError, match=message):
        download(mirror_folder, files=[source])


def test_wrong_content_is_kept_aside_and_never_used(
    source: SourceFile, mirror_folder: Path, download: Download, tmp_path: Path
) -> None:
    place = mirror_folder / "example.org/set/train.txt"
    place.write_bytes(b"other")
    with pytest.raises(DataError):
        download(mirror_folder, files=[source])
    aside = tmp_path / "kept" / f"{source.digest}.rejected"
    assert (kept_files(tmp_path), aside.read_bytes()) == ([aside.name], b"other")
    place.write_bytes(CONTENT)
    assert (download(mirror_folder, files=[source]) / "train.txt").read_bytes() == CONTENT


def test_a_file_longer_than_the_pinned_one_is_told_of_with_its_hash(
    source: SourceFile, mirror_folder: Path, download: Download
) -> None:
    (mirror_folder / "example.org/set/train.txt").write_bytes(b"much longer")
    with pytest.raises(DataError, match=r"expected 6 bytes with .*, found 11 bytes with SHA-256"):
        download(mirror_folder, files=[source])


def test_all_missing_files_are_named_and_the_others_are_kept(
    source: SourceFile, server: str, download: Download, tmp_path: Path
) -> None:
    missing = [
        SourceFile.model_validate(
            {**pinned(f"https://example.org/set/{name}", name.encode()), "save_as": name}
        )
        for name in ("one.txt", "two.txt")
    ]
    message = r"one\.txt could not .*HTTP 404.*; .*two\.txt could not .*IMF_MIRROR"
    with pytest.raises(DataError, match=message):
        download(server, files=[source, *missing])
    assert kept_files(tmp_path) == [source.digest]


def test_an_unreachable_server_is_an_error_with_a_remedy(
    source: SourceFile, download: Download
) -> None:
    told = r"127\.0\.0\.1:9: .*\(no connection\); try again later, or set IMF_MIRROR"
    with pytest.raises(NetworkError, match=told):
        download("http://127.0.0.1:9", files=[source])


def test_a_fault_that_does_not_pass_is_one_of_the_data_though_others_pass(
    download: Download, server: str
) -> None:
    urls = ("http://127.0.0.1:9/train.txt", f"{server}/valid.txt")
    sources = [
        SourceFile.model_validate({**pinned(url, CONTENT), "save_as": url[-9:]}) for url in urls
    ]
    with pytest.raises(DataError, match=r"\(no connection\); .*valid\.txt .*\(HTTP 404\)"):
        download(None, files=sources, allowed_private_hosts=["127.0.0.1"])


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


def test_only_the_named_files_are_unpacked(mirror_folder: Path, download: Download) -> None:
    content = archive_of({"train.txt": CONTENT, "../extra.txt": b"x"})
    (mirror_folder / "example.org/set.tar.gz").write_bytes(content)
    raw = download(mirror_folder, archives=[archive_source(content, "train.txt")])
    assert [path.name for path in raw.iterdir()] == ["train.txt"]
    assert not (raw / "../extra.txt").exists()


def test_a_name_that_the_archive_lacks_is_an_error(mirror_folder: Path, download: Download) -> None:
    content = archive_of({"other.txt": CONTENT})
    (mirror_folder / "example.org/set.tar.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"holds no file train\.txt, only other\.txt"):
        download(mirror_folder, archives=[archive_source(content, "train.txt")])


def test_descriptions_of_this_package_join_what_was_fetched(
    source: SourceFile,
    mirror_folder: Path,
    download: Download,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "set.tsv.gz").write_bytes(gzip.compress(b"a\tfirst letter\n"))
    monkeypatch.setattr("imf_core.sources.registry.DESCRIPTIONS", tmp_path)
    raw = download(mirror_folder, files=[source], descriptions="set.tsv.gz")
    assert (raw / "entity2desc.txt").read_text() == "a\tfirst letter\n"
