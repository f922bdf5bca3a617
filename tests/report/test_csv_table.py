"""The error of a damaged table names its file and the remedy."""

from pathlib import Path

import pytest

from imf_core.base.errors import DataError
from imf_core.report.curves import read_csv

COLUMNS = {"name": str, "count": int}


def test_the_columns_asked_for_are_read_as_their_kinds(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_text("other\tcount\tname\nx\t3\ta, b\n")
    assert read_csv(path, COLUMNS, "\t") == [{"name": "a, b", "count": 3}]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"\xff\xfe\x00PAR1", "cannot be read"),
        (b"", "has no column name, count"),
        (b"name,number\na,3\n", "has no column count"),
        (b"name,count\na,many\n", "cannot be read .*many"),
        (b"name,count\na\n", "cannot be read"),
    ],
)
def test_a_damaged_table_is_named_with_the_remedy(
    tmp_path: Path, content: bytes, fault: str
) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"table\.csv {fault}.*delete it and run `dvc repro`"):
        read_csv(path, COLUMNS)
