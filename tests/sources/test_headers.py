"""Header lines of a user's files: certain ones are left out, others reported."""

from collections.abc import Callable
from pathlib import Path

import pytest

from imf_core.base.errors import DataError
from imf_core.sources.folder import FolderCopy, copy_folder, is_title

MakeFolder = Callable[..., Path]

FACTS = "a\tnear\tb\nb\tnear\tc\nc\tlikes\ta\n"


@pytest.fixture
def copied(make_folder: MakeFolder, tmp_path: Path) -> Callable[..., tuple[FolderCopy, Path]]:
    """Copies a folder; the facts are in train."""

    def copy(files: dict[str, str]) -> tuple[FolderCopy, Path]:
        raw = tmp_path / "raw"
        return copy_folder(make_folder({"train.txt": FACTS, **files}), raw, []), raw

    return copy


Copy = Callable[..., tuple[FolderCopy, Path]]


@pytest.mark.parametrize(
    "header",
    [
        "head\trelation\ttail",
        "node1\tlabel\tnode2",
        "Subject\tPredicate\tObject",
        "h\tr\tt",
        "#head_id\trelation_id\ttail_id",
        '"source"\t"type"\t"target"',
        "\ufeffstartNode\tedge\tendNode\r",
    ],
)
def test_a_line_of_title_words_is_left_out(copied: Copy, header: str) -> None:
    found, raw = copied({"train.txt": f"{header}\n{FACTS}"})
    assert (raw / "train.txt").read_text() == FACTS
    (issue,) = found.issues
    assert (issue.kind, issue.count) == ("header_lines", 1)
    assert issue.examples[0].startswith("train.txt: ")


def test_a_header_is_left_out_of_every_split_and_where_it_is_repeated(copied: Copy) -> None:
    header = "head\trelation\ttail\n"
    found, raw = copied(
        {
            "train.txt": f"{header}{FACTS}{header}b\tlikes\tc\n",
            "valid.txt": f"{header}a\tnear\tc\n",
            "test.txt": f"{header}b\tnear\ta\n",
        }
    )
    assert (raw / "train.txt").read_text() == f"{FACTS}b\tlikes\tc\n"
    assert (raw / "valid.txt").read_text() == "a\tnear\tc\n"
    assert (raw / "test.txt").read_text() == "b\tnear\ta\n"
    assert found.issues[0].count == 3


def test_a_header_whose_relation_is_a_true_one_as_well_is_left_out(copied: Copy) -> None:
    _, raw = copied({"train.txt": "head\ttype\ttail\na\ttype\tb\nb\ttype\ta\n"})
    assert (raw / "train.txt").read_text() == "a\ttype\tb\nb\ttype\ta\n"


@pytest.mark.parametrize("first", ["Sun\tattracts\tMoon", "Kopf\tKante\tFuss", "s1\tp1\to1"])
def test_a_first_fact_of_labels_seen_once_stays_and_is_reported(copied: Copy, first: str) -> None:
    found, raw = copied({"train.txt": f"{first}\n{FACTS}"})
    assert (raw / "train.txt").read_text() == f"{first}\n{FACTS}"
    (issue,) = found.issues
    assert (issue.kind, issue.count) == ("possible_header_lines", 1)


@pytest.mark.parametrize("first", ["a\tlikes\tb", "x\tlikes\ty", "a\tsees\tx", "object\tnear\ta"])
def test_a_first_fact_that_shares_a_label_is_a_fact(copied: Copy, first: str) -> None:
    found, _ = copied({"train.txt": f"{first}\n{FACTS}"})
    assert found.issues == []


def test_a_graph_of_one_fact_has_no_header(copied: Copy) -> None:
    found, raw = copied({"train.txt": "head\trelation\ttail\n"})
    assert found.issues == []
    assert (raw / "train.txt").read_text() == "head\trelation\ttail\n"


def test_a_file_that_holds_nothing_but_a_header_is_an_error(copied: Copy) -> None:
    with pytest.raises(DataError, match=r"test\.txt holds the titles of columns \(head, relation"):
        copied({"test.txt": "head\trelation\ttail\n"})


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("entity2name.txt", "entity\tname"),
        ("entity2desc.txt", "id\tdescription"),
        ("relation2name.txt", "relation\tlabel"),
        ("entity2wikidata.txt", "node\tqid"),
    ],
)
def test_a_header_of_a_text_file_is_left_out(copied: Copy, name: str, header: str) -> None:
    label = "near" if name.startswith("relation") else "a"
    found, raw = copied({name: f"{header}\n{label}\ttext\n"})
    assert (raw / name).read_text() == f"{label}\ttext\n"
    assert [issue.kind for issue in found.issues] == ["header_lines"]


def test_a_header_of_the_image_index_is_left_out_and_no_missing_image(copied: Copy) -> None:
    found, raw = copied({"image_index.tsv": "entity\timage\na\ta.png\n", "a.png": "A"})
    assert (raw / "image_index.tsv").read_text() == "a\ta.png\n"
    assert [issue.kind for issue in found.issues] == ["header_lines"]


def test_a_text_of_an_entity_with_the_label_of_a_title_stays(copied: Copy) -> None:
    files = {"train.txt": f"{FACTS}name\tnear\ta\n", "entity2name.txt": "name\tName\n"}
    found, raw = copied(files)
    assert (raw / "entity2name.txt").read_text() == "name\tName\n"
    assert found.issues == []


@pytest.mark.parametrize("label", ["node1", "Head_ID", "#subject", "entityLabel", " tail ", "h"])
def test_a_title_is_made_of_title_words(label: str) -> None:
    assert is_title(label)


@pytest.mark.parametrize("label", ["s1", "Q42", "headless", "nodé", "12", "", "the head", "名前"])
def test_other_labels_are_no_titles(label: str) -> None:
    assert not is_title(label)
