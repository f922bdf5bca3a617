"""Graphs of `python -m benchmarks gpu`: a registered set from a mirror or a folder, or its shape.

The stages `download` and `prepare` need packages that a GPU machine may lack, so the facts are read
here: those of test leave train, and valid shares none with either. If valid has too few facts, one
fact of twenty is held out of train, as `prepare` does for DB15K.
"""

import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch
import yaml
from torch import Tensor

from benchmarks.accuracy import ROOT
from benchmarks.graphs import World, make_graph, make_tables
from imf_core.graph.graph import Graph
from imf_core.graph.labels import SPLITS

REGISTRY = ROOT / "imf_core" / "sources" / "registry.yaml"
FEATURES = {"image": (384, 0.9), "text": (384, 1.0)}
"""Numbers of a random feature vector, and share of entities with one."""

LEAST_VALID = 1_000
HELD_OUT = 20
"""One fact of so many is held out of train where valid has too few."""


@dataclass(frozen=True)
class NamedWorld:
    """A graph with random features.

    Attributes:
        name: Name of the set; `synthetic` before it for a made graph of its shape.
        world: Graph and features.
        source: Where the facts come from, for the notes.
    """

    name: str
    world: World
    source: str


def load_world(name: str, mirror: Path | None, folder: Path | None, shrink: int) -> NamedWorld:
    """Loads a registered set, or makes a graph of its shape where the files are missing.

    Args:
        name: A set of the registry with `train.txt`, `valid.txt` and `test.txt`.
        mirror: Folder with `HOST/PATH` of each source file.
        folder: Folder with `NAME/train.txt` and the others; read before the mirror.
        shrink: The made graph has so many times fewer entities and facts; 1 for its real size.
    """
    entry = yaml.safe_load(REGISTRY.read_text(encoding="utf-8"))["datasets"][name]
    counts = entry["counts"]
    if folder is not None:
        texts = {split: (folder / name / f"{split}.txt").read_bytes() for split in SPLITS}
        graph, source = read_graph(texts), "facts of a folder"
    elif mirror is not None and (found := _read_mirror(entry, mirror)) is not None:
        graph, source = read_graph(found), "facts of the published set"
    else:
        sizes = counts["entities"] // shrink, max(2, counts["relations"] // shrink)
        facts, held_out = counts["train"] // shrink, counts["test"] // shrink
        graph = make_graph(*sizes, num_facts=facts, num_held_out=held_out)
        source = f"made graph of the shape of {name}, its files are missing"
        name = f"synthetic {name}"
    world = World(graph, make_tables(graph.num_entities, FEATURES))
    return NamedWorld(name, world, f"{source}; random features")


def read_graph(texts: Mapping[str, bytes]) -> Graph:
    """Makes a graph of the lines `head relation tail` of its splits.

    Args:
        texts: Content of the files by split, words separated by tabs or spaces.
    """
    rows = {
        split: [
            line.split("\t") if "\t" in line else line.split()
            for line in texts[split].decode("utf-8").splitlines()
            if line.strip()
        ]
        for split in SPLITS
    }
    everything = [row for split in SPLITS for row in rows[split]]
    entities = sorted({row[end] for row in everything for end in (0, 2)})
    relations = sorted({row[1] for row in everything})
    ids = [{label: number for number, label in enumerate(some)} for some in (entities, relations)]
    keys = {
        split: np.unique(
            [
                (ids[0][head] * len(relations) + ids[1][name]) * len(entities) + ids[0][tail]
                for head, name, tail in rows[split]
            ]
        )
        for split in SPLITS
    }
    train = np.setdiff1d(keys["train"], keys["test"])
    valid = np.setdiff1d(np.setdiff1d(keys["valid"], train), keys["test"])
    if len(valid) < LEAST_VALID:
        is_held_out = np.random.default_rng(0).permutation(len(train)) % HELD_OUT == 0
        valid, train = train[is_held_out], train[~is_held_out]
    splits = {"train": train, "valid": valid, "test": keys["test"]}
    triples = {
        split: _unpack(some, len(entities), len(relations)) for split, some in splits.items()
    }
    texts_of_entities = [""] * len(entities)
    return Graph(entities, entities, texts_of_entities, relations, relations, triples)


def _unpack(keys: np.ndarray, num_entities: int, num_relations: int) -> Tensor:
    pairs, tails = np.divmod(keys, num_entities)
    heads, relations = np.divmod(pairs, num_relations)
    return torch.from_numpy(np.stack([heads, relations, tails], axis=1).astype(np.int64))


def _read_mirror(entry: Mapping[str, Any], mirror: Path) -> dict[str, bytes] | None:
    """Reads the splits from files or archives of a mirror; None if one is missing."""
    wanted = [f"{split}.txt" for split in SPLITS]
    found: dict[str, bytes] = {}
    for file in entry["files"]:
        path = _place(mirror, file["url"])
        if file["save_as"] in wanted and path.is_file():
            found[file["save_as"]] = path.read_bytes()
    for archive in entry.get("archives", []):
        path = _place(mirror, archive["url"])
        if path.is_file():
            found |= _unpack_archive(path, [name for name in archive["unpack"] if name in wanted])
    if len(found) < len(wanted):
        return None
    return {split: found[f"{split}.txt"] for split in SPLITS}


def _place(mirror: Path, url: str) -> Path:
    parts = urlsplit(url)
    return mirror / parts.netloc / parts.path.lstrip("/")


def _unpack_archive(path: Path, names: Sequence[str]) -> dict[str, bytes]:
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = Path(member.name).name
            content = archive.extractfile(member) if name in names else None
            if content is not None:
                found[name] = content.read()
    return found
