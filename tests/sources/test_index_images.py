"""Entries of an image index that are missing, misspelt or folders."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from imf_core.base.errors import DataError
from imf_core.graph.issues import read_issues, write_issues
from imf_core.sources import image_index
from imf_core.sources.folder import FolderCopy, copy_folder
from imf_core.sources.layout import read_image_index

MakeFolder = Callable[..., Path]


@pytest.fixture
def copied(make_folder: MakeFolder, tmp_path: Path) -> Callable[..., tuple[FolderCopy, list[str]]]:
    """Copies a folder with these files and an index of one entry; returns the index of the copy."""

    def copy(entry: str, *files: str) -> tuple[FolderCopy, list[str]]:
        pictures = {name: name.encode() for name in files}
        index = {"image_index.tsv": f"a\t{entry}\n"}
        source = make_folder({"train.txt": ["a r b"], **index, **pictures})
        found = copy_folder(source, tmp_path / "raw", [])
        lines = (tmp_path / "raw/image_index.tsv").read_text().splitlines()
        return found, [line.split("\t")[1] for line in lines]

    return copy


Copy = Callable[..., tuple[FolderCopy, list[str]]]


@pytest.mark.parametrize(
    ("entry", "file"),
    [
        ("images\\Upper.PNG", "images/Upper.PNG"),
        ("images/upper.png", "images/Upper.PNG"),
        ("IMAGES\\upper.png", "images/Upper.PNG"),
        (".\\images\\a.png", "images/a.png"),
        ("images/Sa\u0303o.png", "images/S\u00e3o.png"),
        ("images/S\u00e3o.png", "images/Sa\u0303o.png"),
        ("images/a\u00a0b.png", "images/a b.png"),
    ],
)
def test_the_only_file_alike_is_taken_and_reported(copied: Copy, entry: str, file: str) -> None:
    found, index = copied(entry, file)
    assert (index, found.images) == ([file], 1)
    (issue,) = found.issues
    assert (issue.kind, issue.count) == ("adapted_image_paths", 1)
    assert issue.examples == (f"{entry!a} and {file!a}",)


def test_of_two_files_alike_none_is_taken_and_both_are_named(copied: Copy) -> None:
    found, index = copied("A.png", "a.PNG", "a.png")
    assert index == ["A.png"]
    issue = next(issue for issue in found.issues if issue.kind == "missing_images")
    assert issue.examples == ("'A.png' ('a.PNG' or 'a.png')",)


@pytest.mark.parametrize(
    ("entry", "near"),
    [
        ("Berlin.jpg", "images/Berlin.png"),
        ("images/Berlinn.png", "images/Berlin.png"),
        ("C:\\pictures\\berlin.png", "images/Berlin.png"),
        ("'images/Berlin.png'", "images/Berlin.png"),
    ],
)
def test_a_missing_image_is_named_with_what_is_nearly_like_it(
    copied: Copy, entry: str, near: str
) -> None:
    found, index = copied(entry, near)
    assert index == [entry]
    issue = next(issue for issue in found.issues if issue.kind == "missing_images")
    assert issue.examples == (f"{entry!r} (nearly like it: {near!r})",)


def test_a_missing_image_that_is_like_nothing_is_named_alone(copied: Copy) -> None:
    found, _ = copied("gone.png", "images/Berlin.png")
    issue = next(issue for issue in found.issues if issue.kind == "missing_images")
    assert issue.examples == ("'gone.png'",)


@pytest.mark.parametrize("entry", ["images/Q1", "images/Q1/", "images\\q1", "./images/Q1"])
def test_a_folder_gives_its_pictures_in_the_order_of_their_names(copied: Copy, entry: str) -> None:
    files = ["images/Q1/2.png", "images/Q1/10.JPG", "images/Q1/notes.txt", "images/Q1/deep/3.png"]
    found, index = copied(entry, *files)
    assert index == ["images/Q1/10.JPG", "images/Q1/2.png"]
    unread = {issue.kind: issue.examples for issue in found.issues}
    assert unread["unread_files"] == ("'images/Q1/notes.txt'",)
    assert unread["unread_pictures"] == ("'images/Q1/deep/3.png'",)


def test_a_folder_without_pictures_is_reported(copied: Copy) -> None:
    found, index = copied("images/Q1", "images/Q1/notes.txt")
    assert index == ["images/Q1"]
    issue = next(issue for issue in found.issues if issue.kind == "missing_images")
    assert issue.examples == ("'images/Q1' (a folder without pictures)",)


def test_of_a_folder_of_many_pictures_the_first_are_taken(
    copied: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_index, "MAX_PICTURES", 2)
    found, index = copied("many", *(f"many/{name}.png" for name in "dcba"))
    assert index == ["many/a.png", "many/b.png"]
    assert "surplus_images_of_folders" in {issue.kind for issue in found.issues}


@pytest.mark.parametrize(
    "name", [b"\xff.png", b"a\tb.png", b"a\nb.png", b"a\rb.png", b"a.p\tng", b" a.png"]
)
def test_a_file_name_that_no_index_can_hold_is_replaced_by_a_hash(
    make_folder: MakeFolder, tmp_path: Path, name: bytes
) -> None:
    entry = "a.p ng" if name == b"a.p\tng" else "."
    source = make_folder({"train.txt": ["a r b"], "image_index.tsv": f"a\t{entry}\n"})
    (source / os.fsdecode(name)).write_bytes(b"picture")
    found = copy_folder(source, tmp_path / "raw", [])
    ((line,), empty) = read_image_index(tmp_path / "raw/image_index.tsv")
    assert (found.images, empty, line.further) == (1, 0, "")
    assert line.source.startswith("images/external/")
    assert (tmp_path / "raw" / line.source).read_bytes() == b"picture"


@pytest.mark.parametrize("name", [b"\xff.png", b"a\tb.txt", b"a\nb.png"])
def test_an_odd_file_name_that_nothing_reads_is_reported(
    make_folder: MakeFolder, tmp_path: Path, name: bytes
) -> None:
    source = make_folder({"train.txt": ["a r b"]})
    (source / os.fsdecode(name)).touch()
    issues = copy_folder(source, tmp_path / "raw", []).issues
    write_issues(tmp_path, issues)
    (issue,) = read_issues(tmp_path)
    assert issue.examples == (repr(os.fsdecode(name)),)
    assert str(issue).isprintable()


@pytest.mark.parametrize("name", [b"\xff.csv", b"a\nb.csv"])
def test_an_odd_file_name_in_a_folder_without_facts_is_shown_on_one_line(
    tmp_path: Path, name: bytes
) -> None:
    (tmp_path / os.fsdecode(name)).touch()
    with pytest.raises(DataError) as raised:
        copy_folder(tmp_path, tmp_path / "raw", [])
    assert str(raised.value).isprintable()
