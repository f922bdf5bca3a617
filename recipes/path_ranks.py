"""Graphs for measurements of path networks, and ranks by a path network alone.

A graph is prepared as the stages `download` and `prepare` do, below the state folder. Ranks are
those of the stage `evaluate`.
"""

import json
from hashlib import sha256
from pathlib import Path

import torch

from imf_core.base.artifacts import fresh_folder
from imf_core.base.config import FOLDER
from imf_core.base.params_file import load_params
from imf_core.evaluation.ranking import COMBINED, rank_triples
from imf_core.graph.graph import Graph, load_graph
from imf_core.graph.known_tails import find_loops, known_tails_in
from imf_core.graph.labels import SPLITS, save_graph
from imf_core.paths.channel import PathChannel, PathScorer
from imf_core.paths.network import PathNetwork
from imf_core.paths.path_graph import build_path_graph
from imf_core.prepare.prepare import prepare_graph
from stages.download import fill_raw
from stages.paths import PARAMS
from stages.runner import state_folder

QUERIES_AT_ONCE = 256


def load_set(name: str) -> Graph:
    """Prepares a registered set, or the folder of a graph if `name` is its path.

    Raises:
        ConfigError: If there is no such set.
        DataError: If a file is missing or malformed.
    """
    params, is_folder = load_params(PARAMS), Path(name).is_dir()
    kind, path = (FOLDER, str(Path(name).resolve())) if is_folder else (name, "")
    key = json.dumps([kind, path, params.prepare.model_dump()], sort_keys=True)
    folder = state_folder() / "paths" / f"{kind}-{sha256(key.encode()).hexdigest()[:16]}"
    if is_folder or not (folder / "graph").exists():
        with fresh_folder(folder / "raw") as raw:
            own = params.dataset.model_copy(update={"path": name})
            fill_raw(kind, raw, own, params.fetch)
        prepared = prepare_graph(folder / "raw", kind, params.prepare)
        with fresh_folder(folder / "graph") as target:
            save_graph(prepared.labels, prepared.facts, target)
    return load_graph(folder / "graph")


class PathRanking:
    """Ranks facts of a graph by path networks that see its train."""

    def __init__(self, graph: Graph) -> None:
        """Builds the path graph of train."""
        train, size = graph.triples["train"], graph.num_entities
        self.graph, self._has_loops = graph, find_loops(graph)
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
        scorer = PathScorer(PathChannel(network, self.paths), self._has_loops)
        known = known_tails_in(self.graph, ("train", "valid") if split == "valid" else SPLITS)
        table = rank_triples(scorer, facts, known, self.graph.num_relations, QUERIES_AT_ONCE)
        return float((1 / table.ranks[COMBINED]).mean())
