"""Whose the pictures and texts on the page are: licences ask that it be said where they go."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from imf_core.artifacts import read_parquet


@dataclass(frozen=True)
class Credit:
    """The origin of a picture or a text.

    Attributes:
        of: What it is, in words.
        author: "" where it is not known.
        licence: "" where it is not known.
        page: Where it came from, a web address or "".
    """

    of: str
    author: str
    licence: str
    page: str


def read_credits(folder: Path, shown: Sequence[int], names: Sequence[str]) -> list[Credit]:
    """Reads the credits of what `media` looked up for some entities.

    Args:
        folder: `data/media`.
        shown: Ids of the entities that appear on the page.
        names: Of all entities.
    """
    ids = pa.array(sorted(set(shown)), pa.int64())
    pictures = read_parquet(
        folder / "manifest.parquet",
        ["entity_id", "image_file", "image_author", "image_licence", "image_page"],
    )
    texts = read_parquet(folder / "descriptions.parquet", ["entity_id", "source_url", "licence"])
    found = [
        Credit(
            f"Picture of {names[row['entity_id']]}",
            row["image_author"] or "",
            row["image_licence"] or "",
            _web_address(row["image_page"]),
        )
        for row in pictures.filter(pc.is_in(pictures["entity_id"], ids)).to_pylist()
        if row["image_file"]
    ]
    found += [
        Credit(
            f"Description of {names[row['entity_id']]}",
            "",
            row["licence"] or "",
            _web_address(row["source_url"]),
        )
        for row in texts.filter(pc.is_in(texts["entity_id"], ids)).to_pylist()
        if row["licence"] or row["source_url"]
    ]
    return found


def _web_address(text: str | None) -> str:
    """Returns an address that may become a link, "" for anything else."""
    return text if text and text.startswith(("https://", "http://")) else ""
