"""The entities on the page: names, descriptions, small images as data URIs, licences and credits.

A shard is opened only if one of the wanted entities is in it, so the memory needed is that of one
shard.
"""

import base64
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imf_core.base.artifacts import read_parquet
from imf_core.base.errors import DataError
from imf_core.base.terminal import track
from imf_core.graph.graph import Graph, count_train_facts
from imf_core.graph.issues import MAX_EXAMPLES, DataIssue, data_issue
from imf_core.raster.reencode import ReencodedImage, quiet_pillow, reencode_image
from imf_core.raster.shards import MANIFEST, SOURCES, shard_paths

THUMBNAIL_PIXELS = 128
"""Longest side: a lossless one takes at most 48 KiB, so that a hundred of them stay below 7 MB."""

_MAX_BYTES = 30_000_000
_MAX_PIXELS = 60_000_000


def read_thumbnails(
    folder: Path, graph_fingerprint: str, entity_ids: Iterable[int]
) -> dict[int, str]:
    """Reads the first picture of each entity that has one.

    Args:
        folder: `data/images`.
        graph_fingerprint: Of the graph that the ids belong to.
        entity_ids: Entities to show with pictures.

    Returns:
        Data URIs by entity id.

    Raises:
        DataError: If a shard is damaged or of another graph.
    """
    wanted = sorted(set(entity_ids))
    found: dict[int, str] = {}
    shards = shard_paths(folder, graph_fingerprint)
    with quiet_pillow():
        for path in track(shards, "report, files of pictures", len(shards)):
            for row in _read_first_pictures(path, wanted):
                uri = _make_thumbnail(row["image"])
                if uri is not None:
                    found[row["entity_id"]] = uri
    return found


def _read_first_pictures(path: Path, wanted: list[int]) -> list[dict[str, Any]]:
    """Reads rows of a shard; row groups without a wanted entity are not read."""
    filters = [("entity_id", "in", wanted), ("position", "=", 0)]
    try:
        table = pq.read_table(path, columns=["entity_id", "image"], filters=filters)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read ({error}); delete it and run `dvc repro` to make it again"
        ) from error
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _make_thumbnail(content: bytes) -> str | None:
    """Shrinks a picture; None where it cannot be read, which its shard should not hold."""
    image = reencode_image(
        content, size_pixels=THUMBNAIL_PIXELS, max_bytes=_MAX_BYTES, max_pixels=_MAX_PIXELS
    )
    if not isinstance(image, ReencodedImage):
        return None
    kind = "png" if image.content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image.content).decode('ascii')}"


NO_FAILURES = frozenset({"ok", "duplicate", "surplus"})
"""A picture that another source gave as well, or one beyond those wanted, is no failure."""

REPORTS_OF_FILES = frozenset({"missing_images", "outside_images"})
"""Issues of `download`: files of the index that it has not copied."""

NOT_COPIED = frozenset({"missing", "refused"})
"""Statuses of a file that `download` has not copied; a refused URL has a time of its outcome."""


def entities_with_picture(folder: Path) -> list[int]:
    """Lists the entities that have a picture, without reading one.

    Args:
        folder: `data/images`.
    """
    table = read_parquet(folder / MANIFEST, ["entity_id", "num_images"])
    return list(table.filter(pc.greater(table["num_images"], 0))["entity_id"].to_pylist())


def find_failures(folder: Path, names: Sequence[str], reported: Collection[str]) -> list[DataIssue]:
    """Reports the sources that gave no picture: an issue for each status, the most frequent first.

    Args:
        folder: `data/images`.
        names: Of the entities.
        reported: Kinds of the issues of the data. Files of the index that `download` has not
            copied are left out where it has reported them: a file counts once.
    """
    columns = ["entity_id", "source", "status", "reason", "fetched_at"]
    table = read_parquet(folder / SOURCES, columns)
    total = len(table)
    if not REPORTS_OF_FILES.isdisjoint(reported):
        is_file = pc.is_null(table["fetched_at"])
        is_reported = pc.and_(is_file, pc.is_in(table["status"], pa.array(sorted(NOT_COPIED))))
        table = table.filter(pc.invert(is_reported))
    counts = Counter(table["status"].to_pylist())
    issues: list[DataIssue] = []
    for status, count in sorted(counts.items(), key=lambda each: (-each[1], each[0])):
        if status in NO_FAILURES:
            continue
        rows = table.filter(pc.equal(table["status"], status)).slice(0, MAX_EXAMPLES).to_pylist()
        issues += data_issue(
            f"picture_{status}",
            f"of {total} sources of pictures gave none: {status.replace('_', ' ')}; "
            "data/images/sources.parquet has them all",
            (_format_source(row, names) for row in rows),
            count,
        )
    return issues


def _format_source(row: Mapping[str, Any], names: Sequence[str]) -> str:
    reason = f" ({row['reason']})" if row["reason"] else ""
    return f"{names[row['entity_id']]}: {row['source']}{reason}"


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


SAMPLE = 12
"""Entities shown to give an idea of the graph."""

FACTS_OF_EACH = 3
LONGEST_TEXT = 180
"""Characters of a description that are shown."""


@dataclass(frozen=True)
class Entity:
    """An entity as the page shows it.

    Attributes:
        name: For people.
        description: Cut to `LONGEST_TEXT`, "" where there is none.
        picture: Key of `EntityCards.pictures`, None where there is none.
        facts: Some of what train says of it, one of a relation, first where it is the head; only of
            a sampled entity.
        num_facts: How many train facts it has in all; only of a sampled entity.
    """

    name: str
    description: str
    picture: int | None
    facts: list[str] = field(default_factory=list)
    num_facts: int = 0


class EntityCards:
    """All entities by id, with the pictures of those that appear.

    Attributes:
        pictures: Data URIs by entity id.

    Args:
        names: In id order.
        descriptions: In id order, "" where there is none.
        pictures: See the attribute.
    """

    def __init__(
        self, names: Sequence[str], descriptions: Sequence[str], pictures: Mapping[int, str]
    ) -> None:
        self._names = names
        self._descriptions = descriptions
        self.pictures = pictures

    def name(self, entity_id: int) -> str:
        """Returns the name of an entity."""
        return self._names[entity_id]

    def entity(self, entity_id: int) -> Entity:
        """Returns an entity as it appears beside a fact."""
        return Entity(
            self._names[entity_id],
            _shorten(self._descriptions[entity_id]),
            entity_id if entity_id in self.pictures else None,
        )

    def sampled(self, entity_id: int, graph: Graph, relation_names: Sequence[str]) -> Entity:
        """Returns an entity of the sample, with some of its train facts."""
        train = graph.triples["train"]
        of_it = train[(train[:, 0] == entity_id) | (train[:, 2] == entity_id)].tolist()
        as_head = {relation: tail for head, relation, tail in reversed(of_it) if head == entity_id}
        as_tail = {relation: head for head, relation, tail in reversed(of_it) if head != entity_id}
        facts = [
            f"{relation_names[relation]}: {self.name(tail)}"
            for relation, tail in sorted(as_head.items())
        ]
        facts += [
            f"{self.name(head)} – {relation_names[relation]} – {self.name(entity_id)}"
            for relation, head in sorted(as_tail.items())
        ]
        plain = self.entity(entity_id)
        return Entity(
            plain.name, plain.description, plain.picture, facts[:FACTS_OF_EACH], len(of_it)
        )


def choose_sample(graph: Graph, with_picture: Iterable[int]) -> list[int]:
    """Chooses entities evenly from the best connected to the least, with pictures where they are.

    Args:
        graph: Gives the number of facts of each entity.
        with_picture: Ids of the entities that have a picture.

    Returns:
        At most `SAMPLE` ids, the best connected first.
    """
    degrees = count_train_facts(graph).numpy()
    pool = np.array(sorted(with_picture), dtype=np.int64)
    if len(pool) < SAMPLE:
        others = np.setdiff1d(np.arange(graph.num_entities), pool)
        others = others[np.argsort(-degrees[others], kind="stable")]
        pool = np.concatenate([pool, others[: SAMPLE - len(pool)]])
    pool = pool[np.argsort(-degrees[pool], kind="stable")]
    places = np.linspace(0, len(pool) - 1, min(SAMPLE, len(pool))).round().astype(np.int64)
    return [int(each) for each in pool[places]]


def _shorten(text: str) -> str:
    """Cuts a text at a word."""
    text = " ".join(text.split())
    if len(text) <= LONGEST_TEXT:
        return text
    return text[:LONGEST_TEXT].rsplit(" ", 1)[0].rstrip(",.;:") + "\N{NO-BREAK SPACE}…"
