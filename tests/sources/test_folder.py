"""Copies of a user's folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from imf_core.base.artifacts import file_sha256
from imf_core.base.errors import DataError
from imf_core.sources import folder
from imf_core.sources.folder import FolderCopy, copy_folder
from imf_core.sources.layout import ImageLine, read_image_index

MakeFolder = Callable[..., Path]


def kinds(copied: FolderCopy) -> dict[str, int]:
    return {issue.kind: issue.count for issue in copied.issues}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_text_files_are_copied_byte_for_byte(make_folder: MakeFolder, tmp_path: Path) -> None:
    files = {"train.txt": "\ufeffa\tr\tb\r\n", "entity2name.txt": "a\tA\n", "notes.md": "mine"}
    copied = copy_folder(make_folder(files), tmp_path / "raw", [])
    assert contents(tmp_path / "raw") == {
        "train.txt": b"\xef\xbb\xbfa\tr\tb\r\n",
        "entity2name.txt": b"a\tA\n",
    }
    assert copied.texts == ["train.txt", "entity2name.txt"]


def test_a_map_to_wikidata_is_copied_and_checked(make_folder: MakeFolder, tmp_path: Path) -> None:
    files = {"train.txt": "a\tr\tb\n", "entity2wikidata.txt": "a\tQ1\thttps://example.org\n"}
    copied = copy_folder(make_folder(files), tmp_path / "raw", [])
    assert "entity2wikidata.txt" in copied.texts
    broken = make_folder({**files, "entity2wikidata.txt": "a Q1\n"}, "broken")
    with pytest.raises(DataError, match=r"broken/entity2wikidata\.txt, line 1"):
        copy_folder(broken, tmp_path / "raw", [])


def test_only_referenced_images_are_copied(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder(
        {
            "train.txt": ["a r b"],
            "image_index.tsv": "b\tpics/b.png\tnote\na\tpics/a.png\n",
            "pics/a.png": b"A",
            "pics/b.png": b"B",
            "pics/unused.png": b"C",
        }
    )
    copied = copy_folder(source, tmp_path / "raw", [])
    raw = contents(tmp_path / "raw")
    assert {"pics/a.png", "pics/b.png"} < raw.keys()
    assert "pics/unused.png" not in raw
    assert raw["image_index.tsv"] == b"b\tpics/b.png\tnote\na\tpics/a.png\n"
    assert (copied.images, copied.urls) == (2, 0)
    assert kinds(copied) == {"unread_pictures": 1}


def test_a_missing_image_is_counted_and_stays_in_the_index(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    source = make_folder({"train.txt": ["a r b"], "image_index.tsv": "a\tgone.png\n"})
    copied = copy_folder(source, tmp_path / "raw", [])
    assert kinds(copied) == {"missing_images": 1}
    assert (tmp_path / "raw/image_index.tsv").read_text() == "a\tgone.png\n"


def test_a_file_name_the_disk_cannot_have_counts_as_missing(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    source = make_folder({"train.txt": ["a r b"], "image_index.tsv": f"a\t{'x' * 5000}.png\n"})
    assert kinds(copy_folder(source, tmp_path / "raw", [])) == {"missing_images": 1}


def test_a_url_is_left_to_the_images_stage(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder(
        {"train.txt": ["a r b"], "image_index.tsv": "a\thttps://example.org/a.png\n"}
    )
    copied = copy_folder(source, tmp_path / "raw", [])
    assert (copied.urls, copied.images, copied.issues) == (1, 0, [])


@pytest.mark.parametrize("style", ["absolute", "leading out"])
def test_an_image_in_another_allowed_folder_is_named_by_its_content(
    make_folder: MakeFolder, tmp_path: Path, style: str
) -> None:
    picture = tmp_path / "Picture.PNG"
    picture.write_bytes(b"picture")
    path = str(picture) if style == "absolute" else "../Picture.PNG"
    source = make_folder({"train.txt": ["a r b"], "image_index.tsv": f"a\t{path}\n"})
    copy_folder(source, tmp_path / "raw", [tmp_path])
    name = f"images/external/{file_sha256(picture)[:32]}.png"
    assert (tmp_path / "raw/image_index.tsv").read_text() == f"a\t{name}\n"
    assert (tmp_path / "raw" / name).read_bytes() == b"picture"


@pytest.mark.parametrize("style", ["absolute", "leading out", "link"])
def test_a_file_outside_of_all_allowed_folders_is_not_read(
    make_folder: MakeFolder, tmp_path: Path, style: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    name = {"absolute": str(secret), "leading out": "../secret", "link": "link.png"}[style]
    source = make_folder({"train.txt": ["a r b"], "image_index.tsv": f"a\t{name}\n"})
    (source / "link.png").symlink_to(secret)
    (tmp_path / "other").mkdir()
    copied = copy_folder(source, tmp_path / "raw", [tmp_path / "other"])
    assert (kinds(copied)["outside_images"], copied.images) == (1, 0)
    assert b"secret" not in contents(tmp_path / "raw").values()
    assert (tmp_path / "raw/image_index.tsv").read_text() == f"a\t{name}\n"


def test_an_index_is_read_once(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def count(path: Path) -> tuple[list[ImageLine], int]:
        read.append(path)
        return read_image_index(path)

    monkeypatch.setattr(folder, "read_image_index", count)
    source = make_folder({"train.txt": ["a r b"], "image_index.tsv": "entity\timage\na\ta.png\n"})
    copied = copy_folder(source, tmp_path / "raw", [])
    assert read == [source / "image_index.tsv"]
    assert kinds(copied)["header_lines"] == 1


@pytest.mark.parametrize("name", ["train.txt", "entity2desc.txt", "image_index.tsv"])
def test_a_text_file_that_leads_out_of_the_folder_is_refused(
    make_folder: MakeFolder, tmp_path: Path, name: str
) -> None:
    (tmp_path / "secret").write_text("a\tr\tb\n")
    source = make_folder({"entity2name.txt": "a\tA\n"})
    (source / "train.txt").write_text("a\tr\tb\n")
    (source / name).unlink(missing_ok=True)
    (source / name).symlink_to(tmp_path / "secret")
    with pytest.raises(DataError, match=rf"{name} is a link that leads out of the folder"):
        copy_folder(source, tmp_path / "raw", [])


def test_an_image_entry_cannot_overwrite_a_text_file(
    make_folder: MakeFolder, tmp_path: Path
) -> None:
    source = make_folder({"train.txt": "a\tr\tb\n", "image_index.tsv": "a\timage_index.tsv\n"})
    copy_folder(source, tmp_path / "raw", [])
    assert (tmp_path / "raw/image_index.tsv").read_text().startswith("a\timages/external/")


def test_copying_twice_gives_the_same_bytes(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder({"train.txt": ["a r b"], "image_index.tsv": "a\ta.png\n", "a.png": b"A"})
    copy_folder(source, tmp_path / "one", [])
    copy_folder(source, tmp_path / "two", [])
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_missing_folder_is_named_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset\.path: .*nowhere is not a folder"):
        copy_folder(tmp_path / "nowhere", tmp_path / "raw", [])


def test_a_folder_without_facts_is_refused(make_folder: MakeFolder, tmp_path: Path) -> None:
    source = make_folder({"triples.csv": "a,r,b"})
    with pytest.raises(DataError, match=r"train\.txt is missing \(the folder holds triples\.csv\)"):
        copy_folder(source, tmp_path / "raw", [])


def test_lines_of_an_index_without_an_image_are_skipped_and_counted(
    make_folder: MakeFolder,
) -> None:
    source = make_folder({"image_index.tsv": "a\t\nb\tb.png\n\na\t \tnote\n"})
    lines, skipped = read_image_index(source / "image_index.tsv")
    assert ([line.entity_label for line in lines], skipped) == (["b"], 3)


@pytest.mark.parametrize("line", ["a", "\ta.png"])
def test_a_malformed_index_line_is_named(make_folder: MakeFolder, line: str) -> None:
    source = make_folder({"image_index.tsv": f"a\ta.png\n{line}\n"})
    with pytest.raises(DataError, match=r"image_index\.tsv, line 2: expected an entity label"):
        read_image_index(source / "image_index.tsv")


def test_no_index_means_no_images(tmp_path: Path) -> None:
    assert read_image_index(tmp_path / "image_index.tsv") == ([], 0)


def test_further_columns_of_the_index_are_kept_apart(make_folder: MakeFolder) -> None:
    source = make_folder({"image_index.tsv": "a\ta.png\tCC0\t1x1\n"})
    lines, _ = read_image_index(source / "image_index.tsv")
    assert lines == [ImageLine("a", "a.png", "CC0\t1x1")]
