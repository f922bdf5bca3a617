"""File names in a user's folder: known ones, and the report of unread ones."""

from collections.abc import Callable
from pathlib import Path

import pytest

from imf_core.base.errors import DataError
from imf_core.sources.folder import FolderCopy, copy_folder

MakeFolder = Callable[..., Path]


def issues(copied: FolderCopy) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {issue.kind: (issue.count, issue.examples) for issue in copied.issues}


def test_the_layout_of_kg_bert_is_read_under_the_canonical_names(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    files = {
        "train.tsv": "a\tr\tb\n",
        "dev.tsv": "b\tr\ta\n",
        "test.tsv": "a\tr\ta\n",
        "entity2text.txt": "a\tA\n",
        "entity2textlong.txt": "a\tThe first.\n",
        "relation2text.txt": "r\tis beside\n",
    }
    copied = copy_folder(make_folder(files), tmp_path / "raw", [])
    raw = {path.name: path.read_text() for path in (tmp_path / "raw").iterdir()}
    assert raw == {
        "train.txt": files["train.tsv"],
        "valid.txt": files["dev.tsv"],
        "test.txt": files["test.tsv"],
        "entity2name.txt": files["entity2text.txt"],
        "entity2desc.txt": files["entity2textlong.txt"],
        "relation2name.txt": files["relation2text.txt"],
    }
    assert copied.issues == []


@pytest.mark.parametrize("name", ["Train.txt", "TRAIN.TXT", "train.TSV"])
def test_names_are_read_in_any_letter_case(
    make_folder: MakeFolder, tmp_path: Path, name: str
) -> None:
    copied = copy_folder(make_folder({name: "a\tr\tb\n"}), tmp_path / "raw", [])
    assert copied.texts == [name]
    assert (tmp_path / "raw/train.txt").is_file()


@pytest.mark.parametrize(
    "names",
    [("dev.tsv", "valid.txt"), ("Test.txt", "test.txt"), ("entity2name.txt", "entity2text.txt")],
)
def test_two_files_of_one_meaning_are_an_error_that_names_both(
    make_folder: MakeFolder, tmp_path: Path, names: tuple[str, str]
) -> None:
    source = make_folder({"train.txt": ["a r b"], **dict.fromkeys(names, "a\tr\tb\n")})
    with pytest.raises(DataError, match=rf"holds both {names[0]} and {names[1]}.*keep one of them"):
        copy_folder(source, tmp_path / "raw", [])


def test_files_that_nothing_reads_are_reported_with_the_names_that_are_read(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    files = {"train.txt": ["a r b"], "valid.csv": "", "train2id.txt": "", "sub/test.txt": ""}
    copied = copy_folder(make_folder(files), tmp_path / "raw", [])
    assert issues(copied) == {
        "unread_files": (3, ("'sub/test.txt'", "'train2id.txt'", "'valid.csv'"))
    }
    assert "valid/dev/val/validation" in copied.issues[0].text


def test_notes_and_hidden_files_are_not_reported(make_folder: MakeFolder, tmp_path: Path) -> None:
    notes = ["README.md", "LICENSE", ".gitignore", ".git/config", "train.txt.dvc", "Thumbs.db"]
    source = make_folder({"train.txt": ["a r b"], **dict.fromkeys(notes, "")})
    assert copy_folder(source, tmp_path / "raw", []).issues == []


def test_pictures_without_an_index_are_reported_with_what_an_index_needs(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    files = {"train.txt": ["a r b"], "images/a/1.jpg": b"1", "images/b.PNG": b"2"}
    (issue,) = copy_folder(make_folder(files), tmp_path / "raw", []).issues
    assert (issue.kind, issue.count) == ("unread_pictures", 2)
    assert "pictures need an image_index.tsv" in issue.text


def test_a_picture_that_the_index_names_in_another_way_is_not_reported(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    files = {"train.txt": ["a r b"], "pics/a.png": b"1", "pics/b.png": b"2"}
    source = make_folder(files)
    (source / "link").symlink_to("pics")
    (source / "image_index.tsv").write_text(f"a\t{source}/pics/a.png\nb\tlink/b.png\n")
    copied = copy_folder(source, tmp_path / "raw", [])
    assert (copied.images, copied.issues) == (2, [])


def test_a_folder_with_the_graph_one_level_down_is_pointed_to(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    source = make_folder({"FB15k/Train.tsv": "a\tr\tb\n"})
    with pytest.raises(DataError, match=r"set dataset\.path to .*FB15k, which holds one"):
        copy_folder(source, tmp_path / "raw", [])
