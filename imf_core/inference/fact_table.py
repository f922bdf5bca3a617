"""Turns answers into a table of facts with labels and names."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from torch import Tensor

from imf_core.graph.graph import Graph
from imf_core.graph.labels import SPLITS, fact_keys, is_in_sorted
from imf_core.inference.answers import Answers, as_facts
from imf_core.inference.fact_scores import FactScores
from imf_core.inference.plausibility import USED_UP

ROLES = ("head", "relation", "tail")

NEW = "new"
"""Value of `known_in` for a fact in no split that nobody has decided."""

LEAST_PROBABILITY = 0.5
"""Default least probability of a proposed new fact: more likely true than false."""

_SHARE = "share_"
_USED_UP = {
    (False, False): "none",
    (True, False): "head",
    (False, True): "tail",
    (True, True): "both",
}
"""Entities of a fact with a used-up relation, by whether head and tail have one."""


def select_new(facts: pa.Table, least_probability: float) -> pa.Table:
    """Selects predicted facts that are in no split and probable enough.

    Args:
        facts: Output of `predict_facts`.
        least_probability: Lower bound of the probability, in [0, 1].
    """
    is_new = pc.equal(facts["known_in"], NEW)
    return facts.filter(pc.and_(is_new, pc.greater_equal(facts["probability"], least_probability)))


def read_shares(row: Mapping[str, Any]) -> dict[str, float]:
    """Returns the shares in one row of a fact table, by channel."""
    return {
        column.removeprefix(_SHARE): float(share)
        for column, share in row.items()
        if column.startswith(_SHARE)
    }


class FactTable:
    """Turns answers into facts of a graph.

    Args:
        graph: Gives labels, names and known facts.
        channel_names: Channels of the model.
    """

    def __init__(self, graph: Graph, channel_names: tuple[str, ...]) -> None:
        self._graph = graph
        self._channel_names = channel_names
        self._entities = (_strings(graph.entity_labels), _strings(graph.entity_names))
        self._relations = (_strings(graph.relation_labels), _strings(graph.relation_names))
        known = {split: graph.facts[split] for split in SPLITS}
        known |= {name: facts.numpy() for name, facts in graph.decided.items()}
        self._known = {name: np.sort(self._keys(facts)) for name, facts in known.items()}

    def write(self, answers: Answers) -> pa.Table:
        """Returns one row per answer.

        Returns:
            Labels and names of head, relation and tail, `probability` (calibrated, float64),
            `further` (a factor of it, the smaller of both shares of
            `FurtherAnswers.of_facts`), `used_up` (`head`, `tail`, `both` or `none`: entities with a
            used-up relation), `log_prob` (as scored), `known_in` (`train`, `valid`, `test`,
            `new`, or the decision `accepted` or `rejected`), `asked_for` (`head` or `tail`), and
            per channel `share_<channel>` and `log_prob_<channel>`; a channel that does not take
            part has share zero and a null log-probability.
        """
        facts = as_facts(answers.answered, self._graph.num_relations)
        columns = self.name(facts)
        columns["probability"] = answers.probability.numpy()
        columns["further"] = answers.further.min(dim=1).values.double().numpy()
        is_used_up = (answers.further < USED_UP).tolist()
        columns["used_up"] = pa.array(
            [_USED_UP[head, tail] for head, tail in is_used_up], pa.string()
        )
        columns["log_prob"] = answers.log_prob.double().numpy()
        columns["known_in"] = self.find_split(facts)
        asked = (answers.query[:, 1] >= self._graph.num_relations).tolist()
        columns["asked_for"] = pa.array(["head" if each else "tail" for each in asked], pa.string())
        for position, name in enumerate(self._channel_names):
            log_probs = answers.channel_log_probs[:, position].double().numpy()
            columns[f"{_SHARE}{name}"] = answers.share[:, position].double().numpy()
            columns[f"log_prob_{name}"] = pa.array(
                log_probs, mask=~answers.takes_part[:, position].numpy()
            )
        return pa.table(columns)

    def write_scores(
        self, facts: Tensor, scores: FactScores, columns: Mapping[str, np.ndarray]
    ) -> pa.Table:
        """Returns one row per scored fact.

        Args:
            facts: (head, relation, tail), shape: (N, 3), dtype: long, on the CPU.
            scores: Their scores; the log-probabilities are written.
            columns: Further columns, shape: (N,) each.

        Returns:
            Labels and names, the further columns, `log_prob_tail`, `log_prob_head`, `known_in`.
        """
        tail, head = scores.log_probs.double().unbind(dim=1)
        return pa.table(
            {
                **self.name(facts.numpy()),
                **columns,
                "log_prob_tail": tail.numpy(),
                "log_prob_head": head.numpy(),
                "known_in": self.find_split(facts.numpy()),
            }
        )

    def name(self, facts: NDArray[np.int64]) -> dict[str, pa.Array]:
        """Returns labels and names of head, relation and tail by column, shape: (N, 3) -> (N,)."""
        columns = {}
        for position, role in enumerate(ROLES):
            labels, names = self._relations if role == "relation" else self._entities
            columns[role] = labels.take(facts[:, position])
            columns[f"{role}_name"] = names.take(facts[:, position])
        return columns

    def find_split(self, facts: NDArray[np.int64]) -> pa.Array:
        """Returns the split or decision of each fact, or `new`, shape: (N, 3) -> (N,)."""
        keys = self._keys(facts)
        found = np.full(len(facts), NEW, dtype=object)
        for split, known in self._known.items():
            found[is_in_sorted(keys, known)] = split
        return pa.array(found, pa.string())

    def _keys(self, facts: NDArray[np.int64]) -> NDArray[np.int64]:
        return fact_keys(facts, self._graph.num_entities, self._graph.num_relations)


def _strings(values: Sequence[str]) -> pa.Array:
    return pa.array(values, pa.string())
