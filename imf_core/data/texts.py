"""Names and descriptions for the labels of a graph.

In: the text files of a raw folder and the labels in id order. Out: one text per label, "" if there
is none, and counts of omissions.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from imf_core.artifacts import read_json
from imf_core.data.formats import name_from_title, read_label_ids, read_texts
from imf_core.errors import DataError


@dataclass(frozen=True)
class LabelledTexts:
    """Texts in the order of the labels.

    Attributes:
        texts: Text of each label, "" if there is none.
        unknown: Labels with a text that are not in the graph, in line order.
        repeated: Lines that repeat an earlier one.
        empty: Labels with an empty text, in line order.
        blank_lines: Blank lines.
    """

    texts: list[str]
    unknown: tuple[str, ...] = ()
    repeated: int = 0
    empty: tuple[str, ...] = ()
    blank_lines: int = 0

    @property
    def present(self) -> int:
        """Number of labels that have a text."""
        return sum(bool(text) for text in self.texts)


def read_labelled_texts(path: Path, labels: list[str]) -> LabelledTexts:
    """Reads a `label <tab> text` file, if there is one.

    Raises:
        DataError: If the file is malformed or gives a label two different texts.
    """
    if not path.is_file():
        return LabelledTexts([""] * len(labels))
    found = read_texts(path)
    texts = [found.by_label.get(label, "") for label in labels]
    unknown = _unknown(found.by_label, labels)
    return LabelledTexts(texts, unknown, found.repeated, tuple(found.empty), found.blank_lines)


def read_titles(path: Path, labels: list[str]) -> LabelledTexts:
    """Reads titles from a map of titles to the same ids, and makes names from them.

    Raises:
        DataError: If the file is malformed or does not cover the ids of `labels`.
    """
    titles = read_label_ids(path)
    if len(titles) != len(labels):
        raise DataError(f"{path} has {len(titles)} titles for {len(labels)} ids; it must fit them")
    return LabelledTexts([name_from_title(title) for title in titles])


def read_wikidata_json(path: Path, labels: list[str]) -> tuple[LabelledTexts, LabelledTexts]:
    """Reads names and descriptions from `{label: {"label": ..., "description": ...}}`.

    Raises:
        DataError: If the file is malformed.
    """
    found = read_json(path)
    if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
        raise DataError(f"{path} must map each label to an object; it is no such file")
    unknown = _unknown(found, labels)
    names, descriptions = (
        [_one_line((found.get(label) or {}).get(key)) for label in labels]
        for key in ("label", "description")
    )
    return LabelledTexts(names, unknown), LabelledTexts(descriptions, unknown)


def _unknown(found: Iterable[str], labels: list[str]) -> tuple[str, ...]:
    known = set(labels)
    return tuple(label for label in found if label not in known)


def _one_line(text: object) -> str:
    """Returns a text without line breaks, "" for other values."""
    return " ".join(text.split()) if isinstance(text, str) else ""
