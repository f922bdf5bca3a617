"""Graphs for measurements of path networks, and ranks by a path network alone.

A graph is prepared as the stages `download` and `prepare` do, below the state folder. Ranks are
those of the stage `evaluate`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from imf_core.base.artifacts import fresh_folder
from imf_core.base.config import FOLDER, load_params
from imf_core.base.device import Shard, unsharded
from imf_core.evaluation.ranking import COMBINED, rank_triples
from imf_core.graph.graph import Graph, load_graph
from imf_core.graph.known_tails import find_loops, known_tails_in
from imf_core.graph.labels import SPLITS, save_graph
from imf_core.paths.network import PathNetwork
from imf_core.paths.path_graph import PathGraph, build_path_graph
from imf_core.prepare.prepare import prepare_graph
from stages.download import fill_raw
from stages.paths import PARAMS
from stages.runner import state_folder

QUERIES_AT_ONCE = 256
CPU = torch.device("cpu")


def load_set(name: str) -> Graph:
    """Prepares a registered set, or the folder of a graph if `name` is its path.

    Raises:
        ConfigError: If there is no such set.
        DataError: If a file is missing or malformed.
    """
    params, is_folder = load_params(PARAMS), Path(name).is_dir()
    folder = state_folder() / "paths" / Path(name).resolve().name
    kind, own = (FOLDER if is_folder else name), params.dataset
    if is_folder or not (folder / "graph").exists():
        with fresh_folder(folder / "raw") as raw:
            fill_raw(kind, raw, own.model_copy(update={"path": name}), params.fetch)
        prepared = prepare_graph(folder / "raw", kind, params.prepare)
        with fresh_folder(folder / "graph") as target:
            save_graph(prepared.labels, prepared.facts, target)
    return load_graph(folder / "graph")


@dataclass(frozen=True)
class PathScorer:
    """A path network on the train facts of a graph, for `rank_triples`.

    Attributes:
        network: The network.
        paths: The graph of train.
        has_loops: From `find_loops`; the query's own entity ranks last where there is none.
        shard: All entities.
        device: The CPU.
        channel_names: None, since the network has a single score.
    """

    network: PathNetwork
    paths: PathGraph
    has_loops: Tensor
    shard: Shard
    device: torch.device = CPU
    channel_names: tuple[str, ...] = ()

    def batch_size(self, wanted: int) -> int:
        """Returns the number of queries to score at once."""
        return wanted

    def scores(self, queries: Tensor) -> Iterator[Tensor]:
        """Yields the scores of all entities, shape: (B, E), dtype: float32."""
        scores = self.network.score(self.paths, queries)
        rows = (~self.has_loops[queries[:, 1]]).nonzero().flatten()
        scores[rows, queries[rows, 0]] = scores.min() - 1
        yield scores


class PathRanking:
    """Ranks facts of a graph by path networks that see its train."""

    def __init__(self, graph: Graph) -> None:
        """Builds the path graph of train."""
        train, size = graph.triples["train"], graph.num_entities
        self.graph, self.has_loops, self.shard = graph, find_loops(graph), unsharded(size)
        self.paths = build_path_graph(train, size, graph.num_relations)

    def measure_mrr(self, network: PathNetwork, split: str, limit: int | None) -> float:
        """Returns the mean reciprocal filtered rank over both directions.

        Args:
            network: The network.
            split: `valid`, filtered by train and valid, or `test`, filtered by all facts.
            limit: Facts to rank, evenly spaced if the split has more; None: all.
        """
        facts = self.graph.triples[split]
        if limit is not None and len(facts) > limit:
            facts = facts[torch.arange(limit) * len(facts) // limit]
        scorer = PathScorer(network, self.paths, self.has_loops, self.shard)
        known = known_tails_in(self.graph, ("train", "valid") if split == "valid" else SPLITS)
        table = rank_triples(scorer, facts, known, self.graph.num_relations, QUERIES_AT_ONCE)
        return float((1 / table.ranks[COMBINED]).mean())
