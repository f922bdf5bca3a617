"""Estimates whether a question has a further answer or is used up: no country has two capitals.

A fact answers two questions, (head, relation, ?) and (?, relation, tail). A question with known
answers is used up if few questions of its relation and direction have more answers. The calibrated
probability of an answer assumes that its question has a further answer, so it is multiplied by the
share of questions that have one.
"""

from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imf_core.data.graph import Graph
from imf_core.data.known_tails import KnownTails, known_tails_in, ragged_arange
from imf_core.inference.answers import Answers, as_facts

USED_UP = 0.5
"""A question is used up if fewer than this share of similar questions have a further answer."""

ENOUGH_QUESTIONS = 5
"""Least number of questions in an estimate; questions with fewer answers fill it up."""


class FurtherAnswers:
    """Estimates the probability of a further answer for the questions of a graph.

    Args:
        graph: For a new fact, facts of all splits are known; for a fact of valid or test, facts of
            train.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def of_queries(self, queries: Tensor) -> Tensor:
        """Returns, for each query, the share of similar questions that have a further answer.

        Args:
            queries: (entity, relation with inverses), shape: (B, 2), dtype: long.

        Returns:
            Shares, where answers of all splits are known; one for a query without known answers,
            shape: (B,), dtype: float32.
        """
        known, shares = self._everywhere
        return shares[known.find(queries)]  # index -1: the appended one

    def used_up(self, queries: Tensor, least_share: float = USED_UP) -> Tensor:
        """Returns which answers make a new fact with a used-up question.

        Args:
            queries: (entity, relation with inverses), shape: (B, 2), dtype: long, on the CPU.
            least_share: A question with a smaller share is used up.

        Returns:
            Mask, all true for a used-up query, shape: (B, E), dtype: bool.
        """
        known, shares = self._everywhere
        inverses = (queries[:, 1] + self._graph.num_relations) % (2 * self._graph.num_relations)
        relations, place = inverses.unique(return_inverse=True)
        is_full = torch.zeros(len(relations), self._graph.num_entities, dtype=torch.bool)
        of_relation = known.queries[:, 1].contiguous()
        starts, ends = (
            torch.searchsorted(of_relation, relations, right=right) for right in (False, True)
        )
        rows, index = ragged_arange(starts, ends - starts)
        is_full[rows, known.queries[index, 0]] = shares[index] < least_share
        return is_full[place] | (self.of_queries(queries) < least_share)[:, None]

    def of_facts(self, facts: NDArray[np.int64]) -> Tensor:
        """Returns the shares for both questions that each fact answers.

        Args:
            facts: (head, relation, tail), shape: (N, 3), dtype: int64.

        Returns:
            Shares of the questions for the tail and for the head; one without another known answer,
            and one for facts of train, shape: (N, 2), dtype: float32.
        """
        head, relation, tail = torch.from_numpy(facts).unbind(dim=1)
        asked = (
            torch.stack([head, relation], 1),
            torch.stack([tail, relation + self._graph.num_relations], 1),
        )
        (train, after_train), (every, after_every) = self._train, self._everywhere
        new = torch.stack([after_every[every.find(each)] for each in asked], dim=1)
        held_out = torch.stack([after_train[train.find(each)] for each in asked], dim=1)
        is_train, is_known = (each.contains(asked[0], tail)[:, None] for each in (train, every))
        return torch.where(is_train, 1.0, torch.where(is_known, held_out, new))

    def is_known(self, facts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Returns which facts are in some split, shape: (N, 3) -> (N,)."""
        queries, tails = torch.from_numpy(facts[:, :2]), torch.from_numpy(facts[:, 2])
        return self._everywhere[0].contains(queries, tails).numpy()

    def weigh(self, answers: Answers) -> Answers:
        """Multiplies each probability by the smaller share of the answer's two questions."""
        further = self.of_facts(as_facts(answers, self._graph.num_relations))
        probability = answers.probability * further.min(dim=1).values
        return replace(answers, probability=probability, further=further)

    @cached_property
    def _train(self) -> tuple[KnownTails, Tensor]:
        return _with_shares(known_tails_in(self._graph, ["train"]))

    @cached_property
    def _everywhere(self) -> tuple[KnownTails, Tensor]:
        return _with_shares(known_tails_in(self._graph))


def share_with_more(known: KnownTails) -> NDArray[np.float32]:
    """Estimates the probability that each known query has a further answer.

    For a query with n answers, every query of the relation with n or more answers is a trial, and a
    success if it has more than n. The estimate is the share of successes. If there are too few
    trials, as for the query with most answers, the trials at n - 1, n - 2 and so on are added. One
    success and one failure are added as well (Laplace's rule).

    Args:
        known: Facts that count as known, with inverses.

    Returns:
        Shares in (0, 1), in the order of `known.queries`, shape: (Q,), dtype: float32.
    """
    counts = known.offsets.diff().numpy()
    _, sizes = np.unique(known.queries[:, 1].numpy(), return_counts=True)  # sorted by relation
    shares = [_share_with_more(mine) for mine in np.split(counts, np.cumsum(sizes)[:-1])]
    return np.concatenate(shares).astype(np.float32)


def _share_with_more(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Estimates the shares of one relation's queries from their numbers of known answers."""
    if not len(counts):
        return np.empty(0)
    # trials[n]: queries with n or more answers; `until[n]` sums the trials at 1 to n.
    trials = np.bincount(counts)[::-1].cumsum()[::-1]
    until = np.append(np.append(0, trials[1:].cumsum()), trials[1:].sum())
    lowest = np.searchsorted(until[:-1], until[counts] - ENOUGH_QUESTIONS, side="right") - 1
    lowest = np.maximum(lowest, 0)
    num_trials = until[counts] - until[lowest]
    successes = until[counts + 1] - until[lowest + 1]
    return np.asarray((successes + 1) / (num_trials + 2))


def _with_shares(known: KnownTails) -> tuple[KnownTails, Tensor]:
    """Returns known answers and their shares; index -1 (no known answer) is a share of one."""
    return known, torch.cat([torch.from_numpy(share_with_more(known)), torch.ones(1)])
