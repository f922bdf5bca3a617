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
from imf_core.base.config import load_params
from imf_core.base.device import Shard, unsharded
from imf_core.evaluation.ranking import rank_triples
from imf_core.graph.graph import Graph, load_graph
from imf_core.graph.known_tails import find_loops, known_tails_in
from imf_core.graph.labels import save_graph
from imf_core.paths.network import PathNetwork
from imf_core.paths.path_graph import PathGraph, build_path_graph
from imf_core.prepare.prepare import prepare_graph
from imf_core.sources.registry import FOLDER
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


@dataclass(frozen=True)
class RankedFacts:
    """Facts of a split to rank, in the graph of train.

    Attributes:
        graph: The graph.
        paths: Its train facts.
        split: `valid`, filtered by train and valid, or `test`, filtered by all facts.
        facts: Some facts of the split, shape: (N, 3), dtype: long.
    """

    graph: Graph
    paths: PathGraph
    split: str
    facts: Tensor

    def measure_mrr(self, network: PathNetwork) -> float:
        """Returns the mean reciprocal filtered rank over both directions."""
        graph = self.graph
        splits = ("train", "valid") if self.split == "valid" else ("train", "valid", "test")
        scorer = PathScorer(network, self.paths, find_loops(graph), unsharded(graph.num_entities))
        known = known_tails_in(graph, splits)
        table = rank_triples(scorer, self.facts, known, graph.num_relations, QUERIES_AT_ONCE)
        return float((1 / table.ranks["combined"]).mean())


def choose_facts(graph: Graph, paths: PathGraph, split: str, limit: int | None) -> RankedFacts:
    """Returns facts of a split, evenly spaced if it has more than `limit`."""
    facts = graph.triples[split]
    if limit is not None and len(facts) > limit:
        facts = facts[torch.arange(limit) * len(facts) // limit]
    return RankedFacts(graph, paths, split, facts)


def build_train_paths(graph: Graph) -> PathGraph:
    """Builds the path graph of train."""
    return build_path_graph(graph.triples["train"], graph.num_entities, graph.num_relations)
