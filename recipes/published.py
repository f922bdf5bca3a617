"""Reads published figures from `published.yaml`."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from imf_core.typed_yaml import Section, read_yaml, validate
from recipes.recipe import PUBLISHED

_MARKS = {
    "test": " (test-selected)",
    "valid": " (selected on valid)",
    "unknown": " (selection not stated)",
}
PerCent = Field(default=None, ge=0, le=100)


class PublishedRow(Section):
    """Published metrics of one model on a data set's test facts, in per cent."""

    model: str
    mrr: float = Field(ge=0, le=100)
    hits_at_1: float | None = PerCent
    hits_at_3: float | None = PerCent
    hits_at_10: float | None = PerCent
    selected: Literal["valid", "test", "unknown"]
    source: str

    @property
    def title(self) -> str:
        """The model, and the split that selected the reported epoch, if stated."""
        return f"{self.model}{_MARKS[self.selected]}"


class _File(Section):
    """The whole file: rows by data set."""

    rows: dict[str, list[PublishedRow]]


def read_published(path: Path = PUBLISHED) -> dict[str, list[PublishedRow]]:
    """Reads the published rows by data set.

    Raises:
        ConfigError: If the file is invalid.
    """
    return validate(_File, {"rows": read_yaml(path.read_text(encoding="utf-8"))}, str(path)).rows
