"""Ranks from scores: goldens, properties, and the fast way against a naive one."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from imf_core.base.device import unsharded
from imf_core.evaluation import ranking
from imf_core.evaluation.ranking import (
    Answers,
    RankCounts,
    count_scores,
    filtered_ranks,
    find_answers,
)

NOTHING = torch.empty(0, dtype=torch.long)
SEEDS = range(5)


def answers(scores: Tensor, *found: Tensor) -> Answers:
    return find_answers(*found, unsharded(scores.shape[1]), torch.device("cpu"))


def rank(scores: Tensor, *found: Tensor) -> Tensor:
    return filtered_ranks(scores, answers(scores, *found))


def raw_rank(scores: list[float], target: int) -> float:
    table, row = torch.tensor([scores], dtype=torch.float32), torch.tensor([0])
    return rank(table, row, torch.tensor([target]), NOTHING, NOTHING).item()


def random_case(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Scores of 6 queries over 12 entities with many ties; a third of the pairs are known.

    A query has one, two or three true tails, depending on the seed.
    """
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(5, (6, 12), generator=generator).float()
    known_rows, known_tails = (torch.rand(6, 12, generator=generator) < 0.3).nonzero().T
    num_tails = 1 + seed % 3
    rows = torch.arange(6).repeat_interleave(num_tails)
    tails = torch.cat([torch.randperm(12, generator=generator)[:num_tails] for _ in range(6)])
    return scores, rows, tails, known_rows, known_tails


def naive_rank(scores: list[float], target: int, known: set[int]) -> tuple[float, int]:
    """Returns the mean of the optimistic and the pessimistic rank, and the candidates."""
    candidates = [e for e in range(len(scores)) if e == target or e not in known]
    greater = sum(scores[e] > scores[target] for e in candidates)
    ties = sum(scores[e] == scores[target] for e in candidates) - 1
    optimistic, pessimistic = 1 + greater, 1 + greater + ties
    return (optimistic + pessimistic) / 2, len(candidates)


@pytest.mark.parametrize(("target", "expected"), [(0, 3.5), (1, 3.5), (2, 5.0), (3, 2.0), (4, 1.0)])
def test_ranks_of_known_scores(target: int, expected: float) -> None:
    # Two scores beat a 2, and one equals it: optimistic 3, pessimistic 4.
    assert raw_rank([2, 2, 1, 3, 5], target) == expected


@pytest.mark.parametrize("num_entities", [1, 2, 7, 10])
def test_a_constant_scorer_ranks_in_the_middle(num_entities: int) -> None:
    assert raw_rank([0.5] * num_entities, num_entities // 2) == (num_entities + 1) / 2


def test_an_oracle_ranks_first() -> None:
    assert raw_rank([0, 0, 9, 0], 2) == 1


def test_another_known_answer_does_not_compete() -> None:
    scores, row = torch.tensor([[3.0, 2.0, 1.0]]), torch.tensor([0])
    found = (row, torch.tensor([1]), row, torch.tensor([0]))
    assert rank(scores, *found).item() == 1.0
    assert answers(scores, *found).num_candidates.item() == 2


def test_two_answers_of_one_query_do_not_compete_with_each_other() -> None:
    rows, tails = torch.tensor([0, 0]), torch.tensor([0, 1])
    found = rank(torch.tensor([[2.0, 1.0, 0.0]]), rows, tails, rows, tails)
    assert found.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("seed", SEEDS)
def test_fast_ranks_equal_a_naive_loop(seed: int) -> None:
    scores, rows, tails, known_rows, known_tails = random_case(seed)
    found = rank(scores, rows, tails, known_rows, known_tails)
    sizes = answers(scores, rows, tails, known_rows, known_tails).num_candidates
    for number, (row, tail) in enumerate(zip(rows.tolist(), tails.tolist(), strict=True)):
        known = set(known_tails[known_rows == row].tolist())
        expected = naive_rank(scores[row].tolist(), tail, known)
        assert (found[number].item(), sizes[number].item()) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_a_rank_lies_between_one_and_the_number_of_candidates(seed: int) -> None:
    case = random_case(seed)
    found = rank(*case)
    assert ((found >= 1) & (found <= answers(*case).num_candidates)).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_filtered_rank_is_at_most_the_raw_one(seed: int) -> None:
    case = random_case(seed)
    assert (rank(*case) <= rank(*case[:3], NOTHING, NOTHING)).all()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("transform", [torch.exp, torch.arctan, lambda z: 3 * z - 100])
def test_ranks_do_not_change_under_a_monotone_transform(
    seed: int, transform: Callable[[Tensor], Tensor]
) -> None:
    scores, *rest = random_case(seed)
    assert torch.equal(rank(scores, *rest), rank(transform(scores), *rest))


@pytest.mark.parametrize("seed", SEEDS)
def test_ranks_do_not_change_when_entities_are_relabelled(seed: int) -> None:
    scores, rows, tails, known_rows, known_tails = random_case(seed)
    new_id = torch.randperm(scores.shape[1], generator=torch.Generator().manual_seed(seed))
    relabelled = torch.empty_like(scores)
    relabelled[:, new_id] = scores
    before = rank(scores, rows, tails, known_rows, known_tails)
    after = rank(relabelled, rows, new_id[tails], known_rows, new_id[known_tails])
    assert torch.equal(before, after)


@pytest.mark.parametrize("limit", ["CPU_TILE_ELEMENTS", "GPU_TILE_ELEMENTS", "MAX_PAIRS"])
@pytest.mark.parametrize("seed", SEEDS)
def test_ranks_in_parts_equal_ranks_in_one_piece(
    seed: int, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = random_case(seed)
    in_one_piece = rank(*case)
    monkeypatch.setattr(ranking, limit, 25 if "TILE" in limit else 4)
    assert torch.equal(rank(*case), in_one_piece)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", [1, 5])
def test_counts_of_blocks_of_entities_add_up_to_the_ranks(seed: int, size: int) -> None:
    scores, rows, tails, known_rows, known_tails = random_case(seed)
    found = answers(scores, rows, tails, known_rows, known_tails)
    limits = scores[rows, tails]
    answer, columns = (torch.cat(each) for each in zip(*found.excluded, strict=True))
    total = RankCounts(torch.zeros(len(rows)), torch.zeros(len(rows)))
    for start in range(0, scores.shape[1], size):
        block = scores[:, start : start + size]
        is_here = (columns >= start) & (columns < start + size)
        left_out = [(answer[is_here], columns[is_here] - start)]
        total = total + count_scores(block, rows, limits, left_out)
    assert torch.equal(total.ranks(), rank(scores, rows, tails, known_rows, known_tails))


def test_scores_are_left_as_they_were() -> None:
    case = random_case(0)
    before = case[0].clone()
    rank(*case)
    assert torch.equal(case[0], before)


def test_ranks_of_bfloat16_scores_are_exact_halves() -> None:
    scores = torch.zeros(1, 1002, dtype=torch.bfloat16)
    row = torch.tensor([0])
    assert rank(scores, row, row, NOTHING, NOTHING).item() == 501.5
