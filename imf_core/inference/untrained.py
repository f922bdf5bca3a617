"""Answers about a graph without training: a pretrained path network reads its facts.

    model = imf_core.load_untrained("FOLDER")
    answers = model.predict_tails("Laos", "coast", k=3)
    model.reasons(answers)

In: a user's folder or RDF file, or a prepared graph. Out: Arrow tables of answers and reasons. All
facts that are read count as known. Nothing is fitted, so there are scores, but no probabilities.
"""

import tempfile
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import torch
from torch import Tensor

from imf_core.base.errors import DataError, OutOfMemoryError
from imf_core.graph.graph import Graph
from imf_core.graph.known_tails import build_known_tails, find_loops_in
from imf_core.graph.labels import SPLITS
from imf_core.inference.answers import Question, as_facts
from imf_core.inference.fact_table import FactTable
from imf_core.inference.names import Names, find_query, require_positive, require_type
from imf_core.inference.reasons import explain_table, find_answered
from imf_core.paths.channel import count_operations, estimate_bytes
from imf_core.paths.network import PathNetwork, PathSpec
from imf_core.paths.path_graph import build_path_graph
from imf_core.prepare.source import read_label_graph, read_labelled_texts
from imf_core.sources.folder import copy_facts
from imf_core.sources.layout import ENTITY_NAMES, RELATION_NAMES
from imf_core.sources.rdf import write_rdf_as_folder

OPERATIONS_PER_SECOND = 5e9
"""Of one CPU core, about, for the estimate of the time."""

REASON_COST = 4
"""Time of an answer's reasons, in passes of the network."""

TABLES = {".txt", ".tsv", ".csv", ".parquet"}
"""Suffixes of files that are no graph by themselves."""


class UntrainedCompleter:
    """A graph and a path network that was not trained on it; made by `imf_core.load_untrained`.

    Names, errors and tables are as in `Completer`.

    Args:
        graph: The graph.
        network: The network, on the CPU.
        splits: Splits of the facts that the network reads and that count as known.

    Attributes:
        graph: The graph.
        network: The network.
        path_graph: The facts that the network reads.
        known: The known answers.
        entities: Finds entities by label or name.
        relations: Finds relations by label or name.

    Raises:
        OutOfMemoryError: If the graph needs more memory than there is; see `estimate_bytes`.
    """

    def __init__(
        self, graph: Graph, network: PathNetwork, splits: tuple[str, ...] = SPLITS
    ) -> None:
        facts = torch.cat([graph.triples[split] for split in splits])
        _require_memory(network.spec, len(facts), graph)
        self.graph, self.network = graph, network
        self.entities = Names("entity", graph.entity_labels, graph.entity_names)
        self.relations = Names("relation", graph.relation_labels, graph.relation_names)
        self.path_graph = build_path_graph(facts, graph.num_entities, graph.num_relations)
        self.known = build_known_tails(facts, graph.num_entities, graph.num_relations)
        self._table = FactTable(graph, ())
        self._has_loops = find_loops_in(facts, graph.num_relations)

    def predict_tails(
        self, head: str, relation: str, k: int = 10, with_known: bool = False
    ) -> pa.Table:
        """Answers (head, relation, ?).

        Args:
            head: Label or name.
            relation: Label or name.
            k: Answers, at most.
            with_known: Whether known answers are candidates; the network reads their facts.

        Returns:
            At most k rows, best first: labels and names of head, relation and tail, `score` (logit,
            float64), `softmax` (share of the answer in a softmax over the candidates, float64; not
            calibrated), `known_in` (split or `new`), `asked_for` (`head` or `tail`).

        Raises:
            QuestionError: If a name is unknown or ambiguous, or k is below one.
        """
        return self.answer(Question(head, relation, None), k, with_known)

    def predict_heads(
        self, relation: str, tail: str, k: int = 10, with_known: bool = False
    ) -> pa.Table:
        """Answers (?, relation, tail); arguments and rows as in `predict_tails`."""
        return self.answer(Question(None, relation, tail), k, with_known)

    def answer(self, question: Question, k: int = 10, with_known: bool = False) -> pa.Table:
        """Answers a question; arguments and rows as in `predict_tails`."""
        require_positive(k, "answer")
        require_type(question, Question, "question", "a Question")
        query = self.find_query(question)
        return self.table_of(query, self.score_candidates(torch.tensor([query]), with_known)[0], k)

    def table_of(self, query: tuple[int, int], scores: Tensor, k: int) -> pa.Table:
        """Returns the best answers of a query; rows as in `predict_tails`.

        Args:
            query: (entity, relation with inverses).
            scores: A row of `score_candidates`, shape: (E,).
            k: Answers, at most.
        """
        best = scores.sort(descending=True, stable=True).indices[:k]
        best = best[scores[best] > -torch.inf]
        answered = torch.cat([torch.tensor([query]).expand(len(best), 2), best[:, None]], dim=1)
        facts = as_facts(answered, self.graph.num_relations)
        asked_for = "head" if query[1] >= self.graph.num_relations else "tail"
        return pa.table(
            {
                **self._table.name(facts),
                "score": scores[best].double().numpy(),
                "softmax": scores.softmax(dim=0)[best].double().numpy(),
                "known_in": self._table.find_split(facts),
                "asked_for": pa.array([asked_for] * len(best), pa.string()),
            }
        )

    def score_candidates(self, queries: Tensor, with_known: bool = False) -> Tensor:
        """Scores the candidates of queries; minus infinity for all other entities.

        Candidates are all entities but the known answers. The asked entity is one if a known fact
        of the relation joins an entity to itself.

        Args:
            queries: (entity, relation with inverses), shape: (B, 2), dtype: long.
            with_known: Whether known answers are candidates.

        Returns:
            Logits, shape: (B, E), dtype: float32.
        """
        scores = self.network.score(self.path_graph, queries)
        rows = torch.arange(len(queries))
        without_loops = ~self._has_loops[queries[:, 1]]
        scores[rows[without_loops], queries[without_loops, 0]] = -torch.inf
        if not with_known:
            scores[self.known.lookup(queries)] = -torch.inf
        return scores

    def reasons(self, answers: pa.Table, k: int = 3) -> pa.Table:
        """Explains answers by paths of facts between the two entities.

        Args:
            answers: Rows of `predict_tails` or `predict_heads`.
            k: Paths per answer, at most.

        Returns:
            A row per path, with the columns of `reasons.explain_table`.

        Raises:
            QuestionError: If a column of the answers is missing, or k is negative.
        """
        asked = find_answered(answers, self.entities, self.relations)
        return explain_table(self.network, self.path_graph, self.graph, asked, k)

    def find_query(self, question: Question) -> tuple[int, int]:
        """Returns ids of entity and relation; a head question has the inverse relation."""
        return find_query(question, self.entities, self.relations)

    def known_answers(self, question: Question) -> list[str]:
        """Returns the names of the known answers."""
        _, tails = self.known.lookup(torch.tensor([self.find_query(question)]))
        return [self.graph.entity_names[tail] for tail in tails.tolist()]

    @property
    def num_facts(self) -> int:
        """Number of distinct facts that the network reads."""
        return len(self.path_graph.entities.neighbours) // 2

    def estimate_seconds(self, count: int) -> float:
        """Estimates the time of a question on one CPU core.

        Args:
            count: Answers with reasons; more than there are entities count as these.
        """
        passes = 1 + REASON_COST * min(count, self.graph.num_entities)
        return passes * count_operations(self.network.spec, self.path_graph) / OPERATIONS_PER_SECOND


def load_untrained(path: Path, network: PathNetwork) -> UntrainedCompleter:
    """Reads a user's graph with all of its splits; writes nothing beside temporary files.

    Args:
        path: A folder with `train.txt`, or an RDF file, as `dataset.path` names them.
        network: The network.

    Raises:
        DataError: If the path does not exist, has no facts, or a file is malformed.
        OutOfMemoryError: If the graph needs more memory than there is.
    """
    return UntrainedCompleter(read_graph(path), network)


def read_graph(path: Path) -> Graph:
    """Reads facts and names of a user's graph, in the splits of its files.

    Returns:
        The graph, without descriptions; a split without a file is empty.

    Raises:
        DataError: If the path does not exist, has no facts, or a file is malformed.
    """
    if path.is_file() and path.suffix.lower() in TABLES:
        raise DataError(
            f"{path} is a table; put its facts into a folder as train.txt and give the folder, or "
            "give an RDF file"
        )
    if not path.exists():
        raise DataError(
            f"there is no folder or file {path}; give a folder with train.txt or an RDF file"
        )
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder)
        if path.is_dir():
            copy_facts(path, raw)
        else:
            write_rdf_as_folder(path, raw)
        source = read_label_graph(raw)
        names = read_labelled_texts(raw / ENTITY_NAMES, source.entity_labels).texts
        relation_names = read_labelled_texts(raw / RELATION_NAMES, source.relation_labels).texts
    nothing = np.empty((0, 3), dtype=np.int64)
    return Graph(
        entity_labels=source.entity_labels,
        entity_names=_or_labels(names, source.entity_labels),
        entity_descriptions=[""] * len(source.entity_labels),
        relation_labels=source.relation_labels,
        relation_names=_or_labels(relation_names, source.relation_labels),
        triples={split: torch.from_numpy(source.facts.get(split, nothing)) for split in SPLITS},
    )


def _or_labels(texts: list[str], labels: list[str]) -> list[str]:
    return [text or label for text, label in zip(texts, labels, strict=True)]


def _require_memory(spec: PathSpec, num_facts: int, graph: Graph) -> None:
    needed = estimate_bytes(spec, num_facts, graph.num_entities, graph.num_relations)
    free = psutil.virtual_memory().available
    if needed > free:
        raise OutOfMemoryError(
            f"{graph.num_entities:,} entities, {graph.num_relations:,} relations and {num_facts:,} "
            f"facts need about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free; "
            "take a part of the graph"
        )
