"""Tables of the run as text: read with the columns and kinds of cells that the report takes."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from imf_core.errors import DataError


def read_csv(
    path: Path, columns: Mapping[str, Callable[[str], Any]], delimiter: str = ","
) -> list[dict[str, Any]]:
    """Reads a table with a line of titles.

    Args:
        path: Of the file, in UTF-8.
        columns: What is read of it: title -> what makes a value of a cell, such as `int`.
        delimiter: Between cells.

    Raises:
        DataError: If the file is missing or damaged, or lacks a column.
    """
    if not path.exists():
        raise DataError(f"{path} is missing; run `dvc repro`")
    again = "delete it and run `dvc repro` to make it again"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, delimiter=delimiter, restval="")
            missing = [title for title in columns if title not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path} has no column {', '.join(missing)}; {again}")
            return [{title: make(row[title]) for title, make in columns.items()} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); {again}") from error
