"""No file of a user's folder opens another file of the machine or blocks a stage."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imf_core.base.errors import DataError
from imf_core.sources.folder import copy_folder
from imf_core.sources.image_index import find_kind

MakeFolder = Callable[..., Path]
TEXTS = ["train.txt", "dev.tsv", "entity2text.txt", "entity2wikidata.txt", "image_index.tsv"]


@pytest.fixture
def source(make_folder: MakeFolder, tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("a\tr\tb\n")
    return make_folder({"train.txt": ["a r b"]})


def replace_by_link(path: Path, target: Path | str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("target", ["../secret", "absolute", "chain"])
def test_no_text_file_leads_out_of_the_folder(
    source: Path, tmp_path: Path, name: str, target: str
) -> None:
    (source / "chain").symlink_to("../secret")
    replace_by_link(source / name, tmp_path / "secret" if target == "absolute" else target)
    with pytest.raises(DataError, match=rf"{name} is a link that leads out of the folder"):
        copy_folder(source, tmp_path / "raw", [tmp_path])
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("name", TEXTS)
def test_a_pipe_in_the_place_of_a_text_file_is_an_error(
    source: Path, tmp_path: Path, name: str
) -> None:
    (source / name).unlink(missing_ok=True)
    os.mkfifo(source / name)
    with pytest.raises(DataError, match=rf"{name} is not a regular file"):
        copy_folder(source, tmp_path / "raw", [])


def test_a_folder_in_the_place_of_a_text_file_is_an_error(source: Path, tmp_path: Path) -> None:
    (source / "valid.txt").mkdir()
    with pytest.raises(DataError, match=r"valid\.txt is not a regular file"):
        copy_folder(source, tmp_path / "raw", [])


def test_a_link_that_leads_nowhere_is_an_error(source: Path, tmp_path: Path) -> None:
    replace_by_link(source / "train.txt", "gone.txt")
    with pytest.raises(DataError, match=r"train\.txt is a link that leads nowhere"):
        copy_folder(source, tmp_path / "raw", [])


@pytest.mark.parametrize("name", ["a.png", "sub/a.png", "pics"])
def test_a_picture_through_a_link_out_of_the_folder_is_not_read(
    source: Path, tmp_path: Path, name: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.png").write_text("secret")
    (source / "a.png").symlink_to(outside / "a.png")
    (source / "sub").symlink_to(outside)
    (source / "pics").mkdir()
    (source / "pics/a.png").symlink_to("../../outside/a.png")
    (source / "image_index.tsv").write_text(f"a\t{name}\n")
    copied = copy_folder(source, tmp_path / "raw", [])
    assert copied.images == 0
    assert "outside_images" in {issue.kind for issue in copied.issues}


def test_pipes_sockets_and_devices_of_an_index_are_reported_and_not_opened(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(source / "pipe.png")
    monkeypatch.chdir(source)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")
    (source / "image_index.tsv").write_text("a\tpipe.png\na\tsocket.png\na\t/dev/zero\n")
    copied = copy_folder(source, tmp_path / "raw", [Path("/dev")])
    missing = next(issue for issue in copied.issues if issue.kind == "missing_images")
    assert (copied.images, missing.count) == (0, 3)
    assert missing.examples[0] == "'pipe.png' (neither a file nor a folder)"


def test_links_inside_the_folder_and_a_folder_that_is_a_link_are_followed(
    source: Path, tmp_path: Path
) -> None:
    (source / "facts").write_text("a\tr\tb\n")
    replace_by_link(source / "train.txt", "facts")
    (tmp_path / "link").symlink_to(source)
    copy_folder(tmp_path / "link", tmp_path / "raw", [])
    assert (tmp_path / "raw/train.txt").read_text() == "a\tr\tb\n"
    assert not (tmp_path / "raw/train.txt").is_symlink()


def test_a_tracked_file_that_dvc_keeps_as_a_link_to_its_cache_is_read(
    source: Path, tmp_path: Path
) -> None:
    kept = tmp_path / ".dvc/cache/files/md5/ab" / ("0123456789" * 3)
    kept.parent.mkdir(parents=True)
    (source / "train.txt").rename(kept)
    replace_by_link(source / "train.txt", kept)
    copy_folder(source, tmp_path / "raw", [])
    assert (tmp_path / "raw/train.txt").read_text() == "a\tr\tb\n"


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "loop", "train.txt/x", ""])
def test_a_path_that_cannot_be_is_missing(source: Path, name: str) -> None:
    (source / "loop").symlink_to("loop")
    kind = find_kind(source / name, [source.resolve()])
    assert kind == ("missing" if name else "folder")


@pytest.mark.parametrize("end", ["/x", "0", "\n", ".png"])
def test_what_only_begins_as_a_file_of_dvcs_cache_is_outside(
    source: Path, tmp_path: Path, end: str
) -> None:
    kept = tmp_path / ("cache/files/md5/ab/" + "0123456789" * 3 + end)
    kept.parent.mkdir(parents=True)
    kept.touch()
    (source / "a.png").symlink_to(kept)
    assert find_kind(source / "a.png", [source.resolve()]) == "outside"


@pytest.fixture
def forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without permission to enter it, for any user."""
    folder, lstat = tmp_path / "forbidden", os.lstat
    folder.mkdir()
    (folder / "x.png").touch()

    def refusing(path: str, *arguments: Any, **options: Any) -> os.stat_result:
        if os.fspath(path).startswith(f"{folder}/"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return lstat(path, *arguments, **options)

    monkeypatch.setattr(os, "lstat", refusing)
    return folder


def test_a_forbidden_place_outside_the_folder_is_outside(source: Path, forbidden: Path) -> None:
    folders = [source.resolve()]
    (source / "link").symlink_to(forbidden)
    for path in (forbidden / "x.png", source / "../forbidden/x.png", source / "link/x.png"):
        assert find_kind(path, folders) == "outside"


def test_a_forbidden_place_inside_the_folder_is_an_error(tmp_path: Path, forbidden: Path) -> None:
    with pytest.raises(DataError, match="give yourself permission to read it"):
        find_kind(forbidden / "x.png", [tmp_path.resolve()])


@pytest.mark.parametrize("name", ["issues.json", "train.txt", "Entity2Name.TXT"])
def test_a_picture_never_takes_the_place_of_a_file_of_the_raw_folder(
    source: Path, tmp_path: Path, name: str
) -> None:
    if name != "train.txt":
        (source / name).write_text("a\tA\n")
    (source / "image_index.tsv").write_text(f"a\t{name}\n")
    copy_folder(source, tmp_path / "raw", [])
    assert (tmp_path / "raw/image_index.tsv").read_text().startswith("a\timages/external/")
